package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/gateway/control"
	"seikan/internal/gateway/exporter"
	"seikan/internal/gateway/worker"
	"seikan/internal/metrics"
	"seikan/internal/processors"
	"seikan/internal/site/service"
	"seikan/internal/task"
)

// defaultControl is where a gateway answers unless its file says otherwise, as a
// service too.
const defaultControl = service.Control

func newGateway(s *streams) *cobra.Command {
	var r gatewayRun
	c := &cobra.Command{
		Use:   "gateway [--config FILE]",
		Short: "The customer gateway: the on-premises end of a VPN connection",
		Long: `Runs the customer's end of Site-to-Site VPN connections, behind NAT or not, in the
network namespace it is started in. It needs CAP_NET_ADMIN and /dev/net/tun.
With --config it runs at once, as "seikan gateway run" does.

` + filesHelp + `
` + exitHelp,
		Example: `  # what AWS knows of a connection, run as it is, or made into a file of ours
  aws ec2 describe-vpn-connections --vpn-connection-ids vpn-0123456789abcdef0 > aws.json
  seikan gateway --config aws.json --advertise 192.168.1.0/24
  seikan gateway import aws.json --advertise 192.168.1.0/24 -o gateway.yaml
  # or a file from scratch
  seikan gateway example > gateway.yaml

  seikan gateway check --config gateway.yaml
  seikan gateway run --config gateway.yaml
  seikan gateway status
  seikan gateway reload       # after a change of the file`,
		Annotations: map[string]string{reloads: "config"},
		Args:        noVerb,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case c.Flags().Changed("config"):
				return r.run(c.Context(), s)
			case c.Flags().NFlag() > 0:
				return usageError{fmt.Errorf("which file is to be run? say it with --config; `%s --help` lists what there is", c.CommandPath())}
			}
			return c.Help()
		},
	}
	r.flags(c)
	c.AddCommand(newGatewayRun(s), newGatewayImport(s), newGatewayExport(s), newGatewayDevices(s), newGatewayExample(s), newGatewaySchema(s), newGatewayCheck(s),
		newGatewayStatus(s), newGatewayRekey(s), newGatewayReload(s), newGatewayInstall(s))
	return c
}

func newGatewayRun(s *streams) *cobra.Command {
	var r gatewayRun
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the gateway until it is told to stop",
		Long: filesHelp + `

SIGINT and SIGTERM end it; SIGHUP has it read FILE again, as "seikan gateway
reload" does.
` + exitHelp,
		Annotations: map[string]string{reloads: "config"},
		Example: "  seikan gateway run --config /etc/seikan/gateway.yaml\n" +
			"  seikan gateway run --config aws.xml --advertise 192.168.1.0/24   # a connection with BGP\n" +
			"  seikan gateway run --config aws.xml --route 10.0.0.0/16          # a static one",
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return r.run(c.Context(), s) },
	}
	r.flags(c)
	_ = c.MarkFlagRequired("config")
	return c
}

// goodbye is how long a gateway may take to tell its peers that it ends, and to take
// back its routes. A worker's supervisor has less patience, if it lives.
const goodbye = 10 * time.Second

// gatewayRun is what the user says of a gateway that is to run.
type gatewayRun struct {
	in                  input
	socket, state, show string
	nice                int
	verbose             bool
}

func (r *gatewayRun) flags(c *cobra.Command) {
	r.in.configFlags(c)
	c.Flags().StringVar(&r.socket, "control", "", "control socket (default: control_socket of the file, else "+defaultControl+")")
	c.Flags().StringVar(&r.state, "state", "", "`DIRECTORY` to keep SAs in over a crash (default: state_directory of the file, else none)")
	c.Flags().StringVar(&r.show, "metrics", "", "loopback `ADDRESS:PORT` or unix:PATH to show measurements to Prometheus at (default: metrics of the file, else none)")
	c.Flags().IntVar(&r.nice, "nice", processors.Nice, "nice value, -20 (before all other programs) to 19; another than 0 that it is started with stays")
	c.Flags().BoolVarP(&r.verbose, "verbose", "v", false, "log more")
}

