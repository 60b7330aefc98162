//go:build e2e

package e2e

import (
	"testing"

	"seikan/e2e/world"
)

func TestMain(m *testing.M) { world.Main(m) }
