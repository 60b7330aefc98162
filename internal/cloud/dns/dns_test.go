package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

const (
	alice = cloudtest.Alice
	bob   = cloudtest.Bob
)

// openStore opens a store in which alice has VPC vpc-a with subnets in two
// zones and vpc-a2, and bob has vpc-b.
func openStore(t *testing.T) *store.Store {
	t.Helper()
	s := cloudtest.Open(t, store.Config{})
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		for id, owner := range map[resource.VPCID]resource.Account{"vpc-a": alice, "vpc-a2": alice, "vpc-b": bob} {
			store.VPCs.Put(tx, id, resource.VPC{ID: id, OwnerID: owner, Region: "us-east-1", CIDR: netip.MustParsePrefix("10.0.0.0/16"), EnableDNSSupport: id != "vpc-a2"})
		}
		for id, cidr := range map[resource.SubnetID]string{"a": "10.0.1.0/24", "b": "10.0.2.0/24", "b2": "10.0.3.0/24"} {
			store.Subnets.Put(tx, id, resource.Subnet{ID: id, OwnerID: alice, VPCID: "vpc-a", Zone: "us-east-1" + string(id)[:1], CIDR: netip.MustParsePrefix(cidr)})
		}
		return nil
	})
	return s
}

func createZone(t *testing.T, s *store.Store) resource.HostedZone {
	t.Helper()
	var z resource.HostedZone
	cloudtest.Do(t, s, func(tx *store.Tx) (err error) {
		z, err = CreateHostedZone(tx, alice, CreateHostedZoneInput{Name: "Service.Example", CallerReference: "1", VPCID: "vpc-a"})
		return err
	})
	return z
}

func set(name, typ string, ttl int64, values ...string) resource.RecordSet {
	return resource.RecordSet{Name: name, Type: typ, TTL: ttl, Values: values}
}

func aliasSet(name, zoneID, target string) resource.RecordSet {
	return resource.RecordSet{Name: name, Type: "A", Alias: &resource.AliasTarget{HostedZoneID: zoneID, DNSName: target}}
}

func TestANewZoneHasItsSets(t *testing.T) {
	z := createZone(t, openStore(t))
	if z.Name != "service.example." || len(z.ID) != 21 || z.ID[0] != 'Z' {
		t.Errorf("got %s %q, want service.example., Z and 20 more", z.Name, z.ID)
	}
	if len(z.Records) != 2 || z.Records[0].Type != "NS" || z.Records[1].Type != "SOA" {
		t.Errorf("Records: got %+v, want NS and SOA", z.Records)
	}
}

func TestZoneOperationsRefuse(t *testing.T) {
	s := openStore(t)
	z := createZone(t, s)
	create := func(who resource.Account, name, ref string, vpc resource.VPCID) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := CreateHostedZone(tx, who, CreateHostedZoneInput{Name: name, CallerReference: ref, VPCID: vpc})
			return err
		}
	}
	for _, c := range []struct {
		name string
		fn   func(*store.Tx) error
		want string
	}{
		{"a bad name", create(alice, "a..b", "2", "vpc-a"), "InvalidDomainName"},
		{"the root", create(alice, ".", "2", "vpc-a"), "InvalidDomainName"},
		{"no caller reference", create(alice, "x.example", "", "vpc-a"), "InvalidInput"},
		{"another account's VPC", create(alice, "x.example", "2", "vpc-b"), "InvalidVPCId"},
		{"the caller reference again", create(alice, "x.example", "1", "vpc-a"), "HostedZoneAlreadyExists"},
		{"the name again in one VPC", create(alice, "SERVICE.example.", "2", "vpc-a"), "ConflictingDomainExists"},
		{"the name again in another VPC", create(alice, "service.example", "2", "vpc-a2"), ""},
		{"a child of the name", create(alice, "x.service.example", "2", "vpc-a"), ""},
		{"deleting a zone with records", func(tx *store.Tx) error {
			if err := ChangeResourceRecordSets(tx, alice, z.ID, []Change{{Create, set("a.service.example", "A", 60, "10.0.0.1")}}); err != nil {
				return err
			}
			return DeleteHostedZone(tx, alice, z.ID)
		}, "HostedZoneNotEmpty"},
		{"deleting an empty zone", func(tx *store.Tx) error { return DeleteHostedZone(tx, alice, z.ID) }, ""},
		{"deleting another's zone", func(tx *store.Tx) error { return DeleteHostedZone(tx, bob, z.ID) }, "NoSuchHostedZone"},
		{"listing another's VPC", func(tx *store.Tx) error { _, err := ListHostedZonesByVPC(tx, bob, "vpc-a"); return err }, "InvalidVPCId"},
		{"associating without authorization", func(tx *store.Tx) error { return AssociateVPCWithHostedZone(tx, bob, z.ID, "vpc-b") }, "NotAuthorizedException"},
		{"the zone's owner associates another's VPC", func(tx *store.Tx) error {
			if err := CreateVPCAssociationAuthorization(tx, alice, z.ID, "vpc-b"); err != nil {
				return err
			}
			return AssociateVPCWithHostedZone(tx, alice, z.ID, "vpc-b")
		}, "NotAuthorizedException"},
		{"disassociating the last VPC", func(tx *store.Tx) error { return DisassociateVPCFromHostedZone(tx, alice, z.ID, "vpc-a") }, "LastVPCAssociation"},
		{"disassociating what is not associated", func(tx *store.Tx) error { return DisassociateVPCFromHostedZone(tx, alice, z.ID, "vpc-a2") }, "VPCAssociationNotFound"},
		{"deleting an authorization that is not there", func(tx *store.Tx) error {
			return DeleteVPCAssociationAuthorization(tx, alice, z.ID, "vpc-b")
		}, "VPCAssociationAuthorizationNotFound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := resource.CodeOf(cloudtest.Refusal(t, s, c.fn)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAnotherAccountAssociatesAfterAuthorization(t *testing.T) {
	s := openStore(t)
	z := createZone(t, s)
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		if err := CreateVPCAssociationAuthorization(tx, alice, z.ID, "vpc-b"); err != nil {
			return err
		}
		if err := AssociateVPCWithHostedZone(tx, bob, z.ID, "vpc-b"); err != nil {
			return err
		}
		if err := DeleteVPCAssociationAuthorization(tx, alice, z.ID, "vpc-b"); err != nil {
			return err
		}
		list, err := ListHostedZonesByVPC(tx, bob, "vpc-b")
		if err != nil || len(list) != 1 {
			t.Errorf("zones of vpc-b: got %v, %v, want one: taking back the authorization does not undo it", list, err)
		}
		return DisassociateVPCFromHostedZone(tx, bob, z.ID, "vpc-b")
	})
}

