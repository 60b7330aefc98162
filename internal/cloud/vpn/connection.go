package vpn

import (
	"net/netip"
	"reflect"
	"time"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// CreateVPNConnectionInput says what connection is wanted.
type CreateVPNConnectionInput struct {
	Type              string // "ipsec.1"
	CustomerGatewayID resource.CustomerGatewayID
	// At most one of the two; with neither the connection is made and can be
	// associated later by ModifyVPNConnection.
	VPNGatewayID     resource.VPNGatewayID
	TransitGatewayID resource.TransitGatewayID
	StaticRoutesOnly bool // fixed for life; false means BGP
	// LocalIPv4NetworkCIDR is the customer's side and RemoteIPv4NetworkCIDR the
	// cloud's: the traffic selectors. Host bits are cleared; zero: 0.0.0.0/0. With
	// IPv6 inside it is those of Options, and ::/0.
	LocalIPv4NetworkCIDR, RemoteIPv4NetworkCIDR netip.Prefix
	Options                                     FixedOptionsInput
	Tunnels                                     [2]TunnelOptionsInput
	Tags                                        resource.Tags
}

// CreateVPNConnection makes a connection with its two tunnels; keys, inside
// blocks and outside addresses that the request leaves open are chosen. A
// second request for the same customer gateway and VPN gateway returns the
// connection if it asks for nothing else (keys and inside blocks that it leaves
// open match any), and InvalidOption.Conflict if it does (vpn §1.4). A transit
// gateway takes any number, since flows are spread over them. Other codes:
// MissingParameter, InvalidParameterValue, InvalidParameterCombination,
// UnsupportedOperation, InvalidCustomerGatewayID.NotFound,
// InvalidVpnGatewayID.NotFound, InvalidTransitGatewayID.NotFound,
// InvalidVpnGatewayState, IncorrectState, InvalidCidr.InUse,
// InsufficientAddressCapacity, VpnConnectionLimitExceeded.
func CreateVPNConnection(tx *store.Tx, who resource.Account, in CreateVPNConnectionInput) (resource.VPNConnection, error) {
	var none resource.VPNConnection
	c, err := connection(in)
	if err != nil {
		return none, err
	}
	c.OwnerID = who
	if err := checkGateways(tx, c); err != nil {
		return none, err
	}
	for _, old := range store.VPNConnections.List(tx) {
		if c.VPNGatewayID == "" || old.VPNGatewayID != c.VPNGatewayID || old.CustomerGatewayID != c.CustomerGatewayID || !old.Alive() {
			continue
		}
		if sameOptions(old, c) {
			return withheld(old), nil
		}
		return none, resource.Errorf(codeOptionConflict, "the VPN connection %s between %s and %s exists with other options", old.ID, c.CustomerGatewayID, c.VPNGatewayID)
	}
	if err := checkConnections(tx, c); err != nil {
		return none, err
	}
	c.ID = resource.VPNConnectionID(tx.NewID("vpn"))
	if err := place(tx, &c); err != nil {
		return none, err
	}
	c.Created = tx.Now()
	device, _ := store.CustomerGateways.Get(tx, c.CustomerGatewayID)
	for i := range c.Tunnels {
		if c.Tunnels[i].PreSharedKey.IsZero() && device.CertificateARN == "" {
			c.Tunnels[i].PreSharedKey = newKey(tx)
		}
		c.Telemetry[i] = telemetry(c, i, Report{})
		c.Telemetry[i].LastStatusChange = tx.Now().Truncate(time.Second)
	}
	keepSecret(&c)
	if device.CertificateARN != "" {
		if err := certify(tx, &c, device.CertificateARN); err != nil {
			return none, err
		}
	}
	store.VPNConnections.Put(tx, c.ID, c)
	return withheld(c), associate(tx, c)
}

// place gives c what only one connection of its target has: a slot, inside
// blocks and outside addresses. What c has already it keeps, or there is an
// error.
func place(tx *store.Tx, c *resource.VPNConnection) error {
	slots := make(map[int]bool)
	for _, old := range store.VPNConnections.List(tx) {
		if old.ID != c.ID && old.State != resource.StateDeleted && targetOf(old) == targetOf(*c) {
			slots[old.Slot] = true
		}
	}
	for slots[c.Slot] {
		c.Slot++
	}
	if err := chooseInside(tx, insideInUse(tx, *c), c); err != nil {
		return err
	}
	return chooseOutside(tx, c)
}

// connection checks in and makes it a row that lacks id, owner and what is
// chosen from the store.
func connection(in CreateVPNConnectionInput) (resource.VPNConnection, error) {
	var none resource.VPNConnection
	if err := checkType(in.Type); err != nil {
		return none, err
	}
	if in.CustomerGatewayID == "" {
		return none, resource.Errorf(resource.CodeMissingParameter, "CustomerGatewayId: is required")
	}
	to := target{in.VPNGatewayID, in.TransitGatewayID}
	if err := to.check(); err != nil {
		return none, err
	}
	c := resource.VPNConnection{
		State: resource.StatePending, Type: in.Type, Category: "VPN",
		CustomerGatewayID: in.CustomerGatewayID, VPNGatewayID: in.VPNGatewayID, TransitGatewayID: in.TransitGatewayID,
		StaticRoutesOnly: in.StaticRoutesOnly, Tags: in.Tags,
	}
	var err error
	if c.Options, err = in.Options.options(to); err != nil {
		return none, err
	}
	v6 := c.Options.InsideIPv6
	if c.LocalCIDR, err = selector(v6, "Local", in.LocalIPv4NetworkCIDR, in.Options.LocalIPv6NetworkCIDR); err != nil {
		return none, err
	}
	if c.RemoteCIDR, err = selector(v6, "Remote", in.RemoteIPv4NetworkCIDR, in.Options.RemoteIPv6NetworkCIDR); err != nil {
		return none, err
	}
	for i, t := range in.Tunnels {
		if c.Tunnels[i], err = t.complete(i + 1); err != nil {
			return none, err
		}
	}
	return c, checkTunnels(c)
}

// selector checks one side of the traffic selectors, of which a connection has
// those of its own family; zero is everything.
func selector(v6 bool, side string, four, six netip.Prefix) (netip.Prefix, error) {
	option, family, p, all := side+"Ipv4NetworkCidr", "an IPv4", four, netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if v6 && four != (netip.Prefix{}) {
		return four, resource.Errorf(resource.CodeInvalidParameterCombination, "%s: %v is for connections whose TunnelInsideIpVersion is ipv4", option, four)
	}
	if v6 {
		option, family, p, all = side+"Ipv6NetworkCidr", "an IPv6", six, netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if p == (netip.Prefix{}) {
		return all, nil
	}
	if !p.IsValid() || p.Addr().Is6() != v6 || p.Addr().Is4In6() {
		return p, resource.Errorf(resource.CodeInvalidParameterValue, "%s: %v is not %s block", option, p, family)
	}
	return p.Masked(), nil
}

// checkGateways checks that the owner of c has both of its gateways and that
// they can be joined.
func checkGateways(tx *store.Tx, c resource.VPNConnection) error {
	customer, err := store.Find(tx, store.CustomerGateways, c.OwnerID, c.CustomerGatewayID, codeCustomerGatewayNotFound)
	if err != nil {
		return err
	}
	asn := uint32(0)
	switch {
	case c.VPNGatewayID != "":
		gateway, err := store.Find(tx, store.VPNGateways, c.OwnerID, c.VPNGatewayID, codeVPNGatewayNotFound)
		if err != nil {
			return err
		}
		if err := usable(gateway); err != nil {
			return err
		}
		asn = gateway.AmazonSideASN
	case c.TransitGatewayID != "":
		gateway, err := usableTransit(tx, c.OwnerID, c.TransitGatewayID)
		if err != nil {
			return err
		}
		asn = gateway.AmazonSideASN
	}
	if a := customer.IPAddress; a.IsValid() && a.Is6() != c.Options.OutsideIPv6 {
		return resource.Errorf(resource.CodeInvalidParameterCombination, "OutsideIpAddressType: the customer gateway %s has the address %v, and a tunnel's two outside addresses are of one family: %s is for IPv6, on transit gateways, and %s for IPv4", customer.ID, a, outsideIPv6, outsideIPv4)
	}
	// The session is always an external one (vpn §4.1); a static connection has
	// none, and its number is a placeholder.
	if !c.StaticRoutesOnly && customer.BGPASN == asn {
		return resource.Errorf(resource.CodeInvalidParameterValue, "CustomerGatewayId: %s has BGP number %d as %s has; the two must differ", customer.ID, customer.BGPASN, c.Target())
	}
	if customer.CertificateARN != "" {
		return checkCertified(c, customer)
	}
	return nil
}

// sameOptions reports whether a request that became the row want asks for
// nothing that old does not have.
func sameOptions(old, want resource.VPNConnection) bool {
	for i := range old.Tunnels {
		have, ask := old.Tunnels[i], want.Tunnels[i]
		if !ask.InsideCIDR.IsValid() {
			ask.InsideCIDR = have.InsideCIDR
		}
		if !ask.PreSharedKey.IsZero() && !ask.PreSharedKey.Equal(have.PreSharedKey) {
			return false
		}
		ask.OutsideIP = have.OutsideIP
		ask.PreSharedKey, have.PreSharedKey = secret.Secret{}, secret.Secret{}
		if !reflect.DeepEqual(have, ask) {
			return false
		}
	}
	old.Options.SecretARN = ""
	return old.Options == want.Options && old.StaticRoutesOnly == want.StaticRoutesOnly && old.LocalCIDR == want.LocalCIDR && old.RemoteCIDR == want.RemoteCIDR
}

// DescribeVPNConnections returns the connections of ids, or without ids all
// that who owns, that pass the filters; a deleted one is listed for an hour. Keys
// are in the answer: whoever prints it must not print them. Codes:
// InvalidVpnConnectionID.NotFound, and those of filter.Select.
func DescribeVPNConnections(tx *store.Tx, who resource.Account, ids []resource.VPNConnectionID, filters ...filter.Filter) ([]resource.VPNConnection, error) {
	rows, err := store.Describe(tx, store.VPNConnections, who, ids, codeVPNConnectionNotFound)
	if err != nil {
		return nil, err
	}
	list, err := filter.Select(rows, connectionFields(tx), func(c resource.VPNConnection) resource.Tags { return c.Tags }, filters)
	for i := range list {
		list[i] = withheld(list[i])
	}
	return list, err
}

// DeleteVPNConnection deletes a connection: deleting at once, and deleted when a
// host has taken its tunnels down. Deleting twice does nothing. Code:
// InvalidVpnConnectionID.NotFound.
func DeleteVPNConnection(tx *store.Tx, who resource.Account, id resource.VPNConnectionID) error {
	c, err := store.Find(tx, store.VPNConnections, who, id, codeVPNConnectionNotFound)
	if err != nil {
		return err
	}
	if c.Alive() {
		c.State = resource.StateDeleting
		store.VPNConnections.Put(tx, c.ID, c)
		dissociate(tx, c.ID)
	}
	return nil
}
