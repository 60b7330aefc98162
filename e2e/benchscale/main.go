//go:build e2e

// Command benchscale measures what many VPN connections cost on one machine:
// each is a customer gateway of its own, a process in its own namespace, with two
// tunnels and BGP on both to one of the cloud's gateways, which have ten
// connections each, as AWS's quota has it, and are a process and a namespace each.
//
// All processes start at once, and the clock runs until every BGP session is
// established at both ends. It makes everything in namespaces of its own, which
// end with it, and fails when the largest run exceeds its limits. `make
// bench-scale` runs it; SEIKAN names the binary.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"seikan/e2e/world"
)

// Limits of a run.
const (
	limitTime   = 30 * time.Second
	limitMemory = 4 << 30 // octets, of all processes, pages that they share counted once
)

func main() {
	list := flag.String("connections", "1,10,100", "how many connections, one run each")
	flag.Parse()
	os.Exit(world.Private(func() int {
		if err := runAll(*list); err != nil {
			fmt.Fprintln(os.Stderr, "benchscale:", err)
			return 1
		}
		return 0
	}))
}

// runAll does the runs and prints a row for each.
func runAll(list string) error {
	fmt.Println("| connections | tunnels | processes | all sessions up after | resident, sum | proportional, sum | CPU until up | threads |")
	fmt.Println("|---:|---:|---:|---:|---:|---:|---:|---:|")
	var errs []error
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > maxConnections {
			return fmt.Errorf("-connections %q: numbers from 1 to %d with commas between", list, maxConnections)
		}
		c, err := run(n)
		if err != nil {
			return fmt.Errorf("%d connections: %w", n, err)
		}
		fmt.Printf("| %d | %d | %d | %.1f s | %d MB | %d MB | %.1f s | %d |\n", n, 2*n, c.processes, c.took.Seconds(), c.resident>>20, c.proportional>>20, c.cpu.Seconds(), c.threads)
		if c.took > limitTime || c.proportional > limitMemory {
			errs = append(errs, fmt.Errorf("%d connections: up after %v with %d MB, want at most %v and %d MB", n, c.took, c.proportional>>20, limitTime, limitMemory>>20))
		}
	}
	return errors.Join(errs...)
}
