package vpn

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// available makes a connection and lets a host build it.
func (c *cloud) available(in CreateVPNConnectionInput) resource.VPNConnection {
	c.Helper()
	id := c.connect(in).ID
	c.realise()
	row, _ := c.connection(id)
	return row
}

// tunnels prints what must survive a modification, and the generations.
func generations(c resource.VPNConnection) [2]int {
	return [2]int{c.Endpoints[0].Generation, c.Endpoints[1].Generation}
}

func modifyingTunnel(in ModifyVPNTunnelOptionsInput) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := ModifyVPNTunnelOptions(tx, alice, in)
		return err
	}
}

// What a request does not name stays, for every option there is (vpn §2.2): a
// tunnel with nothing at its default is changed one option at a time.
func TestModifyingATunnelIsAMerge(t *testing.T) {
	fuzz, yes, no, other := 50, true, false, 10
	group := "arn:aws:logs:us-east-1:111111111111:log-group:a"
	full := TunnelOptionsInput{
		InsideCIDR: prefix("169.254.10.0/30"), InsideIPv6CIDR: prefix("fd00::4/126"), PreSharedKey: secret.FromString("first.key"),
		Phase1Lifetime: 7200 * time.Second, Phase2Lifetime: 1800 * time.Second, RekeyMargin: 100 * time.Second, RekeyFuzz: &fuzz, ReplayWindow: 128,
		DPDTimeout: 40 * time.Second, DPDTimeoutAction: "restart", StartupAction: "start",
		Algorithms: Algorithms{IKEVersions: []string{"ikev2"}, Phase1Encryption: []string{"AES256"}, Phase2Encryption: []string{"AES256-GCM-16"},
			Phase1Integrity: []string{"SHA2-256"}, Phase2Integrity: []string{"SHA2-384"}, Phase1DHGroups: []int{20}, Phase2DHGroups: []int{21}},
		LivenessInterval: time.Second, LivenessTimeout: 3 * time.Second, LifecycleControl: &yes,
		BFD:  &resource.BFD{Interval: time.Second, Multiplier: 4},
		Logs: TunnelLogsInput{Activity: TunnelLogInput{&yes, group, "text"}, BGP: TunnelLogInput{&yes, group, "text"}},
	}
	before, err := full.complete(1)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := (TunnelOptionsInput{}).over(inputOf(before)).complete(0); err != nil || !sameTunnel(before, again) {
		t.Fatalf("a request that names nothing: got %+v, %v, want %+v", again, err, before)
	}
	change := reflect.ValueOf(TunnelOptionsInput{
		InsideCIDR: prefix("169.254.11.0/30"), InsideIPv6CIDR: prefix("fd00::8/126"), PreSharedKey: secret.FromString("second.key"),
		Phase1Lifetime: 3600 * time.Second, Phase2Lifetime: 2400 * time.Second, RekeyMargin: 60 * time.Second, RekeyFuzz: &other, ReplayWindow: 256,
		DPDTimeout: 50 * time.Second, DPDTimeoutAction: "none", StartupAction: "add",
		Algorithms:       Algorithms{Phase1Encryption: []string{"AES128"}},
		LivenessInterval: 2 * time.Second, LivenessTimeout: 4 * time.Second, LifecycleControl: &no,
		BFD:  &resource.BFD{}, // switched off
		Logs: TunnelLogsInput{Activity: TunnelLogInput{Format: "json"}},
	})
	for i := range change.NumField() {
		name := change.Type().Field(i).Name
		in := reflect.New(change.Type()).Elem()
		in.Field(i).Set(change.Field(i))
		after, err := in.Interface().(TunnelOptionsInput).over(inputOf(before)).complete(0)
		if err != nil {
			t.Errorf("%s alone: %v", name, err)
		}
		if got := differences(before, after); got != 1 {
			t.Errorf("%s alone changes %d options, want 1", name, got)
		}
	}
}

func sameTunnel(a, b resource.TunnelOptions) bool { return differences(a, b) == 0 }

