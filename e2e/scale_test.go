//go:build e2e

package e2e

import (
	"testing"

	"seikan/e2e/scale"
)

// 110 processes with 200 tunnels leave nothing for others: not in parallel.
func TestHundredConnections(t *testing.T) {
	c, err := scale.Run(100)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	t.Logf("100 connections, 200 tunnels with BGP: up after %.1f s, %d MB (proportional), %.1f s of CPU", c.Took.Seconds(), c.Proportional>>20, c.CPU.Seconds())
}
