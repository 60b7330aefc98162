package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"seikan/internal/gateway/worker"
	"seikan/internal/nettest"
)

// workerArg makes this test binary a gateway worker instead of tests.
const workerArg = "gateway-worker"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerArg {
		log := slog.New(slog.DiscardHandler)
		if err := worker.Serve(context.Background(), os.Stdin, os.NewFile(3, "status"), log); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	nettest.Main(m)
}