// differences counts the fields in which two tunnels differ.
func differences(a, b resource.TunnelOptions) (n int) {
	if !a.PreSharedKey.Equal(b.PreSharedKey) {
		n++
	}
	a.PreSharedKey, b.PreSharedKey = secret.Secret{}, secret.Secret{}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			n++
		}
	}
	return n
}

// Only the named tunnel is built anew, and addresses, blocks and keys stay (vpn
// §3.6); the connection is modifying until a host has done it (vpn §1.6).
func TestModifyingATunnelRebuildsThatTunnelOnly(t *testing.T) {
	c := newCloud(t)
	before := c.available(c.pair().input())
	in := ModifyVPNTunnelOptionsInput{ID: before.ID, OutsideIP: before.Tunnels[1].OutsideIP, Options: TunnelOptionsInput{ReplayWindow: 128}}
	c.do(modifyingTunnel(in))
	after, _ := c.connection(before.ID)
	if after.State != resource.StateModifying || generations(after) != [2]int{0, 1} {
		t.Errorf("got %s and generations %v, want modifying and tunnel 2's raised", after.State, generations(after))
	}
	if !sameTunnel(before.Tunnels[0], after.Tunnels[0]) || differences(before.Tunnels[1], after.Tunnels[1]) != 1 || after.Tunnels[1].ReplayWindow != 128 {
		t.Errorf("got %+v, want tunnel 2's window changed and nothing else", after.Tunnels)
	}
	c.refused("ConcurrentMutationLimitExceeded", modifyingTunnel(in), "being modified") // §1.9
	c.realise()
	if after, _ = c.connection(before.ID); after.State != resource.StateAvailable {
		t.Errorf("after the host: got %s, want available", after.State)
	}
}

func TestModificationsThatDoNotStandAreRefused(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	row := c.available(p.input())
	one, two := row.Tunnels[0].OutsideIP, row.Tunnels[1]
	yes, no := true, false
	option := TunnelOptionsInput{ReplayWindow: 128}
	for _, test := range []struct {
		name string
		code string
		in   ModifyVPNTunnelOptionsInput
		word string
	}{
		{"§1.9 unknown connection", "InvalidVpnConnectionID.NotFound", ModifyVPNTunnelOptionsInput{ID: "vpn-none", OutsideIP: one, Options: option}, "vpn-none"},
		{"§1.1 a tunnel is named by its address", "InvalidParameterValue", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: netip.MustParseAddr("192.0.2.1"), Options: option}, "192.0.2.1"},
		{"§1.3 which tunnel", "MissingParameter", ModifyVPNTunnelOptionsInput{ID: row.ID, Options: option}, "VpnTunnelOutsideIpAddress"},
		{"§1.3 what", "MissingParameter", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one}, "TunnelOptions"},
		{"§2.1 out of range", "InvalidParameterValue", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one, Options: TunnelOptionsInput{ReplayWindow: 1}}, "TunnelOptions.ReplayWindowSize: 1"},
		{"§2.1 against an option that stays", "InvalidParameterValue", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one, Options: TunnelOptionsInput{Phase1Lifetime: time.Hour}}, "Phase2LifetimeSeconds: 3600 s is not less"},
		{"§1.9 the other tunnel's block", "InvalidCidr.InUse", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one, Options: TunnelOptionsInput{InsideCIDR: two.InsideCIDR}}, "the other tunnel"},
		{"§2.2 skipping with another option", "InvalidParameterCombination", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one, Options: TunnelOptionsInput{ReplayWindow: 128, LifecycleControl: &yes}, SkipReplacement: true}, "SkipTunnelReplacement"},
		{"§2.2 skipping without lifecycle control", "InvalidParameterCombination", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one, Options: option, SkipReplacement: true}, "SkipTunnelReplacement"},
		{"§2.1 key storage", "InvalidParameterValue", ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one, PreSharedKeyStorage: "safe"}, "PreSharedKeyStorage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &cloud{T: t, store: c.store}
			c.refused(test.code, modifyingTunnel(test.in), test.word)
		})
	}
	lifecycle := func(on *bool, skip bool) func(*store.Tx) error {
		return modifyingTunnel(ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: one, Options: TunnelOptionsInput{LifecycleControl: on}, SkipReplacement: skip})
	}
	c.do(lifecycle(&yes, true)) // §2.2: the endpoint stays
	if got, _ := c.connection(row.ID); got.State != resource.StateAvailable || generations(got) != [2]int{} || !got.Tunnels[0].LifecycleControl {
		t.Errorf("skipped: got %s, %v, control %v, want available, no new endpoint, control", got.State, generations(got), got.Tunnels[0].LifecycleControl)
	}
	c.do(func(tx *store.Tx) error {
		return ScheduleMaintenance(tx, alice, MaintenanceInput{ID: row.ID, OutsideIP: one, Deadline: c.now.Add(time.Hour)})
	})
	c.refused("OperationNotPermitted", lifecycle(&no, true), "pending")
	c.do(lifecycle(&no, false)) // the pending update is applied at once
	if got, _ := c.connection(row.ID); generations(got) != [2]int{1, 0} || got.Endpoints[0].Maintenance.Pending || !got.Endpoints[0].Maintenance.LastApplied.Equal(c.now) {
		t.Errorf("control off: got %v, %+v, want a new endpoint and the maintenance applied", generations(got), got.Endpoints[0].Maintenance)
	}
	c.refused("InvalidVpnConnection.InvalidState", func(tx *store.Tx) error {
		made, err := CreateVPNConnection(tx, alice, CreateVPNConnectionInput{Type: "ipsec.1", CustomerGatewayID: p.customer.ID})
		if err != nil {
			return err
		}
		return modifyingTunnel(ModifyVPNTunnelOptionsInput{ID: made.ID, OutsideIP: made.Tunnels[0].OutsideIP, Options: option})(tx)
	}, "pending")
}

