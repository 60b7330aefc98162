package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/gateway/control"
	"seikan/internal/gateway/worker"
	"seikan/internal/task"
)

// defaultControl is where a gateway's control socket is when its file names
// none.
const defaultControl = "/run/seikan/gateway.sock"

// gatewayCommand is the customer gateway and what one asks of it.
func gatewayCommand() *cobra.Command {
	var config string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "gateway --config FILE",
		Short: "Run a customer gateway: the on-premises end of a VPN connection",
		Long: `Run a customer gateway in the network namespace it is started in.

It makes a TUN for each tunnel, negotiates IKEv2 with the cloud's end, routes
the prefixes of the file through a tunnel that is up, and makes them
unreachable while none is, so that nothing leaves in clear. It needs
CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE. SIGINT and SIGTERM end it:
the peer is told, and TUNs and routes are removed.`,
		Example: `  seikan gateway example > office.yaml     # a file to start from
  seikan gateway check office.yaml
  sudo seikan gateway --config office.yaml
  sudo seikan gateway status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return errors.New("--config FILE is required; `seikan gateway example` prints a file to start from")
			}
			return runGateway(cmd.Context(), config, verbose, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the gateway's YAML `file`")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log every step of the negotiation")
	cmd.AddCommand(gatewayStatus(), gatewayRekey(), gatewayCheck(), gatewayExample())
	return cmd
}

func runGateway(ctx context.Context, path string, verbose bool, stderr io.Writer) error {
	file, err := conffile.Read(path)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	g, err := gateway.New(file.Gateway, gateway.Options{Log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		return err
	}
	socket, err := controlPath(file.Control)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return task.Run(ctx, nil,
		task.Part{Name: "control socket", Run: func(ctx context.Context, ready func()) error {
			ready()
			return control.Serve(ctx, socket, g)
		}},
		task.Part{Name: "gateway", Run: func(ctx context.Context, ready func()) error {
			ready()
			return g.Run(ctx)
		}},
	)
}

// controlPath is the file of the control socket; the default folder is made.
func controlPath(configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	return defaultControl, os.MkdirAll("/run/seikan", 0o755)
}

func gatewayStatus() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the tunnels of a running gateway",
		Example: `  sudo seikan gateway status
  sudo seikan gateway status --json | jq '.tunnels[].up'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			resp, err := control.Ask(cmd.Context(), socket, control.Request{Verb: control.VerbStatus})
			if err != nil {
				return err
			}
			if resp.Status == nil {
				return errors.New("the gateway answered without a status; is it of another version?")
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(resp.Status)
			}
			return printGateway(cmd.OutOrStdout(), *resp.Status)
		},
	}
	controlFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func controlFlag(cmd *cobra.Command, socket *string) {
	cmd.Flags().StringVar(socket, "control", defaultControl, "the gateway's control `socket`")
}

// printGateway writes one block a tunnel, and the routes.
func printGateway(out io.Writer, s gateway.Status) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "TUNNEL\tLINK\tSTATE\tSINCE\tPEER\tIKE\tESP\tIN\tOUT")
	for _, t := range s.Tunnels {
		state, esp := "down: "+t.Phase, "-"
		if t.Up {
			state = "up"
		}
		if t.Child != nil {
			esp = t.Child.Suite
			if t.Child.Encap {
				esp += " in UDP"
			}
		}
		suite := t.IKE.Suite
		if suite == "" {
			suite = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\tv%d %s\t%s\t%d B\t%d B\n", t.ID, t.Interface, state,
			time.Since(t.Since).Round(time.Second), t.IKE.Remote, t.IKE.Version, suite, esp, t.Traffic.BytesIn, t.Traffic.BytesOut)
	}
	fmt.Fprintln(w, "\nROUTE\tTUNNEL")
	for _, r := range s.Routes {
		via := r.Tunnel
		if via == "" {
			via = "none is up: unreachable"
		}
		fmt.Fprintf(w, "%s\t%s\n", r.Prefix, via)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, t := range s.Tunnels {
		if t.Reason != "" {
			fmt.Fprintf(out, "\n%s: %s\n", t.ID, t.Reason)
		}
	}
	return nil
}

