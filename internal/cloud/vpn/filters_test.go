package vpn

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// The ids of the rows that filters are tried on: of each noun one that ends in 1
// and one in 2, of alice, and one in 3 that is bob's and must never be seen.
const digits = "0123456789abcdef"

func filterRows(tx *store.Tx) {
	for n, who := range map[string]resource.Account{"1": alice, "2": alice, "3": bob} {
		first := n != "2"
		pick := func(a, b string) string {
			if first {
				return a
			}
			return b
		}
		tags := resource.Tags{"Name": pick("office", "branch")}
		if first {
			tags["team"] = "net"
		}
		g := resource.CustomerGateway{ID: resource.CustomerGatewayID("cgw-" + digits + n), OwnerID: who, State: resource.StateAvailable, Type: resource.GatewayType, BGPASN: 65001, Tags: tags}
		v := resource.VPNGateway{ID: resource.VPNGatewayID("vgw-" + digits + n), OwnerID: who, State: resource.State(pick("available", "pending")), Type: resource.GatewayType, AmazonSideASN: 64512, Tags: tags}
		c := resource.VPNConnection{ID: resource.VPNConnectionID("vpn-" + digits + n), OwnerID: who, State: resource.State(pick("available", "deleting")), Type: resource.GatewayType, CustomerGatewayID: g.ID, StaticRoutesOnly: first, Tags: tags}
		w := resource.TransitGateway{ID: resource.TransitGatewayID("tgw-" + digits + n), OwnerID: who, State: resource.State(pick("available", "pending")), AmazonSideASN: 64600, Tags: tags}
		a := resource.TransitGatewayAttachment{ID: resource.TransitGatewayAttachmentID("tgw-attach-" + digits + n), OwnerID: who, State: resource.State(pick("available", "pending")), TransitGatewayID: w.ID, Tags: tags}
		t := resource.TransitGatewayRouteTable{ID: resource.TransitGatewayRouteTableID("tgw-rtb-" + digits + n), OwnerID: who, State: resource.State(pick("available", "pending")), TransitGatewayID: w.ID, DefaultAssociation: first, DefaultPropagation: !first, Tags: tags}
		if first {
			g.IPAddress = netip.MustParseAddr("198.51.100.2")
			v.Attachment = resource.VPNGatewayAttachment{VPCID: "vpc-1", State: resource.Attached}
			c.VPNGatewayID = v.ID
			c.Routes = []resource.StaticRoute{{Destination: prefix("192.168.1.0/24")}, {Destination: prefix("172.16.0.0/12")}}
			w.Options = resource.TransitGatewayOptions{DefaultAssociation: true, VPNECMP: true}
			w.AssociationTable = t.ID
			a.Type, a.VPCID, a.RouteTableID = resource.AttachVPC, "vpc-1", t.ID
		} else {
			g.BGPASN, v.AmazonSideASN, w.AmazonSideASN = 4200000000, 64513, 64601
			c.TransitGatewayID = w.ID
			w.Options = resource.TransitGatewayOptions{DefaultPropagation: true, AutoAccept: true, DNSSupport: true}
			w.PropagationTable = t.ID
			a.Type, a.VPNConnectionID, a.RouteTableID = resource.AttachVPN, c.ID, t.ID
		}
		store.CustomerGateways.Put(tx, g.ID, g)
		store.VPNGateways.Put(tx, v.ID, v)
		store.VPNConnections.Put(tx, c.ID, c)
		store.TransitGateways.Put(tx, w.ID, w)
		store.TransitGatewayAttachments.Put(tx, a.ID, a)
		store.TransitGatewayRouteTables.Put(tx, t.ID, t)
	}
}

// A describeOp is one operation: its filters, and how to ask it. It answers the
// last digits of the ids.
type describeOp struct {
	filters []string
	ask     func(tx *store.Tx, ids []string, f ...filter.Filter) (string, error)
	none    string // its code of an unknown id
	prefix  string
}

// asked makes an operation of a noun into one for the table.
func asked[K ~string, T any](operation func(*store.Tx, resource.Account, []K, ...filter.Filter) ([]T, error), id func(T) K) func(*store.Tx, []string, ...filter.Filter) (string, error) {
	return func(tx *store.Tx, names []string, f ...filter.Filter) (string, error) {
		var ids []K
		for _, n := range names {
			ids = append(ids, K(n))
		}
		rows, err := operation(tx, alice, ids, f...)
		var out []string
		for _, r := range rows {
			_, last, _ := strings.Cut(string(id(r)), digits)
			out = append(out, last)
		}
		return strings.Join(out, " "), err
	}
}

