package gateway

import (
	"net/netip"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/cert/certtest"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// oldPair is pair with suites that IKEv1 has, too.
func oldPair() (customer, cloud Tunnel) {
	customer, cloud = pair()
	for _, t := range []*Tunnel{&customer, &cloud} {
		t.IKE = []suite.IKE{{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 14}}
		t.ESP = []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 14}}
	}
	return customer, cloud
}

func TestEndsAgreeOnTheBestVersionThatBothAllow(t *testing.T) {
	for _, tt := range []struct {
		customer, cloud []int
		want            int // the version that is agreed on
	}{
		{nil, nil, 2},
		{[]int{1, 2}, []int{2}, 2},
		{[]int{2}, nil, 2},
		{[]int{1}, nil, 1},
		{nil, []int{1}, 1}, // after IKEv2 was not answered
		{[]int{1}, []int{1}, 1},
	} {
		customer, cloud := oldPair()
		customer.Versions, cloud.Versions = tt.customer, tt.cloud
		a, b := talk(t, customer, cloud)
		for i, e := range []*talker{a, b} {
			if got := e.machine.State(); got.Phase != ike.Established || got.Version != tt.want || got.Auth == "" {
				t.Errorf("%v towards %v, end %d: got %v by IKEv%d (%s), %q; want version %d", tt.customer, tt.cloud, i, got.Phase, got.Version, got.Auth, e.said, tt.want)
			}
		}
	}
}

func TestVersionsThatDoNotFitAreToldInWords(t *testing.T) {
	for _, tt := range []struct {
		name            string
		customer, cloud []int
		there, here     []string
	}{
		{"IKEv1 towards IKEv2 only", []int{1}, []int{2}, []string{"that it is running and speaks IKEv1"}, []string{"peer begins with IKEv1, we allow IKEv2 only", "IKEVersions"}},
		{"IKEv2 towards IKEv1 only", []int{2}, []int{1}, []string{"no answer from 127.0.0.1:500 to IKE_SA_INIT"}, []string{"peer begins with IKEv2, we allow IKEv1 only: add ikev2 to IKEVersions"}},
	} {
		customer, cloud := oldPair()
		customer.Versions, cloud.Versions = tt.customer, tt.cloud
		a, b := talk(t, customer, cloud)
		a.mustSay(t, tt.name+", customer", tt.there)
		b.mustSay(t, tt.name+", cloud", tt.here)
	}
}

// TestIKEv1IsOnlyAnsweredWhereAskedFor is AWS's end with startup action start
// and both versions allowed (vpn §3.1).
func TestIKEv1IsOnlyAnsweredWhereAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name         string
		begins, with []int // versions of the end that begins, and of its peer
		answers      bool  // it is the peer that begins
		want         int   // 0 for none
	}{
		{"begun with IKEv2", []int{2, 1}, []int{2, 1}, false, 2},
		{"never begun with IKEv1", []int{2, 1}, []int{1}, false, 0},
		{"answered", []int{2, 1}, []int{1}, true, 1},
	} {
		other, aws := oldPair()
		aws.Initiate, aws.Endpoint.AnswerIKEv1, aws.Versions = true, true, tt.begins
		other.Initiate, other.Versions = tt.answers, tt.with
		first, second := aws, other
		if tt.answers {
			first, second = other, aws
		}
		a, _ := talk(t, first, second)
		got := a.machine.State()
		if up := got.Phase == ike.Established; up != (tt.want != 0) || up && got.Version != tt.want {
			t.Errorf("%s: got %v by IKEv%d, %q; want version %d", tt.name, got.Phase, got.Version, a.said, tt.want)
		}
	}
}

// TestIKEv2BeginsAgainWhereIKEv1WasAnswered ends an IKEv1 tunnel of AWS's end
// with startup action start, by a DELETE or by silence.
func TestIKEv2BeginsAgainWhereIKEv1WasAnswered(t *testing.T) {
	for _, tt := range []struct {
		name   string
		action policy.Action
		silent bool
		want   bool
	}{
		{"deleted", policy.Clear, false, true},
		{"deleted, action restart", policy.Restart, false, true},
		{"dead", policy.Clear, true, false},
		{"dead, action restart", policy.Restart, true, true},
	} {
		other, aws := oldPair()
		aws.Initiate, aws.Endpoint.AnswerIKEv1, aws.Liveness.Action = true, true, tt.action
		other.Initiate, other.Versions = true, []int{1}
		a, b := talk(t, other, aws)
		if got := b.machine.State(); got.Phase != ike.Established || got.Version != 1 {
			t.Fatalf("%s: got %v by IKEv%d, want IKEv1 up: %q", tt.name, got.Phase, got.Version, b.said)
		}
		now := time.Now().Add(time.Minute) // as far as talk went
		var sent []ike.Datagram
		if !tt.silent {
			for _, d := range a.step(t, now, ike.Close{}) {
				d.Local, d.Remote = d.Remote, d.Local
				sent = append(sent, b.step(t, now, d)...)
			}
		}
		for end := now.Add(time.Minute); ; {
			at := b.machine.Deadline()
			if at.IsZero() || at.After(end) {
				break
			}
			sent = append(sent, b.step(t, at, ike.TimerFired{})...)
		}
		begun := map[int]bool{} // by version
		for _, d := range sent {
			if h, _, err := ike.ParseHeader(d.Data); err == nil && h.SPIr == 0 {
				begun[int(h.Major())] = true
			}
		}
		if begun[2] != tt.want || begun[1] {
			t.Errorf("%s: got attempts in IKEv2 %v, in IKEv1 %v; want %v and none; %q", tt.name, begun[2], begun[1], tt.want, b.said)
		}
	}
}

func TestCertificatesServeBothVersionsAndPeersFromAnywhere(t *testing.T) {
	ca := certtest.New(t, "CA")
	for _, tt := range []struct {
		version int
		kind    string
		pss     bool
		want    string // how the status calls the proof
	}{
		{2, "rsa", false, "RSA-SHA2-256"},
		{2, "rsa", true, "RSA-PSS-SHA2-256"},
		{2, "ecdsa384", false, "ECDSA-P384"},
		{2, "ed25519", false, "Ed25519"},
		{1, "rsa", false, "RSA"},
		{1, "ecdsa256", false, "ECDSA-P256"},
	} {
		customer, cloud := oldPair()
		customer = withCertificate(t, customer, ca, certtest.Request{Name: "customer", Kind: tt.kind})
		cloud = withCertificate(t, cloud, ca, certtest.Request{Name: "cloud", Kind: tt.kind})
		for _, tunnel := range []*Tunnel{&customer, &cloud} {
			tunnel.Versions, tunnel.Certificates.PSS = []int{tt.version}, tt.pss
		}
		cloud.Outside.Remote = netip.Addr{}
		customer.Outside.RemoteID, cloud.Outside.RemoteID = "O=Example, CN=cloud", "O=Example, CN=customer"
		a, b := talk(t, customer, cloud)
		for i, e := range []*talker{a, b} {
			if got := e.machine.State(); got.Phase != ike.Established || got.Version != tt.version || got.Auth != tt.want {
				t.Errorf("%s, IKEv%d, end %d: got %v by IKEv%d with %s, want %s: %q", tt.kind, tt.version, i, got.Phase, got.Version, got.Auth, tt.want, e.said)
			}
		}
	}
}