// run runs the gateway until ctx ends.
func (r *gatewayRun) run(ctx context.Context, s *streams) error {
	if r.nice < -20 || r.nice > 19 {
		return usageError{fmt.Errorf("--nice %d: want -20 to 19", r.nice)}
	}
	f, err := r.in.read(s)
	if err != nil {
		return err
	}
	log := logger(s, r.verbose).With("gateway", f.Gateway.Name)
	g, err := gateway.New(f.Gateway, gateway.Options{Log: log, Words: conffile.Words(), StateDirectory: cmp.Or(r.state, f.State)})
	if err != nil {
		return err
	}
	for _, w := range f.Gateway.Warnings() {
		log.Warn(w)
	}
	path := socketPath(r.socket, f.Control)
	if path == defaultControl {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("control socket: %w; name another place with --control", err)
		}
	}
	again := &reloader{in: r.in, s: s, g: g, log: log, had: f}
	parts := []task.Part{
		{Name: "gateway", Run: func(ctx context.Context, ready func()) error { ready(); return g.Run(ctx) }, Grace: goodbye},
		{Name: "control socket", Run: func(ctx context.Context, ready func()) error {
			ready()
			return control.Serve(ctx, path, g, again.reload)
		}},
		{Name: "SIGHUP", Run: again.onHangup},
		processorsPart(r.nice, log),
	}
	if address := cmp.Or(r.show, f.Metrics); address != "" {
		parts = append(parts, metricsPart(address, g))
	}
	return task.Run(ctx, nil, parts...)
}

// metricsPart shows measurements of g at address.
func metricsPart(address string, g *gateway.Gateway) task.Part {
	return task.Part{Name: "metrics", Run: func(ctx context.Context, ready func()) error {
		return exporter.Serve(ctx, address, func() []metrics.Family { return exporter.Families(exporter.Source{Status: g.Status()}) }, ready)
	}}
}

// socketPath is the flag, else the file's, else the default.
func socketPath(flag, file string) string {
	switch {
	case flag != "":
		return flag
	case file != "":
		return file
	}
	return defaultControl
}

func newGatewayCheck(s *streams) *cobra.Command {
	var in input
	c := &cobra.Command{
		Use:     "check --config FILE",
		Short:   "Validate a configuration file; start nothing",
		Long:    filesHelp + "\n" + exitHelp,
		Example: "  seikan gateway check --config gateway.yaml\n  seikan gateway check --config aws.json --route 10.0.0.0/16",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			f, err := in.read(s)
			if err != nil {
				return err
			}
			for _, w := range f.Gateway.Warnings() {
				fmt.Fprintf(s.out, "%s: warning: %s\n", in.file, w)
			}
			_, err = fmt.Fprintf(s.out, "%s: %s is fine; tunnels: %d; read as %s\n", in.file, f.Gateway.Name, len(f.Gateway.Tunnels), f.Kind)
			return err
		},
	}
	in.configFlags(c)
	_ = c.MarkFlagRequired("config")
	return c
}

func newGatewayStatus(s *streams) *cobra.Command {
	var socket string
	var asJSON bool
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show the tunnels, BGP sessions and routes of the running gateway",
		Example: "  seikan gateway status\n  seikan gateway status --json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			resp, err := control.Ask(c.Context(), socketPath(socket, ""), control.Request{Verb: control.VerbStatus})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s, resp.Status)
			}
			return printGateway(s, *resp.Status)
		},
	}
	c.Flags().StringVar(&socket, "control", "", "control socket (default: "+defaultControl+")")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newGatewayRekey(s *streams) *cobra.Command {
	var socket string
	var child bool
	c := &cobra.Command{
		Use:     "rekey TUNNEL",
		Short:   "Renew the keys of a tunnel now",
		Example: "  seikan gateway rekey tunnel-1\n  seikan gateway rekey tunnel-1 --child",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			verb := control.VerbRekeyIKE
			if child {
				verb = control.VerbRekeyChild
			}
			if _, err := control.Ask(c.Context(), socketPath(socket, ""), control.Request{Verb: verb, Tunnel: args[0]}); err != nil {
				return err
			}
			_, err := fmt.Fprintln(s.out, "begun")
			return err
		},
	}
	c.Flags().StringVar(&socket, "control", "", "control socket (default: "+defaultControl+")")
	c.Flags().BoolVar(&child, "child", false, "only the CHILD SA")
	return c
}

// newWorker is the cloud's end of a VPN connection, a process of its own.
func newWorker(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:  workerVerb,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log := logger(s, false)
			return task.Run(c.Context(), nil, processorsPart(processors.Nice, log), task.Part{Name: "worker", Run: func(ctx context.Context, ready func()) error {
				ready()
				return worker.Serve(ctx, os.Stdin, os.NewFile(3, "status"), log)
			}, Grace: goodbye})
		},
	}
}

// processorsPart has a process that is nothing but a gateway use as many
// processors as it can, and give way to others no more than nice says.
func processorsPart(nice int, log *slog.Logger) task.Part {
	return task.Part{Name: "processors", Run: func(ctx context.Context, ready func()) error {
		if err := processors.Prefer(nice); err != nil {
			log.Info("packets have no precedence over other programs; it takes CAP_SYS_NICE", "nice", nice, "err", err)
		}
		ready()
		processors.Follow(ctx)
		return nil
	}}
}
