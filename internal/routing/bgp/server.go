package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	gobgp "github.com/osrg/gobgp/v4/pkg/server"
)

// connectRetry is how long we wait before we call a peer again, in seconds:
// less than GoBGP's 120, for a tunnel that is back shall be used soon.
const connectRetry = 5

// The names of our policies: what goes out, and to whom, and what comes in.
const (
	exportPolicy = "announce"
	importPolicy = "own"
)

// A server is GoBGP with the configuration that it has now.
type server struct {
	*gobgp.BgpServer
	own   uint32
	port  uint16
	peers map[netip.Addr]Peer       // by Remote, with defaults
	paths map[netip.Prefix][]uint32 // what is announced, with its path: none for our own
	loop  sync.WaitGroup
	// restarted says to peers that are added that we restart.
	restarted bool
}

// startServer starts GoBGP for cfg, without peers. Where it cannot listen it
// does without, and deaf says why.
func startServer(ctx context.Context, cfg Config, port uint16, log *slog.Logger) (s *server, deaf, err error) {
	s = newServer(cfg, port, log)
	global := &api.Global{Asn: cfg.ASN, RouterId: cfg.RouterID.String(), ListenPort: int32(port)}
	for _, a := range cfg.Listen {
		global.ListenAddresses = append(global.ListenAddresses, a.String())
	}
	if len(cfg.Listen) == 0 {
		global.ListenAddresses = everywhere()
	}
	if deaf = s.StartBgp(ctx, &api.StartBgpRequest{Global: global}); deaf != nil {
		s.stop()
		s = newServer(cfg, port, log)
		global.ListenPort = -1
		err = s.StartBgp(ctx, &api.StartBgpRequest{Global: global})
	}
	if err == nil {
		err = s.guard(ctx)
	}
	if err != nil {
		s.stop()
		return nil, nil, fmt.Errorf("bgp: starting GoBGP: %w", err)
	}
	return s, deaf, nil
}

// everywhere is where we listen unless told: all addresses of both families. A
// kernel may have no IPv6.
func everywhere() []string {
	out := []string{netip.IPv4Unspecified().String()}
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		out = append(out, netip.IPv6Unspecified().String())
	}
	return out
}

func newServer(cfg Config, port uint16, log *slog.Logger) *server {
	s := &server{BgpServer: gobgp.NewBgpServer(gobgp.LoggerOption(log, nil)), own: cfg.ASN, port: port, peers: map[netip.Addr]Peer{}, paths: map[netip.Prefix][]uint32{}}
	s.loop.Go(s.Serve)
	return s
}

// guard lets nothing in but our own paths, and nothing out that is not to be
// announced: what peers announce stays in their own tables, where we read it, and
// is passed on to nobody.
func (s *server) guard(ctx context.Context) error {
	if err := s.setPolicies(ctx); err != nil {
		return err
	}
	for direction, policies := range map[api.PolicyDirection][]*api.Policy{
		api.PolicyDirection_POLICY_DIRECTION_IMPORT: {{Name: importPolicy}},
		api.PolicyDirection_POLICY_DIRECTION_EXPORT: {{Name: exportPolicy}},
	} {
		err := s.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
			Name: "global", Direction: direction, Policies: policies, DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// apply makes the peers and what is announced to them those of cfg. The sessions
// of peers that are the same go on.
func (s *server) apply(ctx context.Context, cfg Config) error {
	want := map[netip.Addr]Peer{}
	for _, p := range cfg.Peers {
		want[p.Remote] = p.withDefaults()
	}
	var gone []netip.Addr
	for addr, p := range s.peers {
		if q, ok := want[addr]; !ok || !p.sameSession(q) {
			gone = append(gone, addr)
		}
	}
	s.part(gone)
	for _, addr := range gone {
		if err := s.DeletePeer(ctx, &api.DeletePeerRequest{Address: addr.String()}); err != nil {
			return fmt.Errorf("bgp: removing peer %s: %w", s.peers[addr].Name, err)
		}
		delete(s.peers, addr)
	}
	if err := s.announce(ctx, want, cfg.Relayed); err != nil {
		return err
	}
	for addr, p := range want {
		if _, ok := s.peers[addr]; !ok {
			if err := s.AddPeer(ctx, &api.AddPeerRequest{Peer: s.peer(p)}); err != nil {
				return fmt.Errorf("bgp: adding peer %s: %w", p.Name, err)
			}
		}
	}
	s.peers = want
	return nil
}

// announce brings what is announced from the peers that there are to want. A
// prefix that nobody is to have any more is withdrawn while the policy still
// lets it out, since GoBGP sends no withdrawal of what it may not announce.
func (s *server) announce(ctx context.Context, want map[netip.Addr]Peer, relayed []Relayed) error {
	had, have := s.paths, announced(want, relayed)
	for p, path := range had {
		if _, stays := have[p]; !stays {
			if err := s.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{localPath(p, path)}}); err != nil {
				return fmt.Errorf("bgp: withdrawing %v: %w", p, err)
			}
		}
	}
	var changed []netip.Addr
	for addr, p := range s.peers {
		if !p.sameOutput(want[addr]) {
			changed = append(changed, addr)
		}
	}
	before := s.peers
	s.peers = want
	err := s.setPolicies(ctx)
	s.peers = before
	if err != nil {
		return fmt.Errorf("bgp: choosing what is announced: %w", err)
	}
	for p, path := range have {
		if before, there := had[p]; there && slices.Equal(before, path) {
			continue
		}
		if _, err := s.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{localPath(p, path)}}); err != nil {
			return fmt.Errorf("bgp: announcing %v: %w", p, err)
		}
	}
	s.paths = have
	for _, addr := range changed {
		err := s.ResetPeer(ctx, &api.ResetPeerRequest{Address: addr.String(), Soft: true, Direction: api.ResetPeerRequest_DIRECTION_OUT})
		if err != nil {
			return fmt.Errorf("bgp: announcing to %s: %w", before[addr].Name, err)
		}
	}
	return nil
}

