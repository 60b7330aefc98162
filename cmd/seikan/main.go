// Command seikan is AWS Site-to-Site VPN and what stands behind it, on your own
// machines.
package main

import (
	"os"

	"seikan/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
