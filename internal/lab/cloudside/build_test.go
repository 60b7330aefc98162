package cloudside

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/gateway/conffile"
	"seikan/internal/lab"
	"seikan/internal/lab/topology"
	"seikan/internal/site/device"
)

func overview(t *testing.T) *topology.Topology {
	t.Helper()
	top, err := topology.ReadFile(filepath.Join("..", "..", "..", "lab", "system-overview.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// rows counts what a store has.
func rows(tx *store.Tx) int {
	return len(store.VPCs.List(tx)) + len(store.Instances.List(tx)) + len(store.LoadBalancers.List(tx)) + len(store.Endpoints.List(tx)) +
		len(store.HostedZones.List(tx)) + len(store.VPNConnections.List(tx)) + len(store.OutsidePools.List(tx))
}

// A gateway that roams is told a certificate, and the cloud no address; what the
// two ends are told fits together.
func TestARoamingGatewayHasACertificateAndNoAddress(t *testing.T) {
	top, err := topology.ReadFile(filepath.Join("..", "..", "..", "lab", "roaming.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Side{cfg: lab.CloudConfig{Topology: top}, store: cloudtest.Open(t, store.Config{})}
	if s.made, err = build(t.Context(), s.store, top, "edge"); err != nil {
		t.Fatal(err)
	}
	_, device, err := s.connection(t.Context(), "home-vpn")
	if err != nil || device.IPAddress.IsValid() || device.CertificateARN == "" {
		t.Fatalf("customer gateway: got %+v, %v, want a certificate and no address", device, err)
	}
	text, others, err := s.CustomerConfig(t.Context(), "home-vpn")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range others {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := conffile.Parse(text, dir)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if err := f.Gateway.Validate(); err != nil {
		t.Error(err)
	}
	for i, tunnel := range f.Gateway.Tunnels {
		if !tunnel.Certificates.Used() || !tunnel.PSK.IsZero() || tunnel.BGP.PeerASN != topology.CloudASN || tunnel.Outside.LocalID != "" ||
			!strings.HasSuffix(tunnel.Outside.RemoteID, fmt.Sprintf(".endpoint-%d", i)) {
			t.Errorf("tunnel %d: got %+v, want a certificate, BGP, and the cloud's end by its subject", i+1, tunnel)
		}
	}
}

// Both ends of a tunnel have the BFD that the topology asks for.
func TestBothEndsOfATunnelHaveItsBFD(t *testing.T) {
	top := overview(t)
	top.VPN[0].Tunnels[1].BFD = topology.BFD{Interval: 250 * time.Millisecond, Multiplier: 4}
	s := &Side{cfg: lab.CloudConfig{Topology: top}, store: cloudtest.Open(t, store.Config{})}
	var err error
	if s.made, err = build(t.Context(), s.store, top, "edge"); err != nil {
		t.Fatal(err)
	}
	conn, _, err := s.connection(t.Context(), top.VPN[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := customerFile(t, s, top.VPN[0].Name)
	for i, want := range []topology.BFD{{}, {Interval: 250 * time.Millisecond, Multiplier: 4}} {
		if customer, cloud := f.Gateway.Tunnels[i].BGP.BFD, conn.Tunnels[i].BFD; topology.BFD(customer) != want || topology.BFD(cloud) != want {
			t.Errorf("tunnel %d: got %+v at the customer's end and %+v at the cloud's, want %+v", i+1, customer, cloud, want)
		}
	}
}

// customerFile is what the lab has its own customer gateway of a connection do, and as text.
func customerFile(t *testing.T, s *Side, connection string) (f conffile.File, text []byte) {
	t.Helper()
	text, _, err := s.CustomerConfig(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = conffile.Parse(text, t.TempDir()); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return f, text
}

// A lab's own gateway asks for what its connection is narrowed to, and for everything,
// unsaid, where it is not.
func TestTheLabsGatewayOffersWhatItsConnectionIsNarrowedTo(t *testing.T) {
	top, err := topology.ReadFile(filepath.Join("..", "..", "..", "lab", "static.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][2]netip.Prefix{{}, {netip.MustParsePrefix("192.168.1.0/28"), netip.MustParsePrefix("10.0.0.0/16")}} {
		top.VPN[0].LocalCIDR, top.VPN[0].RemoteCIDR = want[0], want[1]
		s := &Side{cfg: lab.CloudConfig{Topology: top}, store: cloudtest.Open(t, store.Config{})}
		if s.made, err = build(t.Context(), s.store, top, "edge"); err != nil {
			t.Fatal(err)
		}
		f, text := customerFile(t, s, top.VPN[0].Name)
		if err := f.Gateway.Validate(); err != nil {
			t.Error(err)
		}
		for i, tunnel := range f.Gateway.Tunnels {
			if got := [2]netip.Prefix{tunnel.LocalTS, tunnel.RemoteTS}; got != want {
				t.Errorf("tunnel %d: got %v, want %v in\n%s", i+1, got, want, text)
			}
		}
	}
}

func TestBuildMakesWhatTheTopologyNames(t *testing.T) {
	s := cloudtest.Open(t, store.Config{})
	top := overview(t)
	made, err := build(t.Context(), s, top, "edge")
	if err != nil {
		t.Fatal(err)
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		for _, v := range top.Cloud.VPCs {
			row, ok := store.VPCs.Get(tx, made.vpcs[v.Name].ID)
			if !ok || row.CIDR != v.CIDR || row.OwnerID != made.accounts[v.Account] {
				t.Errorf("VPC %s: got %+v, want %v of %s", v.Name, row, v.CIDR, v.Account)
			}
			for _, i := range v.Instances {
				if row, ok := store.Instances.Get(tx, made.instances[i.Name].ID); !ok || row.PrivateIP != i.Address || row.VPCID != made.vpcs[v.Name].ID {
					t.Errorf("instance %s: got %+v, want %v", i.Name, row, i.Address)
				}
			}
		}
		for _, e := range top.Cloud.Endpoints {
			if row, ok := store.Endpoints.Get(tx, made.endpoints[e.Name].ID); !ok || row.State != resource.StateAvailable {
				t.Errorf("endpoint %s: got %+v, want one that is available", e.Name, row)
			}
		}
		for _, c := range top.VPN {
			row, ok := store.VPNConnections.Get(tx, made.connections[c.Name])
			if !ok || len(row.Routes) != len(c.Routes) || row.StaticRoutesOnly == c.Dynamic() {
				t.Errorf("VPN connection %s: got routes %v, static %v, want %v, %v", c.Name, row.Routes, row.StaticRoutesOnly, c.Routes, !c.Dynamic())
			}
			if device, _ := store.CustomerGateways.Get(tx, row.CustomerGatewayID); device.BGPASN != c.BGP.ASN {
				t.Errorf("customer gateway of %s: got number %d, want %d", c.Name, device.BGPASN, c.BGP.ASN)
			}
		}
		return nil
	})
}

// What fails at the end leaves nothing of the beginning, and the error says
// where in the file it is.
func TestBuildIsAllOrNothing(t *testing.T) {
	s := cloudtest.Open(t, store.Config{})
	top := overview(t)
	last := len(top.VPN) - 1
	top.VPN[last].CustomerGateway = "nobody"
	_, err := build(t.Context(), s, top, "edge")
	if err == nil || !strings.Contains(err.Error(), "vpn[") || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("build: got %v, want an error that names the place and the name", err)
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		if n := rows(tx); n != 0 {
			t.Errorf("rows: got %d, want none", n)
		}
		return nil
	})
}

// Whoever asks a lab's cloud for the configuration of a device gets that of the
// connection, for a device in the place of the lab's own, or is told why not.
func TestALabsCloudWritesForEveryDevice(t *testing.T) {
	// Tunnel 2 of the overview is IKEv1 only, and tunnel 1 of both AES-GCM only.
	const noGCM, ownName = "none of the connection's suites (AES256-GCM-16/", "tunnel tunnel-2: with IKEv1 "
	refused := map[string]string{ // by topology and device
		"system-overview mikrotik":    "no configuration for a connection with bgp routing",
		"system-overview cisco-asa":   "cannot be behind NAT",
		"system-overview cisco-iosxe": ownName,
		"system-overview yamaha-rtx":  ownName,
		"system-overview juniper-srx": noGCM,
		"system-overview paloalto":    noGCM,
		"static cisco-asa":            "cannot be behind NAT",
		"static bird":                 "no configuration for a connection with static routing",
		"static frr":                  "no configuration for a connection with static routing",
		"static juniper-srx":          noGCM,
		"static paloalto":             noGCM,
		"static mikrotik":             noGCM,
		"static yamaha-rtx":           noGCM,
	}
	all, err := device.Types()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"system-overview", "static"} {
		top, err := topology.ReadFile(filepath.Join("..", "..", "..", "lab", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		s := &Side{cfg: lab.CloudConfig{Topology: top}, store: cloudtest.Open(t, store.Config{})}
		if s.made, err = build(t.Context(), s.store, top, "edge"); err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			files, err := s.Sample(t.Context(), lab.Sample{Connection: top.VPN[0].Name, Device: d.ID})
			why := refused[name+" "+d.Name]
			switch {
			case why != "":
				if err == nil || !strings.Contains(err.Error(), why) {
					t.Errorf("%s, %s: got %v, want %s", name, d.Name, err, why)
				}
			case err != nil:
				t.Errorf("%s, %s: %v", name, d.Name, err)
			case len(files) == 0 || files[0].Path == "" || !strings.Contains(files[0].Text, string(s.made.connections[top.VPN[0].Name])):
				t.Errorf("%s, %s: got %d files, want the connection's id in the first", name, d.Name, len(files))
			}
		}
		if _, err := s.Sample(t.Context(), lab.Sample{Connection: "nothing", Device: "frr"}); err == nil || !strings.Contains(err.Error(), `no VPN connection is called "nothing"`) {
			t.Errorf("of no connection: got %v", err)
		}
	}
}