// announced are the prefixes that any of peers is to have, with the paths of those
// that are relayed.
func announced(peers map[netip.Addr]Peer, relayed []Relayed) map[netip.Prefix][]uint32 {
	out := map[netip.Prefix][]uint32{}
	for _, p := range peers {
		for _, a := range p.Announce {
			out[a] = nil
		}
	}
	for _, r := range relayed {
		if _, wanted := out[r.Prefix]; wanted {
			out[r.Prefix] = r.ASPath
		}
	}
	return out
}

// localPath is a path to p as if of our own, before which stands the path of
// others. The session's address becomes its next hop.
func localPath(p netip.Prefix, path []uint32) *apiutil.Path {
	nlri, _ := wire.NewIPAddrPrefix(p) // fails for an invalid prefix alone
	out := &apiutil.Path{Family: family(p.Addr()), Nlri: nlri, Attrs: []wire.PathAttributeInterface{wire.NewPathAttributeOrigin(wire.BGP_ORIGIN_ATTR_TYPE_IGP)}}
	if p.Addr().Is6() {
		hop, _ := wire.NewPathAttributeMpReachNLRI(out.Family, []wire.PathNLRI{{NLRI: nlri}}, netip.IPv6Unspecified())
		out.Attrs = append(out.Attrs, hop)
	} else {
		hop, _ := wire.NewPathAttributeNextHop(netip.IPv4Unspecified())
		out.Attrs = append(out.Attrs, hop)
	}
	if len(path) > 0 {
		out.Attrs = append(out.Attrs, wire.NewPathAttributeAsPath([]wire.AsPathParamInterface{wire.NewAs4PathParam(wire.BGP_ASPATH_ATTR_TYPE_SEQ, path)}))
	}
	return out
}

// family is the one of a session between addresses like a, and of its prefixes.
func family(a netip.Addr) wire.Family {
	if a.Is6() {
		return wire.RF_IPv6_UC
	}
	return wire.RF_IPv4_UC
}

// setPolicies allows of our own paths to each peer those that it is to have.
func (s *server) setPolicies(ctx context.Context) error {
	req := &api.SetPoliciesRequest{}
	policy := &api.Policy{Name: exportPolicy}
	for addr, p := range s.peers {
		if len(p.Announce) == 0 {
			continue
		}
		name := addr.String()
		prefixes := &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_PREFIX, Name: name + " prefixes"}
		for _, a := range p.Announce {
			bits := uint32(a.Bits())
			prefixes.Prefixes = append(prefixes.Prefixes, &api.Prefix{IpPrefix: a.String(), MaskLengthMin: bits, MaskLengthMax: bits})
		}
		self := &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_NEIGHBOR, Name: name + " itself", List: []string{netip.PrefixFrom(addr, addr.BitLen()).String()}}
		req.DefinedSets = append(req.DefinedSets, prefixes, self)
		policy.Statements = append(policy.Statements, &api.Statement{
			Name: name,
			Conditions: &api.Conditions{
				PrefixSet:   &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: prefixes.Name},
				NeighborSet: &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: self.Name},
				RouteType:   api.Conditions_ROUTE_TYPE_LOCAL,
			},
			Actions: s.actions(p),
		})
	}
	req.Policies = []*api.Policy{policy, {Name: importPolicy, Statements: []*api.Statement{{
		Name:       importPolicy,
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}}
	return s.SetPolicies(ctx, req)
}

// actions are what is done to a path before p has it.
func (s *server) actions(p Peer) *api.Actions {
	a := &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT}
	if p.MED > 0 {
		a.Med = &api.MedAction{Type: api.MedAction_TYPE_REPLACE, Value: int64(p.MED)}
	}
	if p.Prepend > 0 {
		a.AsPrepend = &api.AsPrependAction{Asn: s.own, Repeat: uint32(p.Prepend)}
	}
	return a
}

