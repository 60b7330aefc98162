package dns

import (
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// AssociateVPCWithHostedZone lets a VPC of the account see a zone: one of its
// own, or one whose owner has authorized that VPC (pl §3.3). Codes:
// NoSuchHostedZone, InvalidVPCId, NotAuthorizedException,
// ConflictingDomainExists, LimitsExceeded. Associating again does nothing.
func AssociateVPCWithHostedZone(tx *store.Tx, who resource.Account, id resource.HostedZoneID, vpcID resource.VPCID) error {
	z, ok := store.HostedZones.Get(tx, id)
	if !ok {
		return resource.Errorf(codeZoneUnknown, "no hosted zone found with ID: %s", id)
	}
	vpc, ok := store.VPCs.Get(tx, vpcID)
	if !ok {
		return resource.Errorf(codeInvalidVPC, "VPCId: the VPC %q does not exist", vpcID)
	}
	if vpc.OwnerID != who || z.OwnerID != who && !slices.Contains(z.Authorized, vpcID) {
		return resource.Errorf(codeNotAuthorized, "the VPC %s is not authorized to be associated with the hosted zone %s", vpcID, id)
	}
	if slices.Contains(z.VPCs, vpcID) {
		return nil
	}
	if err := conflict(tx, z.Name, vpcID); err != nil {
		return err
	}
	if len(z.VPCs) >= maxAssociations {
		return resource.Errorf(codeLimits, "the hosted zone %s has %d VPCs, the most it can have", id, len(z.VPCs))
	}
	z.VPCs = append(z.VPCs, vpcID)
	slices.Sort(z.VPCs)
	store.HostedZones.Put(tx, id, z)
	return nil
}

// DisassociateVPCFromHostedZone ends an association. The owner of the zone and
// the owner of the VPC may do so. Codes: NoSuchHostedZone,
// VPCAssociationNotFound, NotAuthorizedException, LastVPCAssociation.
func DisassociateVPCFromHostedZone(tx *store.Tx, who resource.Account, id resource.HostedZoneID, vpcID resource.VPCID) error {
	z, ok := store.HostedZones.Get(tx, id)
	if !ok {
		return resource.Errorf(codeZoneUnknown, "no hosted zone found with ID: %s", id)
	}
	vpc, _ := store.VPCs.Get(tx, vpcID)
	if z.OwnerID != who && vpc.OwnerID != who {
		return resource.Errorf(codeNotAuthorized, "neither the hosted zone %s nor the VPC %s is of this account", id, vpcID)
	}
	i := slices.Index(z.VPCs, vpcID)
	if i < 0 {
		return resource.Errorf(codeAssociationGap, "the VPC %s is not associated with the hosted zone %s", vpcID, id)
	}
	if len(z.VPCs) == 1 {
		return resource.Errorf(codeLastVPC, "the VPC %s is the last one of the hosted zone %s and cannot be disassociated", vpcID, id)
	}
	z.VPCs = slices.Delete(z.VPCs, i, i+1)
	store.HostedZones.Put(tx, id, z)
	return nil
}

// CreateVPCAssociationAuthorization lets the owner of a VPC, another account,
// associate it with a zone of this account. Codes: NoSuchHostedZone,
// InvalidVPCId, TooManyVPCAssociationAuthorizations.
func CreateVPCAssociationAuthorization(tx *store.Tx, who resource.Account, id resource.HostedZoneID, vpcID resource.VPCID) error {
	z, err := GetHostedZone(tx, who, id)
	if err != nil {
		return err
	}
	if _, ok := store.VPCs.Get(tx, vpcID); !ok {
		return resource.Errorf(codeInvalidVPC, "VPCId: the VPC %q does not exist", vpcID)
	}
	if slices.Contains(z.Authorized, vpcID) {
		return nil
	}
	if len(z.Authorized) >= maxAuthorizations {
		return resource.Errorf(codeAuthorizations, "the hosted zone %s has %d authorizations, the most it can have", id, len(z.Authorized))
	}
	z.Authorized = append(z.Authorized, vpcID)
	slices.Sort(z.Authorized)
	store.HostedZones.Put(tx, id, z)
	return nil
}

// ListVPCAssociationAuthorizations lists the VPCs that a zone's owner has
// authorized. Code: NoSuchHostedZone.
func ListVPCAssociationAuthorizations(tx *store.Tx, who resource.Account, id resource.HostedZoneID) ([]resource.VPCID, error) {
	z, err := GetHostedZone(tx, who, id)
	return z.Authorized, err
}

// DeleteVPCAssociationAuthorization takes an authorization back; an association
// that was made by it stays. Codes: NoSuchHostedZone,
// VPCAssociationAuthorizationNotFound.
func DeleteVPCAssociationAuthorization(tx *store.Tx, who resource.Account, id resource.HostedZoneID, vpcID resource.VPCID) error {
	z, err := GetHostedZone(tx, who, id)
	if err != nil {
		return err
	}
	i := slices.Index(z.Authorized, vpcID)
	if i < 0 {
		return resource.Errorf(codeAuthorizationGap, "the VPC %s is not authorized for the hosted zone %s", vpcID, id)
	}
	z.Authorized = slices.Delete(z.Authorized, i, i+1)
	store.HostedZones.Put(tx, id, z)
	return nil
}
