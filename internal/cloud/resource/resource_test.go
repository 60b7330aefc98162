package resource_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"seikan/internal/cloud/resource"
	"seikan/internal/secret"
)

func TestAccountsHaveTwelveDigits(t *testing.T) {
	for account, valid := range map[resource.Account]bool{
		"111111111111": true, "": false, "11111111111": false, "1111111111111": false, "11111111111a": false,
	} {
		if err := account.Validate(); (err == nil) != valid {
			t.Errorf("Validate(%q): got %v, want valid %v", account, err, valid)
		}
	}
}

func TestNewIDIsValidAndKeepsItsPrefix(t *testing.T) {
	id, err := resource.NewID(strings.NewReader("\x01\x23\x45\x67\x89\xab\xcd\xef\x01"), "vpn")
	if want := "vpn-0123456789abcdef0"; err != nil || id != want {
		t.Errorf("NewID: got %q, %v, want %q", id, err, want)
	}
	if _, err := resource.NewID(iotest.ErrReader(errors.New("dry")), "vpn"); err == nil {
		t.Error("NewID without randomness: got nil, want an error")
	}
}

func TestValidIDTakesOldAndNewIDsOfItsPrefixOnly(t *testing.T) {
	for id, valid := range map[string]bool{
		"vpc-0123456789abcdef0": true, "vpc-01234567": true,
		"vpc-0123456789abcdef": false, "vpc-0123456789ABCDEF0": false, "vpn-01234567": false,
		"vpc-0123456g": false, "vpc-": false, "": false, "vpc01234567": false,
	} {
		if got := resource.ValidID("vpc", id); got != valid {
			t.Errorf("ValidID(vpc, %q): got %v, want %v", id, got, valid)
		}
	}
}

func TestRegionOf(t *testing.T) {
	for zone, region := range map[string]string{"us-east-1a": "us-east-1", "us-east-1": "", "": "", "a": ""} {
		if got := resource.RegionOf(zone); got != region {
			t.Errorf("RegionOf(%q): got %q, want %q", zone, got, region)
		}
	}
}

func TestARN(t *testing.T) {
	got := resource.ARN("elasticloadbalancing", "us-east-1", "111111111111", "loadbalancer/net/a/b")
	if want := "arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/net/a/b"; got != want {
		t.Errorf("ARN: got %q, want %q", got, want)
	}
}

func TestErrorsAreFoundByCodeThroughWrapping(t *testing.T) {
	err := fmt.Errorf("create: %w", resource.Errorf("InvalidCidr.InUse", "TunnelInsideCidr: %s", "taken"))
	if !errors.Is(err, &resource.Error{Code: "InvalidCidr.InUse"}) {
		t.Error("errors.Is by code: got false, want true")
	}
	if errors.Is(err, &resource.Error{Code: "InvalidCidr.InUse", Message: "other"}) {
		t.Error("errors.Is by another message: got true, want false")
	}
	for want, err := range map[string]error{"InvalidCidr.InUse": err, "InternalError": errors.New("disk"), "": nil} {
		if got := resource.CodeOf(err); got != want {
			t.Errorf("CodeOf(%v): got %q, want %q", err, got, want)
		}
	}
	if got, want := err.Error(), "create: InvalidCidr.InUse: TunnelInsideCidr: taken"; got != want {
		t.Errorf("Error: got %q, want %q", got, want)
	}
}

func TestFiveAddressesOfASubnetAreReserved(t *testing.T) {
	s := resource.Subnet{CIDR: netip.MustParsePrefix("10.0.1.16/28")}
	var reserved []string
	for a := s.CIDR.Addr(); s.CIDR.Contains(a); a = a.Next() {
		if s.Reserved(a) {
			reserved = append(reserved, a.String())
		}
	}
	if got, want := strings.Join(reserved, " "), "10.0.1.16 10.0.1.17 10.0.1.18 10.0.1.19 10.0.1.31"; got != want {
		t.Errorf("reserved: got %s, want %s", got, want)
	}
}

func TestAddressesOfABlock(t *testing.T) {
	block := netip.MustParsePrefix("10.0.0.9/16")
	for what, pair := range map[string][2]string{
		"router":   {resource.RouterAddress(block).String(), "10.0.0.1"},
		"resolver": {resource.ResolverAddress(block).String(), "10.0.0.2"},
		"last":     {resource.LastAddress(block).String(), "10.0.255.255"},
		"last /0":  {resource.LastAddress(netip.MustParsePrefix("0.0.0.0/0")).String(), "255.255.255.255"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
}

func TestInsideAddressesAreTheCloudsFirst(t *testing.T) {
	o := resource.TunnelOptions{InsideCIDR: netip.MustParsePrefix("169.254.10.0/30")}
	if got, want := fmt.Sprint(o.InsideLocal(), o.InsideRemote()), "169.254.10.1 169.254.10.2"; got != want {
		t.Errorf("inside addresses: got %s, want %s", got, want)
	}
}

func TestPreSharedKeysStayOutOfJSONAndPrinting(t *testing.T) {
	var c resource.VPNConnection
	c.Tunnels[0].PreSharedKey = secret.FromString("hunter2")
	raw, err := json.Marshal(c)
	if err != nil || strings.Contains(string(raw), "hunter2") || strings.Contains(string(raw), "PreSharedKey") {
		t.Errorf("JSON: got %s, %v, want no key", raw, err)
	}
	if text := fmt.Sprintf("%+v %#v", c, c); strings.Contains(text, "hunter2") {
		t.Errorf("printed: got the key in %s", text)
	}
	var names []string
	c.VisitSecrets(func(name string, s *secret.Secret) { names = append(names, fmt.Sprint(name, " ", s.Len())) })
	if got, want := strings.Join(names, ", "), "tunnel1.psk 7, tunnel2.psk 0"; got != want {
		t.Errorf("VisitSecrets: got %q, want %q", got, want)
	}
}

// FuzzValidID holds that what is accepted has the prefix and nothing but hex
// digits, and that no proper prefix of a new id but the old form is an id.
func FuzzValidID(f *testing.F) {
	f.Add("vpc", "vpc-0123456789abcdef0")
	f.Add("eni-attach", "eni-attach-01234567")
	f.Fuzz(func(t *testing.T, prefix, id string) {
		if !resource.ValidID(prefix, id) {
			return
		}
		digits := id[len(prefix)+1:]
		if id[:len(prefix)+1] != prefix+"-" || strings.Trim(digits, "0123456789abcdef") != "" {
			t.Errorf("ValidID(%q, %q): got true", prefix, id)
		}
		for n := range id {
			if resource.ValidID(prefix, id[:n]) && n != len(prefix)+1+8 {
				t.Errorf("ValidID(%q, %q): accepted a part of %q", prefix, id[:n], id)
			}
		}
	})
}
