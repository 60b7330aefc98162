package vpn

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

func creating(in CreateVPNConnectionInput) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := CreateVPNConnection(tx, alice, in)
		return err
	}
}

func TestAConnectionIsMadeWhole(t *testing.T) {
	c := newCloud(t)
	made := c.connect(c.pair().input())
	row, _ := c.connection(made.ID)
	one, two := row.Tunnels[0], row.Tunnels[1]
	got := strings.Join([]string{string(row.State), row.Type, row.Category, row.LocalCIDR.String(), row.RemoteCIDR.String(), one.OutsideIP.String(), two.OutsideIP.String()}, " ")
	if want := "pending ipsec.1 VPN 0.0.0.0/0 0.0.0.0/0 203.0.113.10 203.0.113.11"; got != want {
		t.Errorf("connection: got %s, want %s", got, want)
	}
	if one.InsideCIDR == two.InsideCIDR || one.PreSharedKey.Equal(two.PreSharedKey) {
		t.Errorf("tunnels share inside block %v or key", one.InsideCIDR)
	}
	for i, tun := range row.Tunnels {
		if !prefix("169.254.0.0/16").Contains(tun.InsideCIDR.Addr()) || tun.InsideCIDR.Bits() != 30 || reservedInside(tun.InsideCIDR) {
			t.Errorf("tunnel %d: inside block: got %v, want a free /30 of 169.254.0.0/16", i+1, tun.InsideCIDR)
		}
		tele := row.Telemetry[i]
		if tele.Status != resource.TunnelDown || tele.OutsideIP != tun.OutsideIP || !tele.LastStatusChange.Equal(time.Unix(1700000000, 0)) {
			t.Errorf("tunnel %d: telemetry: got %+v, want DOWN since 1700000000", i+1, tele)
		}
	}
}

func TestRequestsThatDoNotStandAreRefused(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	for _, test := range []struct {
		name string
		edit func(*CreateVPNConnectionInput)
		code string
		word string
	}{
		{"no type", func(in *CreateVPNConnectionInput) { in.Type = "" }, "MissingParameter", "Type"},
		{"no customer gateway", func(in *CreateVPNConnectionInput) { in.CustomerGatewayID = "" }, "MissingParameter", "CustomerGatewayId"},
		{"unknown customer gateway", func(in *CreateVPNConnectionInput) { in.CustomerGatewayID = "cgw-none" }, "InvalidCustomerGatewayID.NotFound", "cgw-none"},
		{"unknown VPN gateway", func(in *CreateVPNConnectionInput) { in.VPNGatewayID = "vgw-none" }, "InvalidVpnGatewayID.NotFound", "vgw-none"},
		{"IPv6 selector", func(in *CreateVPNConnectionInput) { in.LocalIPv4NetworkCIDR = prefix("2001:db8::/32") }, "InvalidParameterValue", "LocalIpv4NetworkCidr: 2001:db8::/32"},
		{"broken selector", func(in *CreateVPNConnectionInput) {
			in.RemoteIPv4NetworkCIDR = netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), 33)
		}, "InvalidParameterValue", "RemoteIpv4NetworkCidr"},
		{"an option of tunnel 2", func(in *CreateVPNConnectionInput) { in.Tunnels[1].ReplayWindow = 1 }, "InvalidParameterValue", "TunnelOptions.2.ReplayWindowSize: 1"},
		{"both tunnels in one block", func(in *CreateVPNConnectionInput) {
			in.Tunnels[0].InsideCIDR, in.Tunnels[1].InsideCIDR = prefix("169.254.10.0/30"), prefix("169.254.10.2/30")
		}, "InvalidCidr.InUse", "TunnelOptions.2.TunnelInsideCidr: 169.254.10.0/30"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &cloud{T: t, store: c.store}
			in := p.input()
			test.edit(&in)
			c.refused(test.code, creating(in), test.word)
		})
	}
}

func TestTheTwoEndsOfABGPSessionDiffer(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	c.do(func(tx *store.Tx) (err error) {
		in := customerInput("198.51.100.3")
		in.BGPASN = p.gateway.AmazonSideASN
		p.customer, err = CreateCustomerGateway(tx, alice, in)
		return err
	})
	in := p.input()
	c.refused("", creating(in)) // static: the number is a placeholder
	in.StaticRoutesOnly = false
	c.refused("InvalidParameterValue", creating(in), "64512")
}