// Keys move to a secret and back (vpn §2.2).
func TestKeysMoveToASecretAndBack(t *testing.T) {
	c := newCloud(t)
	row := c.available(c.pair().input())
	for _, storage := range []string{resource.KeysInSecret, resource.KeysInConnection} {
		c.do(modifyingTunnel(ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: row.Tunnels[0].OutsideIP, PreSharedKeyStorage: storage}))
		c.realise()
		got, _ := c.connection(row.ID)
		if (got.Options.SecretARN != "") != (storage == resource.KeysInSecret) || !got.Tunnels[0].PreSharedKey.Equal(row.Tunnels[0].PreSharedKey) {
			t.Errorf("%s: got secret %q, want one only there, and the same key", storage, got.Options.SecretARN)
		}
	}
}

// A connection gets another customer gateway, another target, or one at last:
// both tunnels are rebuilt, and all that a customer gateway was told stays (vpn
// §1.3, §3.6).
func TestAConnectionIsModifiedAsAWhole(t *testing.T) {
	c := newCloud(t)
	one, two := c.pair(), c.pair()
	var customer resource.CustomerGateway
	var transit resource.TransitGateway
	c.do(func(tx *store.Tx) (err error) {
		if customer, err = CreateCustomerGateway(tx, alice, customerInput("198.51.100.9")); err != nil {
			return err
		}
		transit, err = CreateTransitGateway(tx, alice, CreateTransitGatewayInput{})
		return err
	})
	before := c.available(one.input())
	modify := func(in ModifyVPNConnectionInput) func(*store.Tx) error {
		in.ID = before.ID
		return func(tx *store.Tx) error {
			_, err := ModifyVPNConnection(tx, alice, in)
			return err
		}
	}
	c.refused("MissingParameter", modify(ModifyVPNConnectionInput{}), "CustomerGatewayId")
	c.refused("InvalidParameterCombination", modify(ModifyVPNConnectionInput{CustomerGatewayID: customer.ID, VPNGatewayID: two.gateway.ID}), "only one")
	c.refused("InvalidCustomerGatewayID.NotFound", modify(ModifyVPNConnectionInput{CustomerGatewayID: "cgw-none"}), "cgw-none")
	c.refused("InvalidVpnGatewayID.NotFound", modify(ModifyVPNConnectionInput{VPNGatewayID: "vgw-none"}), "vgw-none")
	c.refused("InvalidTransitGatewayID.NotFound", modify(ModifyVPNConnectionInput{TransitGatewayID: "tgw-none"}), "tgw-none")
	c.do(routing(before.ID, "192.168.1.0/24"))
	c.refused("IncorrectState", modify(ModifyVPNConnectionInput{TransitGatewayID: transit.ID}), "static routes")
	c.do(unrouting(before.ID, "192.168.1.0/24"))
	for n, step := range []struct {
		in   ModifyVPNConnectionInput
		want string // customer gateway and target afterwards
	}{
		{ModifyVPNConnectionInput{CustomerGatewayID: customer.ID}, string(customer.ID) + string(one.gateway.ID)},
		{ModifyVPNConnectionInput{VPNGatewayID: two.gateway.ID}, string(customer.ID) + string(two.gateway.ID)},
		{ModifyVPNConnectionInput{TransitGatewayID: transit.ID}, string(customer.ID) + string(transit.ID)},
		{ModifyVPNConnectionInput{VPNGatewayID: one.gateway.ID}, string(customer.ID) + string(one.gateway.ID)},
	} {
		c.do(modify(step.in))
		after, _ := c.connection(before.ID)
		if got := string(after.CustomerGatewayID) + after.Target(); got != step.want || after.State != resource.StateModifying || generations(after) != [2]int{n + 1, n + 1} {
			t.Errorf("step %d: got %s, %s, %v, want %s, modifying, both rebuilt", n+1, got, after.State, generations(after), step.want)
		}
		if !sameTunnel(before.Tunnels[0], after.Tunnels[0]) || !sameTunnel(before.Tunnels[1], after.Tunnels[1]) {
			t.Errorf("step %d: an outside address, inside block, key or option did not survive", n+1)
		}
		c.realise()
	}
	c.do(func(tx *store.Tx) error {
		if n := len(store.TransitGatewayAttachments.List(tx)); n != 0 {
			t.Errorf("attachments left at the transit gateway: got %d, want none", n)
		}
		return nil
	})
}

