package device

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/gateway"
)

// A Connection is what a device is configured for.
type Connection struct {
	// Gateway is the customer's end: the same value that would run as one of
	// ours.
	Gateway gateway.Config
	// ID is vpn-…, or any name; GatewayID and CustomerGatewayID are AWS's names of
	// its ends, or empty.
	ID, GatewayID, CustomerGatewayID string
	// Site are the networks at the customer's end, where there is no BGP to say
	// them; only devices without tunnel interfaces need them.
	Site []netip.Prefix
	// Exact says that the suites are what the other end allows: then the best
	// that the device has is enough. Otherwise all that it has is offered.
	Exact bool
	// Describe has a format that only describes say what the connection is though no
	// gateway could run by it alone: it authenticates by certificate, which is in no
	// such file, has no gateway yet, or keeps its BGP out of its tunnels. What stands
	// in the way is then for its reader to say.
	Describe bool
	// Strong offers nothing weak. A connection that allows nothing else is refused.
	Strong bool
}

// Choices are the user's.
type Choices struct {
	// IKE is ikev1 or ikev2; empty means the best that device and connection have.
	IKE string
	// Interface is the device's own name of its outside interface; empty means the
	// vendor's first.
	Interface string
	// Local is the device's own address there, private behind NAT; the zero value
	// means whichever it has. Some devices must be told.
	Local netip.Addr
}

// A File is one file of a configuration. Text holds pre-shared keys.
type File struct {
	Path string // where it goes on the device; a name where it is entered by hand
	Text string
}

// Configure writes the files for a device. It refuses what the device cannot do
// and must, and says in the first file what else the connection asks for that the
// device is not told.
func Configure(t Type, c Connection, choice Choices) ([]File, error) {
	files, err := configure(t, c, choice)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", t.Name, err)
	}
	return files, nil
}

func configure(t Type, c Connection, choice Choices) ([]File, error) {
	c.Describe = c.Describe && t.spec.Describes
	if err := c.Gateway.Validate(); err != nil && !c.Describe {
		return nil, err
	}
	if t.Name == ownName {
		return ownFile(c, choice)
	}
	c.Gateway = c.Gateway.Effective()
	forms, err := t.forms()
	if err != nil {
		return nil, err
	}
	w := writer{t, forms, nil}
	files, err := w.write(c, choice)
	if err != nil {
		return nil, err
	}
	if w.remarks = w.unsaid(c, choice, files); len(w.remarks) > 0 {
		return w.write(c, choice)
	}
	return files, nil
}

// A writer writes the files of a device, with remarks on what they do not say.
type writer struct {
	Type
	forms   []form
	remarks []string
}

