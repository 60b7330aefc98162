package vpc

import (
	"fmt"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netspec"
)

// transits are the attachments of a VPC to transit gateways that stand.
func (p *planner) transits(id resource.VPCID) (out []resource.TransitGatewayAttachment) {
	for _, a := range p.Transit {
		if a.VPCID == id && a.State == resource.StateAvailable && a.Link.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

// transitTable is the route table that guides what comes from a transit gateway
// and is not for the VPC: that of the attachment's first subnet.
func (p *planner) transitTable(v resource.VPC, a resource.TransitGatewayAttachment) (resource.RouteTable, bool) {
	for _, id := range a.SubnetIDs {
		if _, ok := p.subnet(id); ok {
			return p.tableOf(v, id)
		}
	}
	return resource.RouteTable{}, false
}

// admitTransit lets packets through between interfaces and transit gateways: what
// comes from one meets ingress rules alone. Nothing goes from one gateway to
// another, nor between a transit gateway and the interfaces of a zone in which the
// attachment has no subnet.
func (p *planner) admitTransit(t *netspec.Table, v resource.VPC, enis []resource.NetworkInterface) {
	attachments := p.transits(v.ID)
	if len(attachments) == 0 {
		return
	}
	links := netspec.Set{Name: "transit", Type: "ifname"}
	apart := netspec.Set{Name: "apart", Type: "ifname . ifname"}
	for _, a := range attachments {
		links.Elements = append(links.Elements, fmt.Sprintf("%q", a.RouterLink()))
		zones := p.zones(a)
		for _, eni := range enis {
			if s, _ := p.subnet(eni.SubnetID); !slices.Contains(zones, s.Zone) {
				apart.Elements = append(apart.Elements,
					fmt.Sprintf("%q . %q", LinkName(eni.ID), a.RouterLink()), fmt.Sprintf("%q . %q", a.RouterLink(), LinkName(eni.ID)))
			}
		}
	}
	t.Sets = append(t.Sets, links, apart)
	for i, c := range t.Chains {
		switch c.Name {
		case "forward":
			at := slices.IndexFunc(c.Rules, func(r netspec.NftRule) bool { return r.Text == "iifname vmap @egress" })
			t.Chains[i].Rules = slices.Concat(
				[]netspec.NftRule{{Text: "iifname . oifname @apart counter drop", Comment: "a zone without a subnet of the attachment"}},
				c.Rules[:at], []netspec.NftRule{rule("iifname @transit goto deliver")}, c.Rules[at:])
		case "deliver":
			// The first rule delivers to interfaces, the last one drops.
			t.Chains[i].Rules = slices.Concat(c.Rules[:1],
				[]netspec.NftRule{{Text: "iifname @transit counter drop", Comment: "no way from gateway to gateway"}, rule("iifname @interfaces oifname @transit accept")}, c.Rules[1:])
		}
	}
}

// zones are those in which an attachment has a subnet.
func (p *planner) zones(a resource.TransitGatewayAttachment) (out []string) {
	for _, id := range a.SubnetIDs {
		if s, ok := p.subnet(id); ok {
			out = append(out, s.Zone)
		}
	}
	return out
}