func TestTheSameConnectionIsMadeOnce(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	in := p.input()
	in.LocalIPv4NetworkCIDR = prefix("192.168.1.7/24")
	in.Tunnels[0].InsideCIDR = prefix("169.254.10.0/30")
	in.Tunnels[0].PreSharedKey = secret.FromString("first.key")
	made := c.connect(in)
	again := func(what string, in CreateVPNConnectionInput) {
		t.Helper()
		if got := c.connect(in); got.ID != made.ID {
			t.Errorf("%s: got %s, want %s", what, got.ID, made.ID)
		}
	}
	again("repeated", in)

	open := in
	open.Tunnels[0].PreSharedKey, open.Tunnels[0].InsideCIDR = secret.Secret{}, netip.Prefix{}
	again("key and block left open", open)

	spelled := in
	hundred := 100
	spelled.Tunnels[1] = TunnelOptionsInput{RekeyFuzz: &hundred, StartupAction: "add", Algorithms: Algorithms{IKEVersions: []string{"ikev2", "ikev1"}}}
	again("defaults spelled out", spelled)

	for name, edit := range map[string]func(*CreateVPNConnectionInput){
		"key":       func(in *CreateVPNConnectionInput) { in.Tunnels[0].PreSharedKey = secret.FromString("other.key") },
		"block":     func(in *CreateVPNConnectionInput) { in.Tunnels[1].InsideCIDR = prefix("169.254.99.0/30") },
		"lifetime":  func(in *CreateVPNConnectionInput) { in.Tunnels[1].Phase2Lifetime = 900 * time.Second },
		"algorithm": func(in *CreateVPNConnectionInput) { in.Tunnels[0].Algorithms.Phase1DHGroups = []int{20} },
		"dynamic":   func(in *CreateVPNConnectionInput) { in.StaticRoutesOnly = false },
		"selector":  func(in *CreateVPNConnectionInput) { in.LocalIPv4NetworkCIDR = prefix("192.168.0.0/16") },
	} {
		t.Run("other "+name, func(t *testing.T) {
			c := &cloud{T: t, store: c.store}
			other := in
			edit(&other)
			c.refused("InvalidOption.Conflict", creating(other), string(made.ID))
		})
	}
}

func TestInsideBlocksAreUniqueOnOneGatewayOnly(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	in := p.input()
	in.Tunnels[0].InsideCIDR = prefix("169.254.10.0/30")
	made := c.connect(in)

	other := c.pair() // the same customer gateway, another VPN gateway
	second := other.input()
	second.Tunnels[1].InsideCIDR = prefix("169.254.10.0/30")
	c.refused("", creating(second))

	c.do(func(tx *store.Tx) (err error) {
		p.customer, err = CreateCustomerGateway(tx, alice, customerInput("198.51.100.3"))
		return err
	})
	second.CustomerGatewayID, second.VPNGatewayID = p.customer.ID, p.gateway.ID
	c.refused("InvalidCidr.InUse", creating(second), "TunnelOptions.2.TunnelInsideCidr: 169.254.10.0/30", string(made.ID))

	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, made.ID) })
	c.refused("InvalidCidr.InUse", creating(second)) // the tunnel may still stand
	c.realise()
	c.refused("", creating(second))
}

// Of the last two blocks each tunnel gets one, wherever the search begins; the
// reserved ones are never among them.
func TestTheLastInsideBlocksAreFound(t *testing.T) {
	c := newCloud(t)
	c.do(func(tx *store.Tx) error {
		for range 20 {
			used := make(map[netip.Prefix]resource.VPNConnectionID)
			for n := range insideBlocks {
				if block := insideBlock(n); !reservedInside(block) && n != 99 && n != 12345 {
					used[block] = "vpn-other"
				}
			}
			var c, more resource.VPNConnection
			if err := chooseInside(tx, used, &c); err != nil {
				return err
			}
			got := []netip.Prefix{c.Tunnels[0].InsideCIDR, c.Tunnels[1].InsideCIDR}
			slices.SortFunc(got, netip.Prefix.Compare)
			if want := []netip.Prefix{insideBlock(99), insideBlock(12345)}; !slices.Equal(got, want) {
				t.Fatalf("blocks: got %v, want %v", got, want)
			}
			if err := chooseInside(tx, used, &more); resource.CodeOf(err) != codeNoAddresses {
				t.Fatalf("a third tunnel: got %v and %v, want %s", more.Tunnels[0].InsideCIDR, err, codeNoAddresses)
			}
		}
		return nil
	})
}

