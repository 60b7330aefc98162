package cloudside

import (
	"context"
	"fmt"
	"math"

	"seikan/internal/cloud/dns"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/lab/topology"
)

// The rest of the builder: what joins the VPCs to the world.

// vpnGateway makes a VPC's gateway and attaches it.
func (b *builder) vpnGateway(v topology.VPC) error {
	if v.VPNGateway == "" {
		return nil
	}
	who := b.owner(v.Name)
	made, err := vpn.CreateVPNGateway(b.tx, who, vpn.CreateVPNGatewayInput{Type: resource.GatewayType, Tags: named(v.VPNGateway)})
	if err != nil {
		return err
	}
	b.gateways[v.VPNGateway] = made.ID
	_, err = vpn.AttachVPNGateway(b.tx, who, b.vpcs[v.Name].ID, made.ID)
	return err
}

// zone makes a private hosted zone in its first VPC and associates the others.
func (b *builder) zone(z topology.Zone) error {
	who := b.accounts[z.Account]
	made, err := dns.CreateHostedZone(b.tx, who, dns.CreateHostedZoneInput{
		Name: z.Name, CallerReference: "lab-" + z.Name, VPCID: b.vpcs[z.VPCs[0]].ID, Tags: named(z.Name),
	})
	if err != nil {
		return err
	}
	b.zones[z.Name] = made.ID
	for _, name := range z.VPCs[1:] {
		if err := b.associate(who, made.ID, b.vpcs[name]); err != nil {
			return err
		}
	}
	var changes []dns.Change
	for _, r := range z.Records {
		set, err := b.record(z, r)
		if err != nil {
			return err
		}
		changes = append(changes, dns.Change{Action: dns.Create, RecordSet: set})
	}
	if len(changes) == 0 {
		return nil
	}
	return dns.ChangeResourceRecordSets(b.tx, who, made.ID, changes)
}

// associate lets a VPC see a zone; one of another account needs the zone
// owner's leave first (pl §3.3).
func (b *builder) associate(who resource.Account, id resource.HostedZoneID, v resource.VPC) error {
	if v.OwnerID == who {
		return dns.AssociateVPCWithHostedZone(b.tx, who, id, v.ID)
	}
	if err := dns.CreateVPCAssociationAuthorization(b.tx, who, id, v.ID); err != nil {
		return err
	}
	if err := dns.AssociateVPCWithHostedZone(b.tx, v.OwnerID, id, v.ID); err != nil {
		return err
	}
	return dns.DeleteVPCAssociationAuthorization(b.tx, who, id, v.ID)
}

// record turns a record of the topology into a record set.
func (b *builder) record(z topology.Zone, r topology.Record) (resource.RecordSet, error) {
	set := resource.RecordSet{Name: r.Name + "." + z.Name, Type: r.Type, TTL: int64(r.TTL.Seconds())}
	if r.Name == "@" {
		set.Name = z.Name
	}
	if r.Alias == "" {
		if set.TTL == 0 {
			set.TTL = defaultTTL
		}
		set.Values = []string{recordValue(r)}
		return set, nil
	}
	set.Type, set.TTL = "A", 0
	if e, ok := b.endpoints[r.Alias]; ok {
		entry := e.DNSEntries[0]
		set.Alias = &resource.AliasTarget{HostedZoneID: entry.HostedZoneID, DNSName: entry.Name}
		return set, nil
	}
	if l, ok := b.balancers[r.Alias]; ok {
		set.Alias = &resource.AliasTarget{HostedZoneID: l.CanonicalHostedZoneID, DNSName: l.DNSName}
		return set, nil
	}
	return set, fmt.Errorf("record %s: alias %q is neither an endpoint nor a load balancer", r.Name, r.Alias)
}

// defaultTTL is that of records for which the topology names none, in seconds.
const defaultTTL = 300

// recordValue is the value as Route 53 writes it: texts stand in quotes.
func recordValue(r topology.Record) string {
	if r.Type == "TXT" {
		return fmt.Sprintf("%q", r.Value)
	}
	return r.Value
}

func (b *builder) directory(d topology.Directory) error {
	made, err := dns.CreateDirectory(b.tx, b.owner(d.VPC), dns.CreateDirectoryInput{
		Name: d.Domain, Size: "Small", VPCID: b.vpcs[d.VPC].ID, SubnetIDs: b.subnetIDs(d.VPC, d.Subnets), Addresses: d.Addresses, Tags: named(d.Name),
	})
	b.directories[d.Name] = made.ID
	return err
}

