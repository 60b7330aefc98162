package vpn

import (
	"cmp"
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// ModifyVPNConnectionInput says what one of a connection's two ends becomes:
// exactly one of the three is given.
type ModifyVPNConnectionInput struct {
	ID                resource.VPNConnectionID
	CustomerGatewayID resource.CustomerGatewayID
	VPNGatewayID      resource.VPNGatewayID
	TransitGatewayID  resource.TransitGatewayID
}

// ModifyVPNConnection gives a connection another customer gateway or another
// gateway at the cloud's end. Both tunnels are built anew; their outside
// addresses, inside blocks and options stay, and so do keys unless the customer
// gateway begins or ceases to have a certificate (vpn §1.3, §3.6). The
// connection is modifying until a host has done so. Codes:
// InvalidVpnConnectionID.NotFound, InvalidVpnConnection.InvalidState,
// ConcurrentMutationLimitExceeded, MissingParameter,
// InvalidParameterCombination, IncorrectState for static routes that a transit
// gateway does not take, and those of CreateVPNConnection.
func ModifyVPNConnection(tx *store.Tx, who resource.Account, in ModifyVPNConnectionInput) (resource.VPNConnection, error) {
	c, err := modifiable(tx, who, in.ID)
	if err != nil {
		return withheld(c), err
	}
	given := 0
	for _, id := range []string{string(in.CustomerGatewayID), string(in.VPNGatewayID), string(in.TransitGatewayID)} {
		if id != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return withheld(c), resource.Errorf(resource.CodeMissingParameter, "give one of CustomerGatewayId, VpnGatewayId and TransitGatewayId")
	case given > 1:
		return withheld(c), resource.Errorf(resource.CodeInvalidParameterCombination, "give only one of CustomerGatewayId, VpnGatewayId and TransitGatewayId")
	case in.CustomerGatewayID != "":
		c.CustomerGatewayID = in.CustomerGatewayID
		if err := reauthenticate(tx, &c); err != nil {
			return withheld(c), err
		}
		if err := checkGateways(tx, c); err != nil {
			return withheld(c), err
		}
	default:
		if c, err = retarget(tx, c, target{in.VPNGatewayID, in.TransitGatewayID}); err != nil {
			return withheld(c), err
		}
	}
	return rebuild(tx, c, 0, 1), nil
}

// retarget moves c to another gateway at the cloud's end.
func retarget(tx *store.Tx, c resource.VPNConnection, to target) (resource.VPNConnection, error) {
	if to == targetOf(c) {
		return c, nil
	}
	switch {
	case to.transit != "" && len(c.Routes) > 0:
		return c, resource.Errorf(resource.CodeIncorrectState, "the VPN connection %s has %d static routes, which a transit gateway does not take; delete them first and make transit gateway routes afterwards", c.ID, len(c.Routes))
	case to.gateway != "" && (c.Options.InsideIPv6 || c.Options.OutsideIPv6):
		return c, resource.Errorf(resource.CodeInvalidParameterCombination, "VpnGatewayId: %s has IPv6 inside or outside, which needs a transit gateway and cannot be changed; make another connection", c.ID)
	case to.gateway != "" && c.Options.Bandwidth == resource.BandwidthLarge:
		return c, resource.Errorf(resource.CodeInvalidParameterCombination, "TunnelBandwidth: %s has large tunnels, which need a transit gateway; make them standard first", c.ID)
	}
	c.VPNGatewayID, c.TransitGatewayID, c.Slot = to.gateway, to.transit, 0
	if err := checkGateways(tx, c); err != nil {
		return c, err
	}
	if err := checkTargetQuota(tx, c); err != nil {
		return c, err
	}
	if err := place(tx, &c); err != nil {
		return c, err
	}
	dissociate(tx, c.ID)
	return c, associate(tx, c)
}

// ModifyVPNConnectionOptionsInput names the options to change; zero values leave
// an option as it is.
type ModifyVPNConnectionOptionsInput struct {
	ID                                          resource.VPNConnectionID
	LocalIPv4NetworkCIDR, RemoteIPv4NetworkCIDR netip.Prefix
	LocalIPv6NetworkCIDR, RemoteIPv6NetworkCIDR netip.Prefix // only with IPv6 inside, as the others without
	Bandwidth                                   string       // TunnelBandwidth
}

// ModifyVPNConnectionOptions changes a connection's selectors or bandwidth. Both
// tunnels are built anew; addresses, keys and the options that are not named
// stay. Codes: InvalidVpnConnectionID.NotFound,
// InvalidVpnConnection.InvalidState, ConcurrentMutationLimitExceeded,
// MissingParameter, InvalidParameterValue, InvalidParameterCombination,
// VpnConnectionLimitExceeded.
func ModifyVPNConnectionOptions(tx *store.Tx, who resource.Account, in ModifyVPNConnectionOptionsInput) (resource.VPNConnection, error) {
	c, err := modifiable(tx, who, in.ID)
	if err != nil {
		return withheld(c), err
	}
	if in == (ModifyVPNConnectionOptionsInput{ID: in.ID}) {
		return withheld(c), resource.Errorf(resource.CodeMissingParameter, "name at least one option to change")
	}
	before := c.Options.Bandwidth
	want := fixed(c)
	want.LocalIPv6NetworkCIDR, want.RemoteIPv6NetworkCIDR, want.Bandwidth = in.LocalIPv6NetworkCIDR, in.RemoteIPv6NetworkCIDR, cmp.Or(in.Bandwidth, before)
	options, err := want.options(targetOf(c))
	if err != nil {
		return withheld(c), err
	}
	for _, side := range []struct {
		name      string
		four, six netip.Prefix
		to        *netip.Prefix
	}{{"Local", in.LocalIPv4NetworkCIDR, in.LocalIPv6NetworkCIDR, &c.LocalCIDR}, {"Remote", in.RemoteIPv4NetworkCIDR, in.RemoteIPv6NetworkCIDR, &c.RemoteCIDR}} {
		if side.four == (netip.Prefix{}) && side.six == (netip.Prefix{}) {
			continue
		}
		if *side.to, err = selector(c.Options.InsideIPv6, side.name, side.four, side.six); err != nil {
			return withheld(c), err
		}
	}
	if c.Options.Bandwidth = options.Bandwidth; c.Options.Bandwidth != before {
		if err := checkConnections(tx, c); err != nil {
			return withheld(c), err
		}
	}
	return rebuild(tx, c, 0, 1), nil
}

// ModifyVPNTunnelOptionsInput names a tunnel and the options to change; zero
// values leave an option as it is.
type ModifyVPNTunnelOptionsInput struct {
	ID        resource.VPNConnectionID
	OutsideIP netip.Addr // VpnTunnelOutsideIpAddress: the tunnel's key
	Options   TunnelOptionsInput
	// SkipReplacement leaves the endpoint in place; only for a request that does
	// nothing but switch LifecycleControl.
	SkipReplacement bool
	// PreSharedKeyStorage moves the keys: Standard or SecretsManager.
	PreSharedKeyStorage string
}

// ModifyVPNTunnelOptions changes options of one tunnel: what is not named stays,
// and so do its outside address and the other tunnel (vpn §2.2). The tunnel is
// built anew, and the connection is modifying until a host has done so. Codes:
// InvalidVpnConnectionID.NotFound, InvalidVpnConnection.InvalidState,
// ConcurrentMutationLimitExceeded, MissingParameter, InvalidParameterValue,
// InvalidParameterCombination, InvalidCidr.InUse, OperationNotPermitted.
func ModifyVPNTunnelOptions(tx *store.Tx, who resource.Account, in ModifyVPNTunnelOptionsInput) (resource.VPNConnection, error) {
	c, err := modifiable(tx, who, in.ID)
	if err != nil {
		return withheld(c), err
	}
	i, err := tunnelAt(c, in.OutsideIP)
	if err != nil {
		return withheld(c), err
	}
	if in.nothing() {
		return withheld(c), resource.Errorf(resource.CodeMissingParameter, "TunnelOptions: is required; name at least one option to change")
	}
	old := c.Tunnels[i]
	if err := checkSkip(in, c.Endpoints[i]); err != nil {
		return withheld(c), err
	}
	merged, err := in.Options.over(inputOf(old)).complete(0)
	if err != nil {
		return withheld(c), err
	}
	merged.OutsideIP = old.OutsideIP
	c.Tunnels[i] = merged
	if err := checkTunnels(c); err != nil {
		return withheld(c), err
	}
	if err := checkInside(tx, c, i); err != nil {
		return withheld(c), err
	}
	if err := checkGateways(tx, c); err != nil { // one with a certificate has rules for options
		return withheld(c), err
	}
	if in.PreSharedKeyStorage != "" {
		want := fixed(c)
		want.PreSharedKeyStorage = in.PreSharedKeyStorage
		options, err := want.options(targetOf(c))
		if err != nil {
			return withheld(c), err
		}
		c.Options.KeyStorage = options.KeyStorage
		keepSecret(&c)
	}
	if in.SkipReplacement {
		store.VPNConnections.Put(tx, c.ID, c)
		return withheld(c), nil
	}
	if e := &c.Endpoints[i]; e.Maintenance.Pending && !merged.LifecycleControl {
		e.Maintenance = resource.Maintenance{LastApplied: tx.Now()} // the owner no longer says when
	}
	return rebuild(tx, c, i), nil
}

// nothing reports whether in asks for no change.
func (in ModifyVPNTunnelOptionsInput) nothing() bool {
	return in.PreSharedKeyStorage == "" && in.Options.empty()
}

// checkSkip refuses SkipTunnelReplacement where the endpoint must be replaced
// (vpn §2.2).
func checkSkip(in ModifyVPNTunnelOptionsInput, e resource.TunnelEndpoint) error {
	if !in.SkipReplacement {
		return nil
	}
	rest := in
	rest.Options.LifecycleControl = nil
	switch {
	case in.Options.LifecycleControl == nil || !rest.nothing():
		return resource.Errorf(resource.CodeInvalidParameterCombination, "SkipTunnelReplacement: true is only for a request that does nothing but switch EnableTunnelLifecycleControl")
	case e.Maintenance.Pending && !*in.Options.LifecycleControl:
		return resource.Errorf(resource.CodeOperationNotPermitted, "SkipTunnelReplacement: maintenance of the tunnel is pending, and is applied at once when EnableTunnelLifecycleControl is switched off; leave it out")
	}
	return nil
}

// ModifyVPNTunnelCertificate gives the cloud's end of one tunnel a new
// certificate by the same authority, and a new endpoint (vpn §3.7). Codes: those
// of ModifyVPNTunnelOptions; UnsupportedOperation for a tunnel with a pre-shared
// key.
func ModifyVPNTunnelCertificate(tx *store.Tx, who resource.Account, id resource.VPNConnectionID, outside netip.Addr) (resource.VPNConnection, error) {
	c, err := modifiable(tx, who, id)
	if err != nil {
		return withheld(c), err
	}
	i, err := tunnelAt(c, outside)
	if err != nil {
		return withheld(c), err
	}
	old, certified := store.Certificates.Get(tx, c.Telemetry[i].CertificateARN)
	if c.Telemetry[i].CertificateARN == "" || !certified {
		return withheld(c), resource.Errorf(codeUnsupported, "the tunnel %v of %s authenticates by a pre-shared key and has no certificate", outside, id)
	}
	own, err := renewed(tx, old)
	if err != nil {
		return withheld(c), err
	}
	store.Certificates.Delete(tx, old.ARN)
	store.Certificates.Put(tx, own.ARN, own)
	c.Telemetry[i].CertificateARN = own.ARN
	return rebuild(tx, c, i), nil
}

// reauthenticate makes c authenticate as its customer gateway does: by the keys
// that it has or gets, or by certificates.
func reauthenticate(tx *store.Tx, c *resource.VPNConnection) error {
	device, err := store.Find(tx, store.CustomerGateways, c.OwnerID, c.CustomerGatewayID, codeCustomerGatewayNotFound)
	if err != nil {
		return err
	}
	uncertify(tx, *c)
	for i := range c.Tunnels {
		c.Telemetry[i].CertificateARN = ""
		switch psk := &c.Tunnels[i].PreSharedKey; {
		case device.CertificateARN != "":
			*psk = secret.Secret{}
		case psk.IsZero():
			*psk = newKey(tx)
		}
	}
	if device.CertificateARN == "" {
		return nil
	}
	return certify(tx, c, device.CertificateARN)
}

// modifiable finds a connection that can be changed now.
func modifiable(tx *store.Tx, who resource.Account, id resource.VPNConnectionID) (resource.VPNConnection, error) {
	c, err := store.Find(tx, store.VPNConnections, who, id, codeVPNConnectionNotFound)
	switch {
	case err != nil:
		return c, err
	case c.State == resource.StateModifying:
		return c, resource.Errorf(codeConcurrentMutation, "the VPN connection %s is being modified; try again when it is available", id)
	case c.State != resource.StateAvailable:
		return c, resource.Errorf(codeVPNConnectionState, "the VPN connection %s is %s, not available", id, c.State)
	}
	if i := slices.IndexFunc(c.Endpoints[:], func(e resource.TunnelEndpoint) bool { return !e.Draining.IsZero() }); i >= 0 {
		return c, resource.Errorf(codeConcurrentMutation, "the endpoint of the tunnel %v of %s is being replaced; try again when that is done", c.Tunnels[i].OutsideIP, id)
	}
	return c, nil
}

// tunnelAt is the number, 0 or 1, of the tunnel of c with an outside address.
func tunnelAt(c resource.VPNConnection, outside netip.Addr) (int, error) {
	if !outside.IsValid() {
		return 0, resource.Errorf(resource.CodeMissingParameter, "VpnTunnelOutsideIpAddress: is required; %s has %v and %v", c.ID, c.Tunnels[0].OutsideIP, c.Tunnels[1].OutsideIP)
	}
	for i, t := range c.Tunnels {
		if t.OutsideIP == outside {
			return i, nil
		}
	}
	return 0, resource.Errorf(resource.CodeInvalidParameterValue, "VpnTunnelOutsideIpAddress: %v is no tunnel of %s; it has %v and %v", outside, c.ID, c.Tunnels[0].OutsideIP, c.Tunnels[1].OutsideIP)
}

// rebuild writes c as modifying, with new endpoints for the tunnels numbered.
func rebuild(tx *store.Tx, c resource.VPNConnection, tunnels ...int) resource.VPNConnection {
	c.State = resource.StateModifying
	for _, i := range tunnels {
		c.Endpoints[i].Generation++
		c.Endpoints[i].Replaced = tx.Now()
	}
	store.VPNConnections.Put(tx, c.ID, c)
	return withheld(c)
}

// checkInside refuses an inside block of tunnel i that another tunnel of c's
// gateway has.
func checkInside(tx *store.Tx, c resource.VPNConnection, i int) error {
	used := insideInUse(tx, c)
	for _, o := range insideOptions(&c) {
		if o.tunnel != i {
			used[*o.block] = "the other tunnel of this connection"
		}
	}
	for _, o := range insideOptions(&c) {
		if by, taken := used[*o.block]; taken && o.tunnel == i {
			return resource.Errorf(codeCIDRInUse, "TunnelOptions.%s: %v is used by %s; each tunnel of a gateway has a block of its own", o.name, o.block, by)
		}
	}
	return nil
}