func TestAConnectionIsMadeAnewWhileTheOldOneGoes(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	old := c.connect(in)
	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, old.ID) })
	made := c.connect(in)
	if made.ID == old.ID || made.Slot == old.Slot || made.Tunnels[0].OutsideIP == old.Tunnels[0].OutsideIP {
		t.Errorf("got %s in slot %d at %v, want another than %s in slot %d at %v", made.ID, made.Slot, made.Tunnels[0].OutsideIP, old.ID, old.Slot, old.Tunnels[0].OutsideIP)
	}
}

func TestAnAddressOfTwoPoolsIsGivenOutOnce(t *testing.T) {
	c := newCloud(t)
	c.do(func(tx *store.Tx) error {
		for _, name := range []string{"edge", "more"} {
			store.OutsidePools.Put(tx, name, resource.OutsidePool{Name: name, Namespace: "edge", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10")}})
		}
		return nil
	})
	c.refused("InsufficientAddressCapacity", creating(c.pair().input()))
}

func TestOutsideAddressesRunOut(t *testing.T) {
	c := newCloud(t) // five addresses
	p := c.pair()
	var last resource.VPNConnection
	for i := range 3 {
		c.do(func(tx *store.Tx) (err error) {
			p.customer, err = CreateCustomerGateway(tx, alice, customerInput(fmt.Sprintf("198.51.100.%d", 10+i)))
			return err
		})
		if i == 2 {
			break
		}
		last = c.connect(p.input())
	}
	c.refused("InsufficientAddressCapacity", creating(p.input()), "two outside addresses")

	// Another edge's addresses are no use: the gateway's sockets are in one.
	c.do(func(tx *store.Tx) error {
		putPool(tx, "other", "203.0.113.20", "203.0.113.21")
		return nil
	})
	c.refused("InsufficientAddressCapacity", creating(p.input()))
	free := p.input()
	free.VPNGatewayID = c.pair().gateway.ID
	if got := c.connect(free).Tunnels[0].OutsideIP.String(); got != "203.0.113.20" {
		t.Errorf("a gateway bound to no edge: got %s, want 203.0.113.20", got)
	}

	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, last.ID) })
	c.realise()
	if got := c.connect(p.input()); got.Tunnels[0].OutsideIP != last.Tunnels[0].OutsideIP || got.Slot != last.Slot {
		t.Errorf("after a deletion: got %v in slot %d, want %v in slot %d", got.Tunnels[0].OutsideIP, got.Slot, last.Tunnels[0].OutsideIP, last.Slot)
	}
}

func TestGeneratedKeysKeepAWSRule(t *testing.T) {
	c := newCloud(t)
	used := make(map[byte]bool)
	c.do(func(tx *store.Tx) error {
		for range 500 {
			psk := newKey(tx)
			var check checker
			check.key(psk)
			if psk.Len() != 32 || check.err != nil {
				t.Fatalf("a key of %d characters: %v", psk.Len(), check.err)
			}
			for _, b := range psk.Reveal() {
				used[b] = true
			}
		}
		return nil
	})
	if len(used) != 64 {
		t.Errorf("characters used by 500 keys: got %d, want 64", len(used))
	}
}

func TestTheFaultOfAKeyDoesNotShowIt(t *testing.T) {
	for _, key := range []string{"0secretsecret", "se cretsecret", "secret", strings.Repeat("secret", 20)} {
		_, err := TunnelOptionsInput{PreSharedKey: secret.FromString(key)}.complete(1)
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "cret") {
			t.Errorf("got %v, want a fault without the key", err)
		}
	}
}

func TestKeysAreStored(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	in.Tunnels[1].PreSharedKey = secret.FromString("my.own_KEY")
	made := c.connect(in)
	row, _ := c.connection(made.ID)
	if !row.Tunnels[0].PreSharedKey.Equal(made.Tunnels[0].PreSharedKey) || string(row.Tunnels[1].PreSharedKey.Reveal()) != "my.own_KEY" {
		t.Error("the keys read back are not those made")
	}
}