// The inside blocks of a connection must be free at its new gateway (vpn §2.1).
func TestAConnectionDoesNotMoveOntoTakenBlocks(t *testing.T) {
	c := newCloud(t)
	one, two := c.pair(), c.pair()
	in := one.input()
	in.Tunnels[0].InsideCIDR = prefix("169.254.10.0/30")
	mover := c.available(in)
	there := two.input()
	there.Tunnels[1].InsideCIDR = prefix("169.254.10.0/30")
	c.available(there)
	c.refused("InvalidCidr.InUse", func(tx *store.Tx) error {
		_, err := ModifyVPNConnection(tx, alice, ModifyVPNConnectionInput{ID: mover.ID, VPNGatewayID: two.gateway.ID})
		return err
	}, "169.254.10.0/30")
}

func TestConnectionOptionsAreMerged(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	in.LocalIPv4NetworkCIDR = prefix("192.168.0.0/16")
	row := c.available(in)
	modify := func(in ModifyVPNConnectionOptionsInput) func(*store.Tx) error {
		in.ID = row.ID
		return func(tx *store.Tx) error {
			_, err := ModifyVPNConnectionOptions(tx, alice, in)
			return err
		}
	}
	c.refused("MissingParameter", modify(ModifyVPNConnectionOptionsInput{}), "at least one option")
	c.refused("InvalidParameterValue", modify(ModifyVPNConnectionOptionsInput{RemoteIPv4NetworkCIDR: prefix("2001:db8::/32")}), "RemoteIpv4NetworkCidr")
	c.refused("InvalidParameterCombination", modify(ModifyVPNConnectionOptionsInput{LocalIPv6NetworkCIDR: prefix("::/0")}), "LocalIpv6NetworkCidr")
	c.refused("InvalidParameterCombination", modify(ModifyVPNConnectionOptionsInput{Bandwidth: "large"}), "needs a transit gateway")
	c.do(modify(ModifyVPNConnectionOptionsInput{RemoteIPv4NetworkCIDR: prefix("10.0.0.1/16")}))
	after, _ := c.connection(row.ID)
	if after.LocalCIDR != prefix("192.168.0.0/16") || after.RemoteCIDR != prefix("10.0.0.0/16") || generations(after) != [2]int{1, 1} || after.State != resource.StateModifying {
		t.Errorf("got %v, %v, %v, %s, want the one that was named changed, both tunnels rebuilt, modifying", after.LocalCIDR, after.RemoteCIDR, generations(after), after.State)
	}
}

