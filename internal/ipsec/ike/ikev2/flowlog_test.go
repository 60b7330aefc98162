package ikev2

import (
	"fmt"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
)

// Each step of a CREATE_CHILD_SA exchange is said once, at both ends, with its
// message id and what it is for; other exchanges and repetitions are not.
func TestTheStepsOfCreateChildSAAreSaid(t *testing.T) {
	d := upDuo(t, nil)
	said := func(end int) string {
		var out []string
		for _, n := range d.Ends[end].Notices {
			if strings.HasPrefix(n.Text, "CREATE_CHILD_SA") {
				out = append(out, fmt.Sprintf("%d %s %v", n.Level, strings.TrimPrefix(n.Text, "CREATE_CHILD_SA "), n.Attrs))
			}
		}
		d.Ends[end].Notices = nil
		return strings.Join(out, "\n")
	}
	for _, c := range []struct {
		name     string
		event    ike.Event
		from     int
		own, his string
	}{
		{"a CHILD SA", ike.RekeyChild{}, 0, "-4 request sent [message_id 2 for CHILD SA]\n-4 response processed [message_id 2 for CHILD SA]",
			"-4 request processed [message_id 2 for CHILD SA]\n-4 response sent [message_id 2 for CHILD SA]"},
		{"a CHILD SA, from the other end", ike.RekeyChild{}, 1, "-4 request sent [message_id 0 for CHILD SA]\n-4 response processed [message_id 0 for CHILD SA]",
			"-4 request processed [message_id 0 for CHILD SA]\n-4 response sent [message_id 0 for CHILD SA]"},
		{"the IKE SA", ike.RekeyIKE{}, 0, "-4 request sent [message_id 4 for IKE SA]\n-4 response processed [message_id 4 for IKE SA]",
			"-4 request processed [message_id 4 for IKE SA]\n-4 response sent [message_id 4 for IKE SA]"},
	} {
		d.Step(c.from, c.event)
		d.Run()
		if got := said(c.from); got != c.own {
			t.Errorf("%s: the end that asks says\n%s\nwant\n%s", c.name, got, c.own)
		}
		if got := said(1 - c.from); got != c.his {
			t.Errorf("%s: the other end says\n%s\nwant\n%s", c.name, got, c.his)
		}
	}
}
