//go:build e2e

package bgppeer

import (
	"encoding/json"
	"fmt"
	"testing"

	"seikan/e2e/frr"
	"seikan/e2e/world"
)

const frrConf = `
router bgp %[1]d
 bgp router-id %[3]s
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 timers bgp 10 30
 neighbor %[4]s remote-as %[2]d
 neighbor %[4]s timers connect 2
 neighbor %[6]s remote-as %[2]d
 neighbor %[6]s timers connect 2
 address-family ipv4 unicast
  network %[7]s
  network %[8]s
  neighbor %[4]s route-map first out
  neighbor %[6]s route-map second out
 exit-address-family
ip prefix-list far permit %[8]s
ip prefix-list own permit %[7]s
route-map first permit 10
 match ip address prefix-list far
 set metric 1
 set as-path prepend %[1]d %[1]d
route-map first permit 20
 match ip address prefix-list own
 set metric 100
route-map second permit 10
 match ip address prefix-list far
 set metric 200
route-map second permit 20
 match ip address prefix-list own
 set metric 200
`

// A router is FRR.
type router struct{ *frr.Router }

func startFRR(t testing.TB, w *world.World) Speaker {
	t.Helper()
	return router{frr.Start(t, w, Namespace, fmt.Sprintf(frrConf, ASN, PeerASN,
		world.InsideSecond, world.InsideFirst, world.InsideSecond2, world.InsideFirst2, Site, Far))}
}

func (r router) Announce() error { return r.network("network " + Site) }
func (r router) Withdraw() error { return r.network("no network " + Site) }

func (r router) network(line string) error {
	_, err := r.Vtysh("configure terminal", fmt.Sprintf("router bgp %d", ASN), "address-family ipv4 unicast", line)
	return err
}

func (r router) Learned(prefix string) (out []Route, err error) {
	text, err := r.Vtysh("show bgp ipv4 unicast " + prefix + " json")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Paths []struct {
			ASPath struct {
				String string `json:"string"`
			} `json:"aspath"`
			Metric int `json:"metric"`
			Best   struct {
				Overall bool `json:"overall"`
			} `json:"bestpath"`
			Peer struct {
				ID string `json:"peerId"`
			} `json:"peer"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("FRR: %w in %s", err, text)
	}
	for _, p := range answer.Paths {
		out = append(out, Route{From: p.Peer.ID, ASPath: p.ASPath.String, MED: p.Metric, Best: p.Best.Overall})
	}
	return out, nil
}