// connection makes a VPN connection as the account that owns its gateway.
func (b *builder) connection(c topology.Connection) error {
	who := b.targetOwner(c)
	wanted := vpn.CreateCustomerGatewayInput{
		Type: resource.GatewayType, DeviceName: c.CustomerGateway, Tags: named(c.CustomerGateway),
		BGPASN: plainASN(c.BGP.ASN), BGPASNExtended: c.BGP.ASN - plainASN(c.BGP.ASN),
	}
	var err error
	if !c.Roaming {
		if wanted.IPAddress, err = b.publicAddress(c); err != nil {
			return err
		}
	}
	if c.Certificates {
		if wanted.CertificateARN, err = b.certify(who, c); err != nil {
			return err
		}
	}
	device, err := vpn.CreateCustomerGateway(b.tx, who, wanted)
	if err != nil {
		return err
	}
	in := vpn.CreateVPNConnectionInput{
		Type: resource.GatewayType, CustomerGatewayID: device.ID, VPNGatewayID: b.gateways[c.VPNGateway], TransitGatewayID: b.transits[c.TransitGateway].ID,
		StaticRoutesOnly: !c.Dynamic(), Tags: named(c.Name),
	}
	families(c, &in)
	for i, t := range c.Tunnels {
		in.Tunnels[i] = tunnelOptions(t)
		in.Tunnels[i].Logs = logged(who, c)
	}
	made, err := vpn.CreateVPNConnection(b.tx, who, in)
	if err != nil {
		return err
	}
	b.connections[c.Name] = made.ID
	if c.TransitGateway != "" {
		return nil // what lies behind it stands in route tables
	}
	for _, p := range c.Routes {
		if err := vpn.CreateVPNConnectionRoute(b.tx, who, made.ID, p); err != nil {
			return err
		}
	}
	return nil
}

// logged keeps all logs that a connection can have, in a group of its name.
func logged(who resource.Account, c topology.Connection) (in vpn.TunnelLogsInput) {
	on := true
	in.Activity = vpn.TunnelLogInput{Enabled: &on, GroupARN: resource.ARN("logs", region, who, "log-group:"+c.Name)}
	if c.Dynamic() {
		in.BGP = in.Activity
	}
	return in
}

// families asks for what of IPv6 a connection has, and for its selectors.
func families(c topology.Connection, in *vpn.CreateVPNConnectionInput) {
	if c.OutsideIPv6 {
		in.Options.OutsideIPAddressType = "Ipv6"
	}
	if !c.InsideIPv6 {
		in.LocalIPv4NetworkCIDR, in.RemoteIPv4NetworkCIDR = c.LocalCIDR, c.RemoteCIDR
		return
	}
	in.Options.TunnelInsideIPVersion = "ipv6"
	in.Options.LocalIPv6NetworkCIDR, in.Options.RemoteIPv6NetworkCIDR = c.LocalCIDR, c.RemoteCIDR
}

// certify makes an authority, and by it the certificate of a connection's customer
// gateway.
func (b *builder) certify(who resource.Account, c topology.Connection) (resource.CertificateARN, error) {
	authority, err := vpn.CreateCertificateAuthority(b.tx, who, vpn.CreateCertificateAuthorityInput{Subject: "Seikan lab " + c.Name})
	if err != nil {
		return "", err
	}
	cert, key, err := vpn.IssueCertificate(b.tx, who, authority.ARN, c.CustomerGateway)
	b.devices[c.Name] = gateway.Certificates{Own: cert.Chain, Key: key, CA: authority.Certificate}
	return cert.ARN, err
}

// plainASN is a number if it is one that BgpAsn takes, else 0: BgpAsnExtended has
// the others (vpn §4.1).
func plainASN(n uint32) uint32 {
	if n > math.MaxInt32 {
		return 0
	}
	return n
}

// targetOwner is the account of the gateway at the cloud's end of c.
func (b *builder) targetOwner(c topology.Connection) resource.Account {
	for _, v := range b.t.Cloud.VPCs {
		if c.VPNGateway != "" && v.VPNGateway == c.VPNGateway {
			return b.owner(v.Name)
		}
	}
	return b.transits[c.TransitGateway].OwnerID
}

func tunnelOptions(t topology.Tunnel) vpn.TunnelOptionsInput {
	in := vpn.TunnelOptionsInput{
		InsideCIDR: t.InsideCIDR, InsideIPv6CIDR: t.InsideIPv6CIDR, PreSharedKey: t.PSK,
		Phase1Lifetime: t.Phase1Lifetime, Phase2Lifetime: t.Phase2Lifetime, RekeyMargin: t.RekeyMargin, ReplayWindow: t.ReplayWindow,
		DPDTimeout: t.DPDTimeout, DPDTimeoutAction: t.DPDTimeoutAction, StartupAction: t.StartupAction,
		Algorithms:       vpn.Algorithms(t.Algorithms),
		LivenessInterval: t.Liveness.Interval, LivenessTimeout: t.Liveness.Timeout,
	}
	if t.BFD != (topology.BFD{}) {
		in.BFD = &resource.BFD{Interval: t.BFD.Interval, Multiplier: t.BFD.Multiplier}
	}
	if t.RekeyFuzz >= 0 {
		in.RekeyFuzz = &t.RekeyFuzz
	}
	return in
}

// propagate turns on route propagation. It needs the gateways attached, which
// they are once the host has built them.
func (s *Side) propagate(ctx context.Context) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		for _, v := range s.cfg.Topology.Cloud.VPCs {
			for _, t := range v.RouteTables {
				if !t.Propagate || v.VPNGateway == "" {
					continue
				}
				row := s.made.vpcs[v.Name]
				err := vpc.EnableVGWRoutePropagation(tx, row.OwnerID, s.made.routeTables[v.Name+"/"+t.Name], s.made.gateways[v.VPNGateway])
				if err != nil {
					return fmt.Errorf("cloud.vpcs %s: route table %s: %w", v.Name, t.Name, err)
				}
			}
		}
		return nil
	})
}
