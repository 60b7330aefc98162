package netapply

import (
	"net/netip"

	"seikan/internal/linux/netspec"
)

// A lookup finds by name or key what a pass asks for again and again: with
// ten thousand links and routes, looking through lists would take minutes.
type lookup struct {
	links map[string]netspec.Link     // wanted, by name
	want  map[netspec.Route]bool      // routes that are wanted
	keyed map[routeKey]netspec.Route  // the same by key
	addrs map[netip.Addr]netspec.Link // the wanted link with this address
}

// A routeKey is what no two routes of one namespace have in common.
type routeKey struct {
	table  int
	dst    netip.Prefix
	metric int
}

func keyOf(r netspec.Route) routeKey { return routeKey{r.Table, r.Dst, r.Metric} }

// lookup is the lookup of what is wanted of s.
func (p *pass) lookup(s *space) *lookup {
	if l := p.lookups[s.name]; l != nil {
		return l
	}
	n := p.want[s.name]
	l := &lookup{map[string]netspec.Link{}, map[netspec.Route]bool{}, map[routeKey]netspec.Route{}, map[netip.Addr]netspec.Link{}}
	for _, link := range n.Links {
		l.links[link.Name] = link
		for _, a := range link.Addrs {
			l.addrs[a.Addr()] = link
		}
	}
	for _, r := range n.Routes {
		l.want[r] = true
		l.keyed[keyOf(r)] = r
	}
	p.lookups[s.name] = l
	return l
}

// ownRoutes are our routes of s, in our words and by key, as they were when s
// was read.
type ownRoutes struct {
	plain map[netspec.Route]bool
	keyed map[routeKey]bool
}

// own is made once a pass and namespace, after its links are there.
func (p *pass) own(s *space) *ownRoutes {
	if o := p.routes[s.name]; o != nil {
		return o
	}
	o := &ownRoutes{map[netspec.Route]bool{}, map[routeKey]bool{}}
	for _, k := range s.have.routes {
		if !p.ownRoute(s, k) {
			continue
		}
		o.keyed[keyOf(k.spec)] = true
		if k.plain {
			o.plain[k.spec] = true
		}
	}
	p.routes[s.name] = o
	return o
}
