package vpn

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

const (
	alice = cloudtest.Alice
	bob   = cloudtest.Bob
)

// A cloud is a store in which alice has the VPCs vpc-1 and vpc-2 and bob has
// vpc-b. Its clock stands until the test moves it.
type cloud struct {
	*testing.T
	store *store.Store
	now   time.Time
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{T: t, now: time.Unix(1700000000, 500)}
	c.store = cloudtest.Open(t, store.Config{Now: func() time.Time { return c.now }})
	c.do(func(tx *store.Tx) error {
		putVPC(tx, "vpc-1", alice, "10.0.0.0/16")
		putVPC(tx, "vpc-2", alice, "10.1.0.0/16")
		putVPC(tx, "vpc-b", bob, "10.0.0.0/16")
		putPool(tx, "edge", "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13", "203.0.113.14")
		return nil
	})
	return c
}

func putVPC(tx *store.Tx, id resource.VPCID, owner resource.Account, cidr string) {
	store.VPCs.Put(tx, id, resource.VPC{ID: id, OwnerID: owner, State: resource.StateAvailable, CIDR: prefix(cidr)})
}

func putPool(tx *store.Tx, name string, addrs ...string) {
	p := resource.OutsidePool{Name: name, Namespace: name}
	for _, a := range addrs {
		p.Addresses = append(p.Addresses, netip.MustParseAddr(a))
	}
	store.OutsidePools.Put(tx, name, p)
}

func (c *cloud) do(fn func(*store.Tx) error) {
	c.Helper()
	cloudtest.Do(c, c.store, fn)
}

func (c *cloud) realise() {
	c.Helper()
	c.do(func(tx *store.Tx) error {
		MarkRealised(tx, func(resource.VPNGateway) bool { return false })
		MarkTransitRealised(tx, func(string) bool { return false })
		return nil
	})
}

// refused runs fn, wants its error to have code and to name all of words, and
// writes nothing.
func (c *cloud) refused(code string, fn func(*store.Tx) error, words ...string) {
	c.Helper()
	cloudtest.WantRefusal(c, c.store, code, fn, words...)
}

// connection reads one connection back.
func (c *cloud) connection(id resource.VPNConnectionID) (row resource.VPNConnection, found bool) {
	c.Helper()
	c.do(func(tx *store.Tx) error {
		row, found = store.VPNConnections.Get(tx, id)
		return nil
	})
	return row, found
}

// A pair is what a connection joins.
type pair struct {
	customer resource.CustomerGateway
	gateway  resource.VPNGateway
}

func (c *cloud) pair() (p pair) {
	c.Helper()
	c.do(func(tx *store.Tx) (err error) {
		if p.customer, err = CreateCustomerGateway(tx, alice, customerInput("198.51.100.2")); err != nil {
			return err
		}
		p.gateway, err = CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1"})
		return err
	})
	return p
}

func customerInput(addr string) CreateCustomerGatewayInput {
	return CreateCustomerGatewayInput{Type: "ipsec.1", IPAddress: netip.MustParseAddr(addr)}
}

// input asks for a static connection with everything at its default.
func (p pair) input() CreateVPNConnectionInput {
	return CreateVPNConnectionInput{Type: "ipsec.1", CustomerGatewayID: p.customer.ID, VPNGatewayID: p.gateway.ID, StaticRoutesOnly: true}
}

func (c *cloud) connect(in CreateVPNConnectionInput) (row resource.VPNConnection) {
	c.Helper()
	c.do(func(tx *store.Tx) (err error) {
		row, err = CreateVPNConnection(tx, alice, in)
		return err
	})
	return row
}

// attach joins a gateway to vpc-1 and lets a host build it.
func (c *cloud) attach(id resource.VPNGatewayID) {
	c.Helper()
	c.do(func(tx *store.Tx) error {
		_, err := AttachVPNGateway(tx, alice, "vpc-1", id)
		return err
	})
	c.realise()
}