func describes() map[string]describeOp {
	keys := func(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
	return map[string]describeOp{
		"DescribeCustomerGateways": {keys(names(customerGatewayFields())), asked(DescribeCustomerGateways, func(r resource.CustomerGateway) resource.CustomerGatewayID { return r.ID }), "InvalidCustomerGatewayID.NotFound", "cgw-"},
		"DescribeVpnGateways":      {keys(names(vpnGatewayFields())), asked(DescribeVPNGateways, func(r resource.VPNGateway) resource.VPNGatewayID { return r.ID }), "InvalidVpnGatewayID.NotFound", "vgw-"},
		"DescribeVpnConnections":   {keys(names(connectionFields(nil))), asked(DescribeVPNConnections, func(r resource.VPNConnection) resource.VPNConnectionID { return r.ID }), "InvalidVpnConnectionID.NotFound", "vpn-"},
		"DescribeTransitGateways":  {keys(names(transitGatewayFields())), asked(DescribeTransitGateways, func(r resource.TransitGateway) resource.TransitGatewayID { return r.ID }), "InvalidTransitGatewayID.NotFound", "tgw-"},
		"DescribeTransitGatewayAttachments": {keys(names(transitAttachmentFields())), asked(DescribeTransitGatewayAttachments, func(r resource.TransitGatewayAttachment) resource.TransitGatewayAttachmentID { return r.ID }),
			"InvalidTransitGatewayAttachmentID.NotFound", "tgw-attach-"},
		"DescribeTransitGatewayRouteTables": {keys(names(transitTableFields())), asked(DescribeTransitGatewayRouteTables, func(r resource.TransitGatewayRouteTable) resource.TransitGatewayRouteTableID { return r.ID }),
			"InvalidRouteTableID.NotFound", "tgw-rtb-"},
	}
}

func names[T any](f filter.Fields[T]) map[string]bool {
	out := map[string]bool{}
	for name := range f {
		out[name] = true
	}
	return out
}

// TestEveryFilterOfEveryDescribe has a line for each filter of vpn §1.8 and of the
// EC2 API Reference: the values, and which of alice's two rows they leave. It
// fails for a filter of an operation that has no line.
func TestEveryFilterOfEveryDescribe(t *testing.T) {
	c := newCloud(t)
	c.do(func(tx *store.Tx) error { filterRows(tx); return nil })
	all := describes()
	tried := map[string]map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(`
DescribeCustomerGateways bgp-asn=65001 1
DescribeCustomerGateways bgp-asn=4200000000 2
DescribeCustomerGateways customer-gateway-id=*2 2
DescribeCustomerGateways ip-address=198.51.100.? 1
DescribeCustomerGateways ip-address=* 1
DescribeCustomerGateways state=available 1 2
DescribeCustomerGateways type=ipsec.2
DescribeCustomerGateways type=ipsec.1 1 2
DescribeCustomerGateways tag:Name=office 1
DescribeCustomerGateways tag-key=team 1
DescribeVpnGateways amazon-side-asn=64513 2
DescribeVpnGateways attachment.state=attached 1
DescribeVpnGateways attachment.vpc-id=vpc-1,vpc-2 1
DescribeVpnGateways availability-zone=*
DescribeVpnGateways state=pending 2
DescribeVpnGateways type=ipsec.1 1 2
DescribeVpnGateways vpn-gateway-id=vgw-01* 1 2
DescribeVpnGateways tag:Name=branch 2
DescribeVpnGateways tag-key=team 1
DescribeVpnConnections bgp-asn=65001 1
DescribeVpnConnections customer-gateway-id=*1 1
DescribeVpnConnections option.static-routes-only=true 1
DescribeVpnConnections option.static-routes-only=false 2
DescribeVpnConnections option.static-routes-only=no
DescribeVpnConnections route.destination-cidr-block=172.16.0.0/12 1
DescribeVpnConnections route.destination-cidr-block=10.0.0.0/8
DescribeVpnConnections state=available,deleting 1 2
DescribeVpnConnections state=deleting 2
DescribeVpnConnections transit-gateway-id=tgw-* 2
DescribeVpnConnections type=ipsec.1 1 2
DescribeVpnConnections vpn-connection-id=*2 2
DescribeVpnConnections vpn-gateway-id=vgw-* 1
DescribeVpnConnections tag:Name=*ff* 1
DescribeVpnConnections tag-key=team,Name 1 2
DescribeTransitGateways options.amazon-side-asn=64601 2
DescribeTransitGateways options.association-default-route-table-id=tgw-rtb-* 1
DescribeTransitGateways options.propagation-default-route-table-id=tgw-rtb-* 2
DescribeTransitGateways options.auto-accept-shared-attachments=enable 2
DescribeTransitGateways options.default-route-table-association=enable 1
DescribeTransitGateways options.default-route-table-propagation=disable 1
DescribeTransitGateways options.dns-support=enable 2
DescribeTransitGateways options.vpn-ecmp-support=enable 1
DescribeTransitGateways owner-id=111111111111 1 2
DescribeTransitGateways owner-id=222222222222
DescribeTransitGateways state=pending 2
DescribeTransitGateways transit-gateway-id=*1 1
DescribeTransitGateways tag:Name=office 1
DescribeTransitGateways tag-key=team 1
DescribeTransitGatewayAttachments association.state=associated 1
DescribeTransitGatewayAttachments association.state=associating 2
DescribeTransitGatewayAttachments association.transit-gateway-route-table-id=*2 2
DescribeTransitGatewayAttachments resource-id=vpc-1 1
DescribeTransitGatewayAttachments resource-id=vpn-* 2
DescribeTransitGatewayAttachments resource-owner-id=111111111111 1 2
DescribeTransitGatewayAttachments resource-type=vpn 2
DescribeTransitGatewayAttachments state=available 1
DescribeTransitGatewayAttachments transit-gateway-attachment-id=*1 1
DescribeTransitGatewayAttachments transit-gateway-id=*2 2
DescribeTransitGatewayAttachments transit-gateway-owner-id=222222222222
DescribeTransitGatewayAttachments tag:Name=office 1
DescribeTransitGatewayRouteTables default-association-route-table=true 1
DescribeTransitGatewayRouteTables default-propagation-route-table=true 2
DescribeTransitGatewayRouteTables state=pending 2
DescribeTransitGatewayRouteTables transit-gateway-id=*1 1
DescribeTransitGatewayRouteTables transit-gateway-route-table-id=*2 2
DescribeTransitGatewayRouteTables tag-key=team 1`), "\n") {
		words := strings.SplitN(line, " ", 3)
		operation := words[0]
		name, values, _ := strings.Cut(words[1], "=")
		want := strings.Join(words[2:], "")
		if tried[operation] == nil {
			tried[operation] = map[string]bool{}
		}
		tried[operation][name] = true
		c.do(func(tx *store.Tx) error {
			if got, err := all[operation].ask(tx, nil, filter.Filter{Name: name, Values: strings.Split(values, ",")}); err != nil || got != want {
				t.Errorf("%s: got %q, %v", line, got, err)
			}
			return nil
		})
	}
	for operation, d := range all {
		for _, name := range d.filters {
			if !tried[operation][name] {
				t.Errorf("%s: no line tries the filter %s", operation, name)
			}
		}
	}
}