func TestChangesAreMadeTogetherOrNotAtAll(t *testing.T) {
	s := openStore(t)
	z := createZone(t, s)
	a := set("WWW.service.example", "A", 60, "10.0.0.1", "10.0.0.2")
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		return ChangeResourceRecordSets(tx, alice, z.ID, []Change{
			{Create, a},
			{Create, set("*.service.example", "CNAME", 60, "www.service.example")},
			{Upsert, aliasSet("service.example", "Z7HUB22UULQXV", "VPCE-1.vpce-svc-1.us-east-1.vpce.amazonaws.com")},
		})
	})
	err := cloudtest.Refusal(t, s, func(tx *store.Tx) error {
		err := ChangeResourceRecordSets(tx, alice, z.ID, []Change{{Create, set("x.service.example", "A", 60, "10.0.0.3")}, {Create, a}})
		records, _ := ListResourceRecordSets(tx, alice, z.ID)
		if slices.ContainsFunc(records, func(r resource.RecordSet) bool { return r.Name == "x.service.example." }) {
			t.Error("a failed batch left x.service.example. behind")
		}
		return err
	})
	want := "InvalidChangeBatch: [Tried to create resource record set [name='www.service.example.', type='A'] but it already exists]"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		records, err := ListResourceRecordSets(tx, alice, z.ID)
		if err != nil {
			return err
		}
		var got []string
		for _, r := range records {
			got = append(got, r.Name+" "+r.Type)
		}
		want := []string{"service.example. A", "service.example. NS", "service.example. SOA", `\052.service.example. CNAME`, "www.service.example. A"}
		if !slices.Equal(got, want) {
			t.Errorf("records: got %q, want %q", got, want)
		}
		slices.Reverse(a.Values)
		return ChangeResourceRecordSets(tx, alice, z.ID, []Change{{Delete, a}})
	})
}

func TestBadBatchesAreRefused(t *testing.T) {
	s := openStore(t)
	z := createZone(t, s)
	many := make([]Change, 501)
	for i := range many {
		many[i] = Change{Upsert, set(strings.Repeat("x", i%60+1)+".service.example", "A", 60, "10.0.0.1")}
	}
	for _, c := range []struct {
		name    string
		changes []Change
		want    string
	}{
		{"nothing", nil, "the batch is empty"},
		{"outside the zone", []Change{{Create, set("www.example.org", "A", 60, "10.0.0.1")}}, "RRSet with DNS name www.example.org. is not permitted in zone service.example."},
		{"deleting what is not there", []Change{{Delete, set("x.service.example", "A", 60, "10.0.0.1")}}, "Tried to delete resource record set [name='x.service.example.', type='A'] but it was not found"},
		{"deleting with another TTL", []Change{{Delete, set("service.example", "SOA", 901, "ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400")}},
			"but the values provided do not match the current values"},
		{"an unknown action", []Change{{"MERGE", set("x.service.example", "A", 60, "10.0.0.1")}}, `action "MERGE"`},
		{"a bad value", []Change{{Create, set("x.service.example", "A", 60, "10.0.0.256")}}, "not an IPv4 address"},
		{"a CNAME at the apex", []Change{{Create, set("service.example", "CNAME", 60, "x.y")}}, "apex"},
		{"an alias to an unknown zone", []Change{{Create, aliasSet("x.service.example", "ZXXX", "a.b")}}, "but the hosted zone was not found"},
		{"an alias with the wrong zone", []Change{{Create, aliasSet("x.service.example", "Z7HUB22UULQXV", "a.b")}}, "does not lie within the target zone"},
		{"an alias out of its own zone", []Change{{Create, aliasSet("x.service.example", string(z.ID), "a.b")}}, "does not lie within the target zone"},
		{"two faults are both named", []Change{{Delete, set("x.service.example", "A", 60, "10.0.0.1")}, {Delete, set("y.service.example", "A", 60, "10.0.0.1")}},
			"x.service.example.', type='A'] but it was not found, Tried to delete"},
		{"without an NS set", []Change{{Delete, z.Records[0]}}, "at least one NS record"},
		{"without an SOA set", []Change{{Delete, z.Records[1]}}, "no SOA record"},
		{"UPSERT counts twice", many, "Number of records limit of 1000 exceeded."},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := cloudtest.Refusal(t, s, func(tx *store.Tx) error { return ChangeResourceRecordSets(tx, alice, z.ID, c.changes) })
			if resource.CodeOf(err) != "InvalidChangeBatch" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want InvalidChangeBatch with %q", err, c.want)
			}
		})
	}
}