func TestCustomerGatewaysAreChecked(t *testing.T) {
	c := newCloud(t)
	for _, test := range []struct {
		name string
		edit func(*CreateCustomerGatewayInput)
		code string // empty: accepted
		want string // a part of the error, or the number
	}{
		{"default number", func(*CreateCustomerGatewayInput) {}, "", "65000"},
		{"highest plain number", func(in *CreateCustomerGatewayInput) { in.BGPASN = 2147483647 }, "", "2147483647"},
		{"number for the other field", func(in *CreateCustomerGatewayInput) { in.BGPASN = 2147483648 }, "InvalidParameterValue", "BgpAsn: 2147483648"},
		{"highest extended number", func(in *CreateCustomerGatewayInput) { in.BGPASNExtended = 4294967295 }, "", "4294967295"},
		{"extended number too low", func(in *CreateCustomerGatewayInput) { in.BGPASNExtended = 65001 }, "InvalidParameterValue", "BgpAsnExtended: 65001"},
		{"both numbers", func(in *CreateCustomerGatewayInput) { in.BGPASN, in.BGPASNExtended = 1, 4200000000 }, "InvalidParameterCombination", "4200000000"},
		{"Amazon's number", func(in *CreateCustomerGatewayInput) { in.BGPASN = 7224 }, "InvalidParameterValue", "7224"},
		{"Amazon's number of that region", func(in *CreateCustomerGatewayInput) { in.BGPASN, in.Region = 9059, "eu-west-1" }, "InvalidParameterValue", "9059"},
		{"Amazon's number of another region", func(in *CreateCustomerGatewayInput) { in.BGPASN = 9059 }, "", "9059"},
		{"no type", func(in *CreateCustomerGatewayInput) { in.Type = "" }, "MissingParameter", "Type"},
		{"another type", func(in *CreateCustomerGatewayInput) { in.Type = "ipsec.2" }, "InvalidParameterValue", "ipsec.2"},
		{"no address", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.Addr{} }, "MissingParameter", "IpAddress"},
		{"private address", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.MustParseAddr("192.168.0.9") }, "", "65000"},
		{"IPv6 address", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.MustParseAddr("2001:db8::1") }, "", "65000"},
		{"IPv4 address in one of IPv6", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.MustParseAddr("::ffff:192.0.2.1") }, "InvalidParameterValue", "::ffff:192.0.2.1"},
		{"address of one link", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.MustParseAddr("fe80::1") }, "InvalidParameterValue", "fe80::1"},
		{"address with a zone", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.MustParseAddr("2001:db8::1%eth0") }, "InvalidParameterValue", "2001:db8::1%eth0"},
		{"no address of IPv6", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.IPv6Unspecified() }, "InvalidParameterValue", "::"},
		{"class E address", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.MustParseAddr("240.0.0.1") }, "InvalidParameterValue", "240.0.0.1"},
		{"loopback address", func(in *CreateCustomerGatewayInput) { in.IPAddress = netip.MustParseAddr("127.0.0.1") }, "InvalidParameterValue", "127.0.0.1"},
		{"long name", func(in *CreateCustomerGatewayInput) { in.DeviceName = strings.Repeat("x", 256) }, "InvalidParameterValue", "256 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &cloud{T: t, store: c.store}
			in := customerInput("198.51.100.2")
			test.edit(&in)
			if test.code != "" {
				c.refused(test.code, func(tx *store.Tx) error {
					_, err := CreateCustomerGateway(tx, alice, in)
					return err
				}, test.want)
				return
			}
			c.do(func(tx *store.Tx) error {
				g, err := CreateCustomerGateway(tx, alice, in)
				if got := fmt.Sprint(g.BGPASN); err == nil && (got != test.want || g.State != resource.StateAvailable || g.OwnerID != alice) {
					t.Errorf("got %+v, want number %s, available, of %s", g, test.want, alice)
				}
				return err
			})
		})
	}
}

func TestTheSameCustomerGatewayIsMadeOnce(t *testing.T) {
	c := newCloud(t)
	c.do(func(tx *store.Tx) error {
		ids := make(map[resource.CustomerGatewayID]int)
		for _, in := range []CreateCustomerGatewayInput{customerInput("198.51.100.2"), customerInput("198.51.100.2"),
			{Type: "ipsec.1", IPAddress: netip.MustParseAddr("198.51.100.2"), BGPASN: 65000},
			{Type: "ipsec.1", IPAddress: netip.MustParseAddr("198.51.100.2"), DeviceName: "second"}} {
			g, err := CreateCustomerGateway(tx, alice, in)
			if err != nil {
				return err
			}
			ids[g.ID]++
		}
		g, err := CreateCustomerGateway(tx, bob, customerInput("198.51.100.2"))
		if err != nil {
			return err
		}
		ids[g.ID]++
		if len(ids) != 3 {
			t.Errorf("gateways: got %v, want alice's plain one three times, her second and bob's", ids)
		}
		return nil
	})
}

func TestVPNGatewayNumbers(t *testing.T) {
	c := newCloud(t)
	for asn, ok := range map[uint32]bool{0: true, 64511: false, 64512: true, 65534: true, 65535: false, 4199999999: false, 4200000000: true, 4294967294: true, 4294967295: false} {
		code := ""
		if !ok {
			code = resource.CodeInvalidParameterValue
		}
		c.refused(code, func(tx *store.Tx) error {
			g, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1", AmazonSideASN: asn})
			if asn == 0 && g.AmazonSideASN != 64512 {
				t.Errorf("default: got %d, want 64512", g.AmazonSideASN)
			}
			return err
		})
	}
}

func TestEachGatewayHasALinkOfItsOwn(t *testing.T) {
	c := newCloud(t)
	c.do(func(tx *store.Tx) error {
		var links []string
		var ids []resource.VPNGatewayID
		make := func() {
			g, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1"})
			if err != nil {
				t.Fatal(err)
			}
			ids, links = append(ids, g.ID), append(links, g.Link.String())
		}
		make()
		make()
		make()
		if err := DeleteVPNGateway(tx, alice, ids[1]); err != nil {
			return err
		}
		MarkRealised(tx, func(resource.VPNGateway) bool { return false })
		make()
		if got, want := strings.Join(links, " "), "240.255.0.0/31 240.255.0.2/31 240.255.0.4/31 240.255.0.2/31"; got != want {
			t.Errorf("links: got %s, want %s", got, want)
		}
		return nil
	})
}
