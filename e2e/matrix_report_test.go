//go:build e2e

package e2e

import (
	"fmt"
	"testing"
)

func (m *matrix) show(t *testing.T) {
	for _, o := range m.outcomes {
		fmt.Printf("%-50s failed=%v %s %s %s %d %d %d/%d %v dpd %s del %s %.1fs\n", o.name(), o.failed, o.ike, o.esp, o.proof, o.up, o.down, o.answered, o.sent, o.rekeys, o.dpd, o.deleted, o.took.Seconds())
	}
}
