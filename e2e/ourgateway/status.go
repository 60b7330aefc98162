//go:build e2e

package ourgateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"seikan/internal/gateway"
)

// A Tunnel is what the status says of the tunnel, as far as tests ask.
type Tunnel struct {
	Up     bool   `json:"up"`
	Phase  string `json:"phase"`
	Reason string `json:"reason"`
	IKE    struct {
		Version    int      `json:"version"`
		Extensions []string `json:"extensions"`
		Auth       string   `json:"auth"`
		NATLocal   bool     `json:"nat_local"`
		NATRemote  bool     `json:"nat_remote"`
		Suite      string   `json:"suite"`
		Rekeys     uint64   `json:"rekeys"`
		Dropped    uint64   `json:"dropped"`
	} `json:"ike"`
	Child *struct {
		SPIIn  string `json:"spi_in"`
		SPIOut string `json:"spi_out"`
		Suite  string `json:"suite"`
		Encap  bool   `json:"encap"`
	} `json:"child"`
	Traffic struct {
		PacketsIn  uint64            `json:"packets_in"`
		BytesIn    uint64            `json:"bytes_in"`
		PacketsOut uint64            `json:"packets_out"`
		BytesOut   uint64            `json:"bytes_out"`
		Drops      map[string]uint64 `json:"drops"`
	} `json:"traffic"`
}

// Whole asks the gateway about all of it.
func (g *Gateway) Whole() (gateway.Status, error) {
	var answer struct {
		Status gateway.Status `json:"status"`
		Error  string         `json:"error"`
	}
	err := g.ask("status", &answer)
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.Status, err
}

// Status asks the gateway about its tunnel.
func (g *Gateway) Status() (Tunnel, error) {
	var answer struct {
		Status struct {
			Tunnels []Tunnel `json:"tunnels"`
		} `json:"status"`
		Error string `json:"error"`
	}
	if err := g.ask("status", &answer); err != nil {
		return Tunnel{}, err
	}
	if answer.Error != "" || len(answer.Status.Tunnels) != 1 {
		return Tunnel{}, fmt.Errorf("got %d tunnels, error %q, want 1", len(answer.Status.Tunnels), answer.Error)
	}
	return answer.Status.Tunnels[0], nil
}

// Current names the SAs the tunnel has: the text changes when one is replaced.
func (g *Gateway) Current() (string, error) {
	st, err := g.Status()
	if err != nil {
		return "", err
	}
	if !st.Up || st.Child == nil {
		return "", fmt.Errorf("not up: %s %s", st.Phase, st.Reason)
	}
	return fmt.Sprintf("%d rekeys, %s", st.IKE.Rekeys, st.Child.SPIIn), nil
}

// RekeyChild makes the gateway replace the CHILD SA.
func (g *Gateway) RekeyChild() { g.t.Helper(); g.rekey("rekey-child") }

// RekeyIKE makes the gateway replace the IKE SA.
func (g *Gateway) RekeyIKE() { g.t.Helper(); g.rekey("rekey-ike") }

func (g *Gateway) rekey(verb string) {
	g.t.Helper()
	var answer struct {
		Error string `json:"error"`
	}
	err := g.ask(verb, &answer)
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		g.t.Errorf("%s: %v", verb, err)
	}
}

func (g *Gateway) ask(verb string, answer any) error {
	conn, err := net.DialTimeout("unix", g.control(), 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := json.NewEncoder(conn).Encode(map[string]string{"verb": verb, "tunnel": "t1"}); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return err
	}
	if g.cfg.PSK != "" && bytes.Contains(line, []byte(g.cfg.PSK)) {
		return errors.New("the answer shows the pre-shared key")
	}
	return json.Unmarshal(line, answer)
}
