package tunnel

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
)

// A sayer is a machine that fails to start, in words.
type sayer struct{ script }

func (*sayer) State() *ike.Snapshot { return &ike.Snapshot{Phase: ike.Failed, Reason: "change Option"} }

func TestWordsReachLogAndStatus(t *testing.T) {
	var log bytes.Buffer
	m := &sayer{script{journal: new([]string), answer: func(_ ike.Event, out *ike.Outputs) error {
		out.Actions = append(out.Actions, ike.Notice{Text: "about Option", Attrs: []any{"Option", "its Option", "n", 1}}, ike.StateChanged{Phase: ike.Failed, Reason: "change Option"})
		return nil
	}}}
	tun := New(Config{
		Log: slog.New(slog.NewTextHandler(&log, nil)), Machine: m, DataPlane: &recorder{journal: new([]string)}, Initiate: true,
		Send: func(ike.Datagram) error { return nil }, Changed: func() {}, Sequence: func() uint64 { return 0 },
		Words: func(s string) string { return strings.ReplaceAll(s, "Option", "key") },
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tun.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := tun.State().Reason; got != "change key" {
		t.Errorf("status: got %q, want the reason in other words", got)
	}
	for _, want := range []string{`msg="about key" Option="its key" n=1`, `reason="change key"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: got no %s in %s", want, log.String())
		}
	}
}