// Each operation refuses what it does not have with AWS's codes, and combines ids
// and filters.
func TestDescribesRefuseWhatIsNotThere(t *testing.T) {
	c := newCloud(t)
	c.do(func(tx *store.Tx) error { filterRows(tx); return nil })
	for operation, d := range describes() {
		ask := func(ids []string, f ...filter.Filter) func(*store.Tx) error {
			return func(tx *store.Tx) error {
				_, err := d.ask(tx, ids, f...)
				return err
			}
		}
		c.refused("InvalidParameterValue", ask(nil, filter.Filter{Name: "colour", Values: []string{"*"}}), "The filter 'colour' is invalid")
		c.refused(d.none, ask([]string{d.prefix + digits + "9"}), digits+"9")
		c.refused(d.none, ask([]string{d.prefix + digits + "1", d.prefix + digits + "3"}), digits+"3") // bob's
		c.do(func(tx *store.Tx) error {
			got, err := d.ask(tx, []string{d.prefix + digits + "1", d.prefix + digits + "2"}, filter.Filter{Name: "tag:Name", Values: []string{"branch"}})
			if err != nil || got != "2" {
				t.Errorf("%s with both ids and a filter: got %q, %v, want 2", operation, got, err)
			}
			return nil
		})
	}
	c.refused("InvalidCustomerGatewayId.Malformed", func(tx *store.Tx) error {
		_, err := DescribeCustomerGateways(tx, alice, []resource.CustomerGatewayID{"cgw-x"})
		return err
	}, `Invalid id: "cgw-x" (expecting "cgw-...")`)
}
