package bgp

import (
	"errors"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// errFamily is why a path is none of ours.
var errFamily = errors.New("not an IP prefix")

// route reads a path of GoBGP's.
func route(p *apiutil.Path) (Route, error) {
	nlri, ok := p.Nlri.(*wire.IPAddrPrefix)
	if !ok {
		return Route{}, errFamily
	}
	r := Route{Prefix: nlri.Prefix, Origin: "incomplete", Stale: p.Stale}
	for _, attr := range p.Attrs {
		switch a := attr.(type) {
		case *wire.PathAttributeOrigin:
			switch a.Value {
			case wire.BGP_ORIGIN_ATTR_TYPE_IGP:
				r.Origin = "IGP"
			case wire.BGP_ORIGIN_ATTR_TYPE_EGP:
				r.Origin = "EGP"
			}
		case *wire.PathAttributeNextHop:
			r.NextHop = a.Value
		case *wire.PathAttributeMpReachNLRI:
			r.NextHop = a.Nexthop
		case *wire.PathAttributeMultiExitDisc:
			r.MED, r.HasMED = a.Value, true
		case *wire.PathAttributeAsPath:
			for _, segment := range a.Value {
				r.ASPath = append(r.ASPath, segment.GetAS()...)
				r.Hops += segment.ASLen()
			}
		}
	}
	return r, nil
}
