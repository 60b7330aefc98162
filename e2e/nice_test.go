//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

// TestGatewayGoesBeforeOthers looks at what the kernel's scheduler knows of a
// gateway's threads.
func TestGatewayGoesBeforeOthers(t *testing.T) {
	for _, c := range []struct {
		flags []string
		want  int
	}{
		{nil, -5},
		{[]string{"--nice", "0"}, 0},
		{[]string{"--nice", "3"}, 3},
	} {
		t.Run(fmt.Sprint(c.want), func(t *testing.T) {
			w := world.New(t)
			g := ourgateway.StartFile(t, w, ourgateway.Config{Namespace: "cgw", PSK: psk}, "name: e2e\n"+customerFile, c.flags...)
			w.Until(fmt.Sprintf("nice value %d of all threads", c.want), 5*time.Second, func() error {
				nices, err := g.Nices()
				if err == nil && !slices.Equal(nices, []int{c.want}) {
					err = fmt.Errorf("got %d", nices)
				}
				return err
			})
		})
	}
}