func directoryInput() CreateDirectoryInput {
	return CreateDirectoryInput{Name: "corp.example.com", Size: "Small", VPCID: "vpc-a", SubnetIDs: []resource.SubnetID{"a", "b"},
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.1.53"), netip.MustParseAddr("10.0.2.53")}}
}

func TestADirectoryHasTwoForwarders(t *testing.T) {
	s := openStore(t)
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		d, err := CreateDirectory(tx, alice, directoryInput())
		if err != nil {
			return err
		}
		if len(d.Controllers) != 2 || d.Controllers[1].Address.String() != "10.0.2.53" || len(d.ID) != 12 {
			t.Errorf("got %+v, want d-<10 hex> with controllers at .53", d)
		}
		eni, _ := store.NetworkInterfaces.Get(tx, d.Controllers[0].NetworkInterfaceID)
		if want := "AWS created network interface for directory " + string(d.ID); eni.Description != want || !eni.RequesterManaged {
			t.Errorf("interface: got %+v, want %q, requester-managed", eni, want)
		}
		group, _ := store.SecurityGroups.Get(tx, d.SecurityGroupID)
		if want := string(d.ID) + "_controllers"; group.Name != want || !slices.Equal(eni.Groups, []resource.SecurityGroupID{group.ID}) {
			t.Errorf("group: got %q of %v, want %q", group.Name, eni.Groups, want)
		}
		if err := DeleteDirectory(tx, bob, d.ID); resource.CodeOf(err) != "EntityDoesNotExistException" {
			t.Errorf("bob deletes it: got %v, want EntityDoesNotExistException", err)
		}
		if err := DeleteDirectory(tx, alice, d.ID); err != nil {
			return err
		}
		if n := len(store.NetworkInterfaces.List(tx)) + len(store.SecurityGroups.List(tx)) + len(store.Directories.List(tx)); n != 0 {
			t.Errorf("rows left: got %d, want 0", n)
		}
		return nil
	})
}

func TestBadDirectoriesAreRefused(t *testing.T) {
	s := openStore(t)
	for name, edit := range map[string]func(*CreateDirectoryInput){
		"a name of one label":   func(in *CreateDirectoryInput) { in.Name = "corp" },
		"no size":               func(in *CreateDirectoryInput) { in.Size = "" },
		"another account's VPC": func(in *CreateDirectoryInput) { in.VPCID = "vpc-b" },
		"one subnet":            func(in *CreateDirectoryInput) { in.SubnetIDs = in.SubnetIDs[:1] },
		"two subnets of a zone": func(in *CreateDirectoryInput) { in.SubnetIDs = []resource.SubnetID{"b", "b2"} },
		"an unknown subnet":     func(in *CreateDirectoryInput) { in.SubnetIDs[1] = "x" },
		"an address for one":    func(in *CreateDirectoryInput) { in.Addresses = in.Addresses[:1] },
		"an account's eleventh": nil,
		"a reserved address":    func(in *CreateDirectoryInput) { in.Addresses[0] = netip.MustParseAddr("10.0.1.2") },
		"an address outside":    func(in *CreateDirectoryInput) { in.Addresses[0] = netip.MustParseAddr("10.9.0.9") },
		"another VPC's subnets": func(in *CreateDirectoryInput) { in.VPCID = "vpc-a2" },
	} {
		t.Run(name, func(t *testing.T) {
			err := cloudtest.Refusal(t, s, func(tx *store.Tx) error {
				in := directoryInput()
				if edit != nil {
					edit(&in)
				} else {
					in.Addresses = nil
					for range maxDirectories {
						if _, err := CreateDirectory(tx, alice, in); err != nil {
							t.Fatal(err)
						}
					}
				}
				_, err := CreateDirectory(tx, alice, in)
				return err
			})
			switch got := resource.CodeOf(err); got {
			case "InvalidParameterException", "DirectoryLimitExceededException", "InvalidParameterValue":
			default:
				t.Errorf("got %q, want a refusal of the input", got)
			}
		})
	}
}