// A tunnel's certificate is renewed on its own (vpn §3.7); one with a key has
// none.
func TestTheCertificateOfATunnelIsRenewed(t *testing.T) {
	c := newCloud(t)
	p, _ := c.certified()
	renewing := func(row resource.VPNConnection) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := ModifyVPNTunnelCertificate(tx, alice, row.ID, row.Tunnels[1].OutsideIP)
			return err
		}
	}
	before := c.available(p.input())
	c.do(renewing(before))
	after, _ := c.connection(before.ID)
	if old, now := before.Telemetry[1].CertificateARN, after.Telemetry[1].CertificateARN; now == "" || now == old || after.Telemetry[0].CertificateARN != before.Telemetry[0].CertificateARN {
		t.Errorf("certificates: got %s for %s, want another of tunnel 2 only", now, old)
	}
	c.do(func(tx *store.Tx) error {
		own, found := store.Certificates.Get(tx, after.Telemetry[1].CertificateARN)
		if _, kept := store.Certificates.Get(tx, before.Telemetry[1].CertificateARN); !found || kept || own.TunnelID != TunnelID(before.ID, 1) || own.Key.IsZero() {
			t.Errorf("got %+v, found %v, the old one kept %v, want the tunnel's new one in place of the old", own, found, kept)
		}
		return nil
	})
	if generations(after) != [2]int{0, 1} {
		t.Errorf("generations: got %v, want a new endpoint of tunnel 2", generations(after))
	}
	c.refused("UnsupportedOperation", renewing(c.available(c.pair().input())), "no certificate")
}

// Another customer gateway may authenticate in the other way (vpn §1.3, §3.7).
func TestAConnectionFollowsItsCustomerGatewaysWayOfAuthentication(t *testing.T) {
	c := newCloud(t)
	p, _ := c.certified()
	plain := c.pair()
	row := c.available(plain.input())
	for _, step := range []struct {
		to        resource.CustomerGatewayID
		certified bool
	}{{p.customer.ID, true}, {plain.customer.ID, false}} {
		c.do(func(tx *store.Tx) error {
			_, err := ModifyVPNConnection(tx, alice, ModifyVPNConnectionInput{ID: row.ID, CustomerGatewayID: step.to})
			return err
		})
		c.realise()
		got, _ := c.connection(row.ID)
		for i := range got.Tunnels {
			if keys, certs := !got.Tunnels[i].PreSharedKey.IsZero(), got.Telemetry[i].CertificateARN != ""; keys == step.certified || certs != step.certified {
				t.Errorf("with %s, tunnel %d: got a key %v and a certificate %v, want only one of them, certificate %v", step.to, i+1, keys, certs, step.certified)
			}
		}
		if step.certified {
			in := ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: row.Tunnels[0].OutsideIP}
			in.Options.PreSharedKey = secret.FromString("some.key")
			c.refused("InvalidParameterCombination", modifyingTunnel(in), "PreSharedKey")
			in.Options = TunnelOptionsInput{StartupAction: "start"} // §2.1: a known address only
			c.refused("InvalidParameterValue", modifyingTunnel(in), "StartupAction")
		}
	}
	c.do(func(tx *store.Tx) error {
		for _, cert := range store.Certificates.List(tx) {
			if cert.TunnelID != "" {
				t.Errorf("the certificate of %s is left behind", cert.TunnelID)
			}
		}
		return nil
	})
}
