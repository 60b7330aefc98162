package ipam_test

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

const owner = resource.Account("111111111111")

// setup opens a store with one VPC and one subnet of 11 addresses.
func setup(t *testing.T) (*store.Store, resource.Subnet) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	subnet := resource.Subnet{ID: "subnet-1", OwnerID: owner, VPCID: "vpc-1", Zone: "us-east-1a", CIDR: netip.MustParsePrefix("10.0.1.0/28")}
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		store.VPCs.Put(tx, "vpc-1", resource.VPC{ID: "vpc-1", OwnerID: owner, DefaultGroup: "sg-1"})
		store.SecurityGroups.Put(tx, "sg-1", resource.SecurityGroup{ID: "sg-1", OwnerID: owner, VPCID: "vpc-1"})
		store.Subnets.Put(tx, subnet.ID, subnet)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return s, subnet
}

// Whatever is asked for and given back, in whatever order: an address has one
// holder, is the subnet's, is not reserved, and Free counts what is left.
func TestAddressesHaveOneHolder(t *testing.T) {
	s, subnet := setup(t)
	rapid.Check(t, func(rt *rapid.T) {
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			for _, eni := range store.NetworkInterfaces.List(tx) {
				ipam.Delete(tx, eni.ID)
			}
			held := map[netip.Addr]resource.NetworkInterfaceID{}
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				if len(held) > 0 && rapid.Bool().Draw(rt, "free") {
					addrs := make([]netip.Addr, 0, len(held))
					for a := range held {
						addrs = append(addrs, a)
					}
					slices.SortFunc(addrs, netip.Addr.Compare)
					a := rapid.SampledFrom(addrs).Draw(rt, "addr")
					ipam.Delete(tx, held[a])
					delete(held, a)
					continue
				}
				req := ipam.Request{Owner: owner, SubnetID: subnet.ID}
				if rapid.Bool().Draw(rt, "choose") {
					req.PrivateIP = netip.AddrFrom4([4]byte{10, 0, 1, byte(rapid.IntRange(0, 17).Draw(rt, "want"))})
				}
				eni, err := ipam.Create(tx, req)
				switch resource.CodeOf(err) {
				case "":
					if held[eni.PrivateIP] != "" || subnet.Reserved(eni.PrivateIP) || !subnet.CIDR.Contains(eni.PrivateIP) {
						rt.Fatalf("Create: got %v, held by %q", eni.PrivateIP, held[eni.PrivateIP])
					}
					held[eni.PrivateIP] = eni.ID
				case resource.CodeIPAddressInUse:
					if held[req.PrivateIP] == "" {
						rt.Fatalf("Create of %v: got %v, but it is free", req.PrivateIP, err)
					}
				case resource.CodeNoFreeAddresses:
					if len(held) != 11 {
						rt.Fatalf("Create: got %v with %d of 11 held", err, len(held))
					}
				case resource.CodeInvalidParameterValue:
					if subnet.CIDR.Contains(req.PrivateIP) && !subnet.Reserved(req.PrivateIP) {
						rt.Fatalf("Create of %v: got %v", req.PrivateIP, err)
					}
				default:
					rt.Fatalf("Create: %v", err)
				}
				if got, want := ipam.Free(tx, subnet), 11-len(held); got != want {
					rt.Fatalf("Free: got %d, want %d", got, want)
				}
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func TestAServicesInterfaceIsMarkedAsSuch(t *testing.T) {
	s, subnet := setup(t)
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		eni, err := ipam.Create(tx, ipam.Request{
			Owner: owner, SubnetID: subnet.ID, RequesterID: "amazon-aws", Type: resource.InterfaceVPCEndpoint,
			Description: "VPC Endpoint Interface vpce-1", Namespace: "vpce-1", Forwards: true,
		})
		if err != nil {
			return err
		}
		got, _ := store.NetworkInterfaces.Get(tx, eni.ID)
		if !got.RequesterManaged || got.Status != resource.InterfaceInUse || got.SourceDestCheck || got.MAC != "02:5e:0a:00:01:04" || !slices.Equal(got.Groups, []resource.SecurityGroupID{"sg-1"}) {
			t.Errorf("row: got %+v, want a managed one in use, forwarding, in the default group", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