// write writes the files for a connection whose defaults are filled in.
func (t writer) write(c Connection, choice Choices) ([]File, error) {
	versions, err := t.versions(c, choice.IKE)
	if err != nil {
		return nil, err
	}
	if err := t.fits(c, choice, versions); err != nil {
		return nil, err
	}
	v, err := t.view(c, choice, versions)
	if err != nil {
		return nil, err
	}
	v.Remarks = t.remarks
	var out []File
	for _, f := range t.forms {
		made, err := f.fill(v)
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

// versions are those of IKE that device and connection have in common, one a
// tunnel: the best that all tunnels allow, else the best of each.
func (t Type) versions(c Connection, asked string) (out []int, err error) {
	if len(c.Gateway.Tunnels) == 0 {
		return nil, errors.New("the connection has no tunnel")
	}
	if asked != "" && !slices.Contains(t.IKE, asked) {
		return nil, fmt.Errorf("%s with %s: it speaks %s", t.full(), asked, strings.Join(t.IKE, " and "))
	}
	for _, own := range t.IKE {
		number := int(own[len(own)-1] - '0')
		if asked != "" && own != asked {
			continue
		}
		all := true
		for _, tunnel := range c.Gateway.Tunnels {
			all = all && slices.Contains(tunnel.Versions, number)
		}
		if all {
			return slices.Repeat([]int{number}, len(c.Gateway.Tunnels)), nil
		}
	}
	if asked != "" {
		return nil, fmt.Errorf("the connection does not allow %s on all tunnels; allow it with IKEVersions in its tunnel options, or leave --ike-version out", asked)
	}
	for _, tunnel := range c.Gateway.Tunnels {
		at := slices.IndexFunc(t.IKE, func(own string) bool { return slices.Contains(tunnel.Versions, int(own[len(own)-1]-'0')) })
		if at < 0 {
			return nil, fmt.Errorf("%s speaks %s, which the connection does not allow on tunnel %s; allow it with IKEVersions in its tunnel options", t.full(), strings.Join(t.IKE, " and "), tunnel.ID)
		}
		out = append(out, int(t.IKE[at][len(t.IKE[at])-1]-'0'))
	}
	return out, nil
}

// full is the device's whole name.
func (t Type) full() string { return fmt.Sprintf("%s %s (%s)", t.Vendor, t.Platform, t.Software) }

// fits refuses what the device cannot do with these versions of IKE.
func (t Type) fits(c Connection, choice Choices, versions []int) error {
	routing := "static"
	if c.Gateway.BGP.ASN != 0 {
		routing = "bgp"
	}
	switch n := len(c.Gateway.Tunnels); {
	case !slices.Contains(t.Routing, routing):
		return fmt.Errorf("%s has no configuration for a connection with %s routing; it has %s", t.full(), routing, strings.Join(t.Routing, " and "))
	case routing == "bgp" && len(c.Gateway.BGP.Announce) == 0 && !t.spec.Two && !t.spec.BGPApart && !t.spec.AnyPeer:
		// A filter without a network is one that lets everything pass, to some.
		return fmt.Errorf("nothing says which networks to announce, and %s might take that for all; say them with --advertise, such as --advertise 192.168.1.0/24", t.full())
	case t.spec.Two && n != 2:
		return fmt.Errorf("%d tunnels; this format has exactly two, as a connection of AWS's has", n)
	case choice.Local.IsValid() && choice.Local.Is4() != c.Gateway.Tunnels[0].Outside.Remote.Is4():
		return fmt.Errorf("the device's address %v: one of the family of the other end's %v is wanted", choice.Local, c.Gateway.Tunnels[0].Outside.Remote)
	case !plainWord(choice.Interface):
		return fmt.Errorf("the interface %q: a name has letters, digits, dots, slashes, hyphens, underscores and colons only", choice.Interface)
	case !plainWord(c.ID) || !plainWord(c.GatewayID) || !plainWord(c.CustomerGatewayID):
		return fmt.Errorf("the connection's names %q, %q, %q: letters, digits, dots, slashes, hyphens, underscores and colons only", c.ID, c.GatewayID, c.CustomerGatewayID)
	}
	if t.spec.Policies && (len(c.Site) != 1 || len(c.Gateway.Tunnels[0].Routes) != 1) {
		return fmt.Errorf("%s has no tunnel interface and selects by networks, and the other end takes one pair of them: give one network here with --advertise and one there with --route, each wide enough; there are %d and %d", t.full(), len(c.Site), len(c.Gateway.Tunnels[0].Routes))
	}
	for i, tunnel := range c.Gateway.Tunnels {
		if err := t.tunnelFits(tunnel, choice, versions[i]); err != nil && !c.Describe {
			return fmt.Errorf("tunnel %s: %w", tunnel.ID, err)
		}
	}
	return nil
}

// plainWord reports whether s can stand in every syntax without quotes.
func plainWord(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") == ""
}

var errCertificates = errors.New("it authenticates by certificate, which is in other files; configurations for devices are written for pre-shared keys")

func (t Type) tunnelFits(tunnel gateway.Tunnel, choice Choices, version int) error {
	own := tunnel.Outside.LocalID == cmp.Or(choice.Local, tunnel.Outside.Local).String()
	switch {
	case tunnel.Certificates.Used():
		return errCertificates
	case tunnel.Extensions.PPKRequired:
		return errors.New("it requires a post-quantum pre-shared key, which is in another file; leave ppk_required out")
	case !tunnel.Outside.Remote.IsValid():
		return errors.New("it waits for a peer of any address; a device must know where to connect to")
	case tunnel.Outside.Remote.Is6() && !t.spec.Outside6:
		return fmt.Errorf("its outside addresses are of IPv6, such as %v, which is not written for %s; make a connection whose OutsideIpAddressType is PublicIpv4", tunnel.Outside.Remote, t.full())
	case tunnel.Inside.Addr().Is6() && !t.spec.Inside6:
		return fmt.Errorf("it carries IPv6, inside address %v, which is not written for %s; seikan gateway runs it", tunnel.Inside.Addr(), t.full())
	case !tunnel.Inside.IsValid() || tunnel.Inside.Bits() > tunnel.Inside.Addr().BitLen()-2:
		return fmt.Errorf("its inside address is %v; a device needs one in a /30, such as 169.254.10.2/30", tunnel.Inside)
	case !t.spec.Selectors && !t.spec.AnyPeer && (tunnel.LocalTS.Bits() > 0 || tunnel.RemoteTS.Bits() > 0):
		return fmt.Errorf("it is narrowed to %v and %v, and %s is configured with a tunnel that carries everything; open the connection's LocalIpv4NetworkCidr and RemoteIpv4NetworkCidr", tunnel.LocalTS, tunnel.RemoteTS, t.full())
	case !t.spec.ForceEncap && !t.spec.AnyPeer && tunnel.Outside.ForceEncap:
		return fmt.Errorf("it must put ESP into UDP even without NAT, as accelerated connections do, which %s cannot be told", t.full())
	case t.spec.NeedsLocal && !choice.Local.IsValid() && !tunnel.Outside.Local.IsValid():
		return fmt.Errorf("%s must be told its own outside address, private if it is behind NAT; say it with --local-address", t.full())
	case t.spec.OwnIdentityV1 && version == 1 && !own:
		return fmt.Errorf("with IKEv1 %s identifies itself by its interface's address, and the other end knows it as %s: behind NAT it needs IKEv2; where it has that address, say so with --local-address %[2]s", t.full(), tunnel.Outside.LocalID)
	case t.spec.OwnIdentity && !own:
		return fmt.Errorf("%s identifies itself by its interface's address, and the other end knows it as %s: it cannot be behind NAT; give it that address and say so with --local-address %[2]s", t.full(), tunnel.Outside.LocalID)
	case tunnel.BGP.BFD != gateway.BFD{} && !t.BFD():
		return fmt.Errorf("its path is watched by BFD every %v, which is not written for %s; leave bfd out at both ends, and a broken path is found by dead peer detection and the hold time", tunnel.BGP.BFD.Interval, t.full())
	case t.spec.AnyPeer:
		return nil
	}
	for _, id := range []string{tunnel.Outside.LocalID, tunnel.Outside.RemoteID} {
		if _, err := netip.ParseAddr(id); err == nil || id == "" {
			continue
		}
		if !t.spec.Names || !hostName(id) {
			return fmt.Errorf("the identity %q is not an address, and %s takes no such name", id, t.full())
		}
	}
	return nil
}

// hostName reports whether an identity is a name such as office.example.
func hostName(s string) bool {
	return len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == "" && strings.Trim(s, "-.0123456789") != ""
}
