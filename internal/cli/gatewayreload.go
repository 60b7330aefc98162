package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/gateway/control"
	"seikan/internal/site/intake"
)

// A reloader reads the file of a gateway that runs again.
type reloader struct {
	in  input
	s   *streams
	g   *gateway.Gateway
	log *slog.Logger

	mu  sync.Mutex // one at a time
	had intake.Result
}

// reload reads the file and has it applied. A file that is wrong changes nothing.
func (r *reloader) reload(ctx context.Context) (control.Reload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done, err := r.apply(ctx)
	if err != nil {
		r.log.Error("the configuration was not read again", "err", err)
		return done, err
	}
	for _, w := range done.Warnings {
		r.log.Warn(w)
	}
	for _, c := range done.Changes {
		r.log.Info("configuration read again", "tunnel", c.Tunnel, "change", c.What, "options", strings.Join(c.Fields, ", "))
	}
	return done, nil
}

func (r *reloader) apply(ctx context.Context) (control.Reload, error) {
	if r.in.file == "-" {
		return control.Reload{}, errors.New("the gateway's configuration came from standard input, which cannot be read again; restart it, or run it with --config FILE")
	}
	in := r.in // its options are read anew
	f, err := in.read(r.s)
	if err != nil {
		return control.Reload{}, err
	}
	if f.Control != r.had.Control || f.State != r.had.State {
		return control.Reload{}, fmt.Errorf("%s: control_socket and state_directory are %q and %q, and %q and %q since the gateway was started; they do not change while it runs: put them back, or restart it",
			in.file, f.Control, f.State, r.had.Control, r.had.State)
	}
	changes, err := r.g.Change(ctx, f.Gateway)
	if err != nil {
		return control.Reload{}, fmt.Errorf("%s: %w", in.file, err)
	}
	for i := range changes {
		changes[i].Fields = conffile.Keys(changes[i].Fields)
	}
	return control.Reload{Changes: changes, Warnings: f.Gateway.Warnings()}, nil
}

// onHangup reloads at every SIGHUP until ctx ends.
func (r *reloader) onHangup(ctx context.Context, ready func()) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, unix.SIGHUP)
	defer signal.Stop(hangup)
	ready()
	for {
		select {
		case <-hangup:
			_, _ = r.reload(ctx) // the log has it
		case <-ctx.Done():
			return nil
		}
	}
}

func newGatewayReload(s *streams) *cobra.Command {
	var socket string
	var asJSON bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running gateway read its file again",
		Long: `The gateway reads the file that it was started with, and those for keys and
certificates, and does what has changed. A tunnel whose options are the same
keeps its SAs, its BGP session and its counters, and loses no packet; one that
changed is closed and started anew, unless only its routes, BGP or certificates
did. What was removed is deleted at the peer. While another tunnel is up, traffic
goes over to it first, which takes a second, and nothing is lost. A peer whose
certificate was revoked is deleted. A wrong file is refused and changes nothing.
SIGHUP and "systemctl reload seikan-gateway" do the same.

A tunnel is known by its name: without names, one more in front is another for all
behind it. control_socket and state_directory stay as they were at the start.
` + exitHelp,
		Example: "  seikan gateway reload\n  seikan gateway reload --json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			resp, err := control.Ask(c.Context(), socketPath(socket, ""), control.Request{Verb: control.VerbReload})
			if err != nil {
				return err
			}
			if resp.Reload == nil {
				return errors.New("the gateway that runs is an older one and cannot reload; restart it")
			}
			if asJSON {
				return printJSON(s, resp.Reload)
			}
			return printReload(s, *resp.Reload)
		},
	}
	c.Flags().StringVar(&socket, "control", "", "control socket (default: "+defaultControl+")")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// printReload shows what became of each tunnel.
func printReload(s *streams, r control.Reload) error {
	for _, w := range r.Warnings {
		fmt.Fprintf(s.out, "warning: %s\n", w)
	}
	t := newTable("TUNNEL", "CHANGE", "OPTIONS")
	for _, c := range r.Changes {
		name, what := c.Tunnel, c.What
		if name == "" {
			name = "(all)"
		}
		if c.Failed != "" {
			what += ", does not run: " + c.Failed
		}
		t.add(name, what, strings.Join(c.Fields, ", "))
	}
	return t.print(s.out)
}
