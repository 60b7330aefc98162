package vpn

import (
	"cmp"
	"net/netip"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// defaultCustomerASN is the BGP number of a customer gateway that was given
// none (vpn §4.1).
const defaultCustomerASN = 65000

// highestPlainASN is the highest number that BgpAsn takes; above it is
// BgpAsnExtended (vpn §4.1).
const highestPlainASN = 1<<31 - 1

// maxDeviceName is the length of DeviceName in bytes (vpn §1.3).
const maxDeviceName = 255

// amazonASN is the number that AWS's legacy gateways have everywhere; regional
// lists those of single regions. No customer gateway may have them (vpn §4.1).
const amazonASN = 7224

var regionalASN = map[string]uint32{"eu-west-1": 9059, "ap-northeast-1": 10124, "ap-southeast-1": 17943}

// CreateCustomerGatewayInput says what customer gateway is wanted.
type CreateCustomerGatewayInput struct {
	Type      string     // "ipsec.1"
	IPAddress netip.Addr // behind NAT the router's outside address; one of IPv6 for tunnels whose outside is
	// CertificateARN names the device's certificate. With one IPAddress may be
	// left out: the device may then come from anywhere, and move (vpn §3.7).
	CertificateARN resource.CertificateARN
	// BGPASN is 1 to 2147483647, BGPASNExtended 2147483648 to 4294967295; at
	// most one is given, and neither means 65000.
	BGPASN, BGPASNExtended uint32
	DeviceName             string // at most 255 bytes; tells apart gateways that are else equal
	// Region only decides which numbers are Amazon's own; empty means
	// resource.DefaultRegion.
	Region string
	Tags   resource.Tags
}

// CreateCustomerGateway describes a device; it configures nothing, so the
// gateway is available at once. One of the same type, address, certificate,
// number and device name is returned instead of a second one (vpn §1.4). Codes:
// MissingParameter, InvalidParameterValue, InvalidParameterCombination,
// CustomerGatewayLimitExceeded, ResourceNotFoundException for the certificate.
func CreateCustomerGateway(tx *store.Tx, who resource.Account, in CreateCustomerGatewayInput) (resource.CustomerGateway, error) {
	g, err := customerGateway(in)
	if err != nil {
		return resource.CustomerGateway{}, err
	}
	if in.CertificateARN != "" {
		c, err := store.Find(tx, store.Certificates, who, in.CertificateARN, codeCertificateNotFound)
		if err != nil {
			return resource.CustomerGateway{}, err
		}
		if c.TunnelID != "" {
			return resource.CustomerGateway{}, resource.Errorf(resource.CodeInvalidParameterValue, "CertificateArn: %s is that of the cloud's end of %s; give the device one of its own", c.ARN, c.TunnelID)
		}
	}
	for _, old := range store.CustomerGateways.List(tx) {
		if old.OwnerID == who && old.Type == g.Type && old.IPAddress == g.IPAddress && old.CertificateARN == g.CertificateARN && old.BGPASN == g.BGPASN && old.DeviceName == g.DeviceName {
			return old, nil
		}
	}
	every := func(resource.CustomerGateway) bool { return true }
	if err := checkQuota(tx, store.CustomerGateways, who, every, quota{maxCustomerGateways, codeCustomerGatewayLimit, "customer gateways of the account"}); err != nil {
		return resource.CustomerGateway{}, err
	}
	g.ID = resource.CustomerGatewayID(tx.NewID("cgw"))
	g.OwnerID = who
	store.CustomerGateways.Put(tx, g.ID, g)
	return g, nil
}

// customerGateway checks in and makes it a row that lacks id and owner.
func customerGateway(in CreateCustomerGatewayInput) (resource.CustomerGateway, error) {
	var none resource.CustomerGateway
	if err := checkType(in.Type); err != nil {
		return none, err
	}
	switch {
	case !in.IPAddress.IsValid() && in.CertificateARN == "":
		return none, resource.Errorf(resource.CodeMissingParameter, "IpAddress: the device's outside address is required, or a CertificateArn for a device without a fixed one")
	case in.IPAddress.IsValid() && !hostAddress(in.IPAddress):
		return none, resource.Errorf(resource.CodeInvalidParameterValue, "IpAddress: %v is not the address of a host: no loopback, link-local, multicast or reserved one", in.IPAddress)
	case len(in.DeviceName) > maxDeviceName:
		return none, resource.Errorf(resource.CodeInvalidParameterValue, "DeviceName: has %d bytes, at most %d", len(in.DeviceName), maxDeviceName)
	}
	asn, err := customerASN(in)
	if err != nil {
		return none, err
	}
	return resource.CustomerGateway{
		State: resource.StateAvailable, Type: in.Type, IPAddress: in.IPAddress, CertificateARN: in.CertificateARN, BGPASN: asn, DeviceName: in.DeviceName, Tags: in.Tags,
	}, nil
}

// customerASN is the number that in asks for (vpn §4.1).
func customerASN(in CreateCustomerGatewayInput) (uint32, error) {
	switch {
	case in.BGPASN != 0 && in.BGPASNExtended != 0:
		return 0, resource.Errorf(resource.CodeInvalidParameterCombination, "BgpAsn: %d and BgpAsnExtended %d exclude each other; give one", in.BGPASN, in.BGPASNExtended)
	case in.BGPASN > highestPlainASN:
		return 0, resource.Errorf(resource.CodeInvalidParameterValue, "BgpAsn: %d is not 1 to %d; give it as BgpAsnExtended", in.BGPASN, highestPlainASN)
	case in.BGPASNExtended != 0 && in.BGPASNExtended <= highestPlainASN:
		return 0, resource.Errorf(resource.CodeInvalidParameterValue, "BgpAsnExtended: %d is not %d to 4294967295; give it as BgpAsn", in.BGPASNExtended, highestPlainASN+1)
	}
	asn := cmp.Or(in.BGPASN, in.BGPASNExtended, defaultCustomerASN)
	region := cmp.Or(in.Region, resource.DefaultRegion)
	if asn == amazonASN || asn == regionalASN[region] {
		return 0, resource.Errorf(resource.CodeInvalidParameterValue, "BgpAsn: %d is Amazon's own in %s; choose another", asn, region)
	}
	return asn, nil
}

// checkType refuses every type but the only one (vpn §1.3).
func checkType(t string) error {
	switch t {
	case "":
		return resource.Errorf(resource.CodeMissingParameter, "Type: is required; it is %q", resource.GatewayType)
	case resource.GatewayType:
		return nil
	}
	return resource.Errorf(resource.CodeInvalidParameterValue, "Type: %q is not %q", t, resource.GatewayType)
}

// hostAddress reports whether a can be the address of a device on some
// network. Private ones are: a device may be reached by other ways than the
// internet.
func hostAddress(a netip.Addr) bool {
	reserved := netip.PrefixFrom(netip.AddrFrom4([4]byte{240}), 4)
	thisNetwork := netip.PrefixFrom(netip.IPv4Unspecified(), 8)
	return !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast() && !reserved.Contains(a) && !thisNetwork.Contains(a)
}

// DescribeCustomerGateways returns the gateways of ids, or without ids all that
// who owns, that pass the filters. Codes: InvalidCustomerGatewayId.Malformed,
// InvalidCustomerGatewayID.NotFound, and those of filter.Select.
func DescribeCustomerGateways(tx *store.Tx, who resource.Account, ids []resource.CustomerGatewayID, filters ...filter.Filter) ([]resource.CustomerGateway, error) {
	for _, id := range ids {
		if !resource.ValidID("cgw", string(id)) {
			return nil, resource.Errorf(codeCustomerGatewayMalformed, `Invalid id: "%s" (expecting "cgw-...")`, id)
		}
	}
	rows, err := store.Describe(tx, store.CustomerGateways, who, ids, codeCustomerGatewayNotFound)
	if err != nil {
		return nil, err
	}
	return filter.Select(rows, customerGatewayFields(), func(g resource.CustomerGateway) resource.Tags { return g.Tags }, filters)
}

// DeleteCustomerGateway forgets a gateway. Codes:
// InvalidCustomerGatewayID.NotFound, and DependencyViolation while a connection
// names it.
func DeleteCustomerGateway(tx *store.Tx, who resource.Account, id resource.CustomerGatewayID) error {
	if _, err := store.Find(tx, store.CustomerGateways, who, id, codeCustomerGatewayNotFound); err != nil {
		return err
	}
	for _, c := range store.VPNConnections.List(tx) {
		if c.CustomerGatewayID == id && c.State != resource.StateDeleted {
			return resource.Errorf(resource.CodeDependencyViolation, "the customer gateway %s is used by %s; delete that first", id, c.ID)
		}
	}
	store.CustomerGateways.Delete(tx, id)
	return nil
}
