//go:build e2e

package world

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Lines runs ip once for each line that is not empty, and stops at the first
// that fails.
func Lines(lines string) error {
	for line := range strings.Lines(lines) {
		if fields := strings.Fields(line); len(fields) > 0 {
			if err := Run("ip", fields...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Run runs what takes no time, 20 s at most. The error has what it printed.
func Run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