// peer says p in GoBGP's words.
func (s *server) peer(p Peer) *api.Peer {
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if p.Remote.Is6() {
		family.Afi = api.Family_AFI_IP6
	}
	return &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: p.Remote.String(), PeerAsn: p.ASN},
		Transport: &api.Transport{LocalAddress: p.Local.String(), RemotePort: uint32(s.port)},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: uint64(p.Hold / time.Second), KeepaliveInterval: uint64(p.Keepalive / time.Second), ConnectRetry: connectRetry,
		}},
		GracefulRestart: &api.GracefulRestart{Enabled: true, RestartTime: restartTime, DeferralTime: deferralTime, LocalRestarting: s.restarted},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: family, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}},
			PrefixLimits:      &api.PrefixLimit{Family: family, MaxPrefixes: uint32(p.MaxPrefixes), ShutdownThresholdPct: warnPercent},
		}},
	}
}

const (
	// restartTime is how long the peer keeps our routes when we break off
	// without a word, in seconds: bgpd's default, which AWS seems to have.
	restartTime = 120
	// deferralTime is how long we wait after our restart, in seconds, for peers to
	// say that they have told all, before we announce.
	deferralTime = 3
	// warnPercent of MaxPrefixes is where GoBGP warns, as bgpd does.
	warnPercent = 75
)

// renew makes a peer anew. GoBGP that merely lets it try again counts the
// prefixes of before against its limit, and waits five seconds.
func (s *server) renew(ctx context.Context, addr netip.Addr) error {
	if err := s.DeletePeer(ctx, &api.DeletePeerRequest{Address: addr.String()}); err != nil {
		return err
	}
	return s.AddPeer(ctx, &api.AddPeerRequest{Peer: s.peer(s.peers[addr])})
}

// A view is what GoBGP says of one peer.
type view struct {
	state      api.PeerState_SessionState
	limited    bool // it announced too many prefixes
	restarting bool // it broke off and its routes are kept
	announced  int
	hold       time.Duration
	routes     []Route
}

// look is how all peers are, without the routes of those that it shall skip or
// that announced too many.
func (s *server) look(ctx context.Context, skip map[netip.Addr]bool) (map[netip.Addr]view, error) {
	out := map[netip.Addr]view{}
	err := s.ListPeer(ctx, &api.ListPeerRequest{EnableAdvertised: true}, func(p *api.Peer) {
		addr, err := netip.ParseAddr(p.GetState().GetNeighborAddress())
		if err != nil {
			return
		}
		v := view{
			state:      p.GetState().GetSessionState(),
			limited:    p.GetState().GetAdminState() == api.PeerState_ADMIN_STATE_PFX_CT,
			restarting: p.GetGracefulRestart().GetPeerRestarting(),
		}
		for _, af := range p.GetAfiSafis() {
			v.announced += int(af.GetState().GetAdvertised())
		}
		if v.state == api.PeerState_SESSION_STATE_ESTABLISHED {
			v.hold = time.Duration(p.GetTimers().GetState().GetNegotiatedHoldTime()) * time.Second
		}
		out[addr] = v
	})
	if err != nil {
		return nil, err
	}
	for addr, v := range out {
		if skip[addr] || v.limited || v.state != api.PeerState_SESSION_STATE_ESTABLISHED && !v.restarting {
			continue
		}
		if v.routes, err = s.routes(addr); err != nil {
			return nil, err
		}
		out[addr] = v
	}
	// ListPath reads without a lock what GoBGP changes under its own when a peer
	// goes. To be in its queue once more orders what was read before what is next.
	return out, s.ListPeer(ctx, &api.ListPeerRequest{Address: "none"}, func(*api.Peer) {})
}

// routes are what the peer at addr announces.
func (s *server) routes(addr netip.Addr) (out []Route, err error) {
	req := apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: addr.String(), Family: family(addr)}
	err = s.ListPath(req, func(_ wire.NLRI, paths []*apiutil.Path) {
		for _, p := range paths {
			if r, err := route(p); err == nil {
				out = append(out, r)
			}
		}
	})
	slices.SortFunc(out, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	return out, err
}
