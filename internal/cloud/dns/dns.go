// Package dns is Route 53 private hosted zones and Simple AD directories: their
// operations on the store, and the pure plan of which DNS servers a host runs
// and what each of them knows (pl §3).
//
// Operations change rows and nothing else; MakePlan reads rows and nothing else. The
// servers themselves are package dns/server, the rules of looking up package
// dns/zone. The addresses of the resolvers are on the VPC's router already (they
// are part of the VPC's own plan), those of a directory are interfaces, so this
// package wants no netspec. Public zones, routing policies, health checks and
// Resolver endpoints do not exist here. internal/cloud/host, the API front and
// the lab call it; it never calls another feature.
package dns

import (
	"slices"
	"strings"

	"seikan/internal/cloud/dns/zone"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes of Route 53 (pl §3.1).
const (
	codeZoneExists       = "HostedZoneAlreadyExists"
	codeZoneUnknown      = "NoSuchHostedZone"
	codeZoneNotEmpty     = "HostedZoneNotEmpty"
	codeZoneLimit        = "TooManyHostedZones"
	codeInvalidVPC       = "InvalidVPCId"
	codeInvalidName      = "InvalidDomainName"
	codeInvalidInput     = "InvalidInput"
	codeConflict         = "ConflictingDomainExists"
	codeInvalidBatch     = "InvalidChangeBatch"
	codeNotAuthorized    = "NotAuthorizedException"
	codeAuthorizationGap = "VPCAssociationAuthorizationNotFound"
	codeAuthorizations   = "TooManyVPCAssociationAuthorizations"
	codeLastVPC          = "LastVPCAssociation"
	codeAssociationGap   = "VPCAssociationNotFound"
	codeLimits           = "LimitsExceeded"
)

// Quotas (pl §3.1).
const (
	maxZones          = 500 // of an account
	maxRecords        = 10000
	maxAssociations   = 300
	maxAuthorizations = 1000
)

// CreateHostedZoneInput says what private zone is wanted.
type CreateHostedZoneInput struct {
	Name            string
	CallerReference string // unique among the account's zones
	Comment         string
	VPCID           resource.VPCID // the zone is private by having it
	Tags            resource.Tags
}

// CreateHostedZone makes a private zone that one VPC of the account sees, with
// the SOA and NS sets that every zone has. Codes: InvalidDomainName,
// InvalidInput, InvalidVPCId, HostedZoneAlreadyExists, ConflictingDomainExists,
// TooManyHostedZones.
func CreateHostedZone(tx *store.Tx, who resource.Account, in CreateHostedZoneInput) (resource.HostedZone, error) {
	name, err := zone.ParseName(in.Name)
	if err != nil || name == zone.Root() {
		return resource.HostedZone{}, resource.Errorf(codeInvalidName, "Name: %q is not a domain name", in.Name)
	}
	if in.CallerReference == "" {
		return resource.HostedZone{}, resource.Errorf(codeInvalidInput, "CallerReference: empty: it makes a repeated request known")
	}
	vpc, ok := store.VPCs.Get(tx, in.VPCID)
	if !ok || vpc.OwnerID != who {
		return resource.HostedZone{}, resource.Errorf(codeInvalidVPC, "VPCId: the VPC %q does not exist", in.VPCID)
	}
	count := 0
	for _, z := range store.HostedZones.List(tx) {
		if z.OwnerID != who {
			continue
		}
		count++
		if z.CallerReference == in.CallerReference {
			return resource.HostedZone{}, resource.Errorf(codeZoneExists, "a hosted zone was created with the caller reference %q: %s", in.CallerReference, z.ID)
		}
	}
	if count >= maxZones {
		return resource.HostedZone{}, resource.Errorf(codeZoneLimit, "the account has %d hosted zones, the most it can have", count)
	}
	if err := conflict(tx, name.String(), in.VPCID); err != nil {
		return resource.HostedZone{}, err
	}
	z := resource.HostedZone{ID: newZoneID(tx), OwnerID: who, Name: name.String(), CallerReference: in.CallerReference,
		Comment: in.Comment, VPCs: []resource.VPCID{in.VPCID}, CreatedAt: tx.Now(), Tags: in.Tags}
	z.Records = []resource.RecordSet{
		{Name: z.Name, Type: "NS", TTL: 172800, Values: []string{"ns-1536.awsdns-00.co.uk.", "ns-0.awsdns-00.com.", "ns-1024.awsdns-00.org.", "ns-512.awsdns-00.net."}},
		{Name: z.Name, Type: "SOA", TTL: 900, Values: []string{"ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}},
	}
	store.HostedZones.Put(tx, z.ID, z)
	return z, nil
}

// newZoneID makes a zone's id: Z and twenty upper-case letters or digits.
func newZoneID(tx *store.Tx) resource.HostedZoneID {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345" // 32, so that every byte gives one fairly
	var random [20]byte
	tx.Random(random[:])
	for i, b := range random {
		random[i] = letters[b%32]
	}
	return resource.HostedZoneID("Z" + string(random[:]))
}

// conflict reports a zone of the same name that the VPC sees already. Zones
// whose names are parent and child of each other do not conflict (pl §3.2).
func conflict(tx *store.Tx, name string, vpc resource.VPCID) error {
	for _, z := range store.HostedZones.List(tx) {
		if z.Name == name && slices.Contains(z.VPCs, vpc) {
			return resource.Errorf(codeConflict, "the VPC %s is already associated with another hosted zone with the same domain name %s", vpc, name)
		}
	}
	return nil
}

// CleanZoneID takes the prefix "/hostedzone/" off an id, which requests may
// carry (pl §3.1).
func CleanZoneID(id string) resource.HostedZoneID {
	return resource.HostedZoneID(strings.TrimPrefix(strings.TrimPrefix(id, "/"), "hostedzone/"))
}

// GetHostedZone returns one zone of the account. Code: NoSuchHostedZone.
func GetHostedZone(tx *store.Tx, who resource.Account, id resource.HostedZoneID) (resource.HostedZone, error) {
	z, ok := store.HostedZones.Get(tx, id)
	if !ok || z.OwnerID != who {
		return resource.HostedZone{}, resource.Errorf(codeZoneUnknown, "no hosted zone found with ID: %s", id)
	}
	return z, nil
}

// ListHostedZones lists the account's zones in order of their ids.
func ListHostedZones(tx *store.Tx, who resource.Account) []resource.HostedZone {
	return slices.DeleteFunc(store.HostedZones.List(tx), func(z resource.HostedZone) bool { return z.OwnerID != who })
}

// ListHostedZonesByVPC lists the zones, of any account, that a VPC of the account
// sees. Code: InvalidVPCId.
func ListHostedZonesByVPC(tx *store.Tx, who resource.Account, id resource.VPCID) ([]resource.HostedZone, error) {
	if vpc, ok := store.VPCs.Get(tx, id); !ok || vpc.OwnerID != who {
		return nil, resource.Errorf(codeInvalidVPC, "VPCId: the VPC %q does not exist", id)
	}
	return slices.DeleteFunc(store.HostedZones.List(tx), func(z resource.HostedZone) bool { return !slices.Contains(z.VPCs, id) }), nil
}

// DeleteHostedZone removes a zone that holds nothing but its SOA and NS sets.
// Codes: NoSuchHostedZone, HostedZoneNotEmpty.
func DeleteHostedZone(tx *store.Tx, who resource.Account, id resource.HostedZoneID) error {
	z, err := GetHostedZone(tx, who, id)
	if err != nil {
		return err
	}
	if len(z.Records) > 2 {
		return resource.Errorf(codeZoneNotEmpty, "the specified hosted zone contains non-required resource record sets and so cannot be deleted")
	}
	store.HostedZones.Delete(tx, id)
	return nil
}
