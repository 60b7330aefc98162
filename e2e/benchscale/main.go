//go:build e2e

// Command benchscale measures what many VPN connections cost on one machine:
// a row for each number of them, as package scale counts. It makes everything in
// namespaces of its own, which end with it, and fails when a run exceeds the
// limits. `make bench-scale` runs it; SEIKAN names the binary.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"seikan/e2e/scale"
	"seikan/e2e/world"
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
		if err != nil || n < 1 || n > scale.MaxConnections {
			return fmt.Errorf("-connections %q: numbers from 1 to %d with commas between", list, scale.MaxConnections)
		}
		c, err := scale.Run(n)
		if err != nil {
			return fmt.Errorf("%d connections: %w", n, err)
		}
		fmt.Printf("| %d | %d | %d | %.1f s | %d MB | %d MB | %.1f s | %d |\n", n, 2*n, c.Processes, c.Took.Seconds(), c.Resident>>20, c.Proportional>>20, c.CPU.Seconds(), c.Threads)
		if err := c.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%d connections: %w", n, err))
		}
	}
	return errors.Join(errs...)
}