func gatewayRekey() *cobra.Command {
	var socket string
	var phase int
	cmd := &cobra.Command{
		Use:   "rekey TUNNEL",
		Short: "Renew the keys of a tunnel now",
		Example: `  sudo seikan gateway rekey tunnel-1            # the CHILD SA (phase 2)
  sudo seikan gateway rekey tunnel-1 --phase 1  # the IKE SA`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, ok := map[int]string{1: control.VerbRekeyIKE, 2: control.VerbRekeyChild}[phase]
			if !ok {
				return fmt.Errorf("--phase %d: 1 is the IKE SA, 2 the CHILD SA", phase)
			}
			_, err := control.Ask(cmd.Context(), socket, control.Request{Verb: verb, Tunnel: args[0]})
			return err
		},
	}
	controlFlag(cmd, &socket)
	cmd.Flags().IntVar(&phase, "phase", 2, "1 for the IKE SA, 2 for the CHILD SA")
	return cmd
}

func gatewayCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Say whether a gateway's file is right, and start nothing",
		Example: "  seikan gateway check office.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := conffile.Read(args[0])
			if err != nil {
				return err
			}
			for _, t := range f.Gateway.Tunnels {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s to %v, inside %v, routes %v\n", t.ID, t.Interface, t.Outside.Remote, t.Inside, t.Routes)
			}
			return nil
		},
	}
}

// exampleFile is what `seikan gateway example` prints. A test reads it.
const exampleFile = `# Customer gateway for one AWS Site-to-Site VPN connection, behind NAT or not.
# Take addresses and keys from the connection's tunnel details; keep this file
# at mode 0600, or name key files instead: pre_shared_key_file.
name: office

# What lies behind the cloud's end; unreachable while no tunnel is up.
routes: [10.0.0.0/16]

tunnels:
  - name: tunnel-1
    interface: tun1
    outside:
      remote_address: 203.0.113.10     # the cloud's outside address of this tunnel
      local_id: 198.51.100.2           # our public address, as the customer gateway object has it
    inside_cidr: 169.254.10.0/30       # the cloud has .1, we have .2
    pre_shared_key: ReplaceThisKeyOfTunnel1
  - name: tunnel-2
    interface: tun2
    outside:
      remote_address: 203.0.113.11
      local_id: 198.51.100.2
    inside_cidr: 169.254.11.0/30
    pre_shared_key: ReplaceThisKeyOfTunnel2

    # All below is optional, here with its defaults where there are any.
    startup_action: start              # or add: wait for the other end
    phase1:
      encryption: [AES256-GCM-16, AES128-GCM-16, AES256, AES128]
      integrity: [SHA2-256, SHA2-384, SHA2-512]
      dh_groups: [19, 20, 21, 14]
      lifetime: 8h
    phase2:
      encryption: [AES256-GCM-16, AES128-GCM-16, AES256, AES128]
      integrity: [SHA2-256, SHA2-384, SHA2-512]
      dh_groups: [19, 20, 21, 14]
      lifetime: 1h
    rekey: {margin: 270s, fuzz_percent: 100}
    liveness: {interval: 10s, timeout: 30s}   # shorter means faster failover
    replay_window: 1024
`

func gatewayExample() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a gateway's file to start from",
		Example: "  seikan gateway example > office.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), exampleFile)
			return err
		},
	}
}

// gatewayWorker is how the cloud runs one of its VPN gateways: started by
// package host, not by hand.
func gatewayWorker() *cobra.Command {
	var level string
	cmd := &cobra.Command{
		Use: "gateway-worker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l slog.Level
			if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: l}))
			status := os.NewFile(3, "status")
			return worker.Serve(ctx, os.Stdin, status, log)
		},
	}
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}
