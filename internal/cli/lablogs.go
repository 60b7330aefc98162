package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seikan/internal/cloud/vpn"
	"seikan/internal/lab"
	"seikan/internal/lab/sandbox"
)

// labLogs is what the user says of logs.
type labLogs struct {
	name, log string
	files     bool
}

func newLabLogs(s *streams) *cobra.Command {
	var o labLogs
	c := &cobra.Command{
		Use:   "logs [CONNECTION[/NUMBER]]",
		Short: "Print the tunnel activity log and the BGP log that the cloud keeps",
		Long: `Prints the two logs of AWS's Site-to-Site VPN as the cloud's end of the lab writes
them, a line of JSON an event: the tunnel activity log (IKE, ESP, dead peers) and,
where there is BGP, the BGP log (sessions, what the site announces and withdraws).
Of all tunnels, or of a connection, or of one of its tunnels as "seikan lab status"
numbers them. Several logs have their names above them.
` + exitHelp,
		Example: `  seikan lab logs
  seikan lab logs corp-vpn/1 --log activity | jq .details
  seikan lab logs corp-vpn --log bgp
  tail -f $(seikan lab logs corp-vpn/1 --files)`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			tunnel := ""
			if len(args) > 0 {
				tunnel = args[0]
			}
			if o.log != "" && o.log != "activity" && o.log != "bgp" {
				return usageError{fmt.Errorf("--log %q is neither activity nor bgp", o.log)}
			}
			h, _, err := sandbox.Find(base(), o.name)
			if err != nil {
				return err
			}
			resp, err := lab.AskLab(c.Context(), h, lab.Request{Verb: lab.VerbStatus})
			if err != nil {
				return err
			}
			chosen, err := o.choose(resp.Status.Logs, tunnel)
			if err != nil {
				return err
			}
			return o.print(s, chosen)
		},
	}
	c.Flags().StringVar(&o.name, "name", "", "name of the lab (default: the only one)")
	c.Flags().StringVar(&o.log, "log", "", "only this `LOG`: activity or bgp")
	_ = c.RegisterFlagCompletionFunc("log", cobra.FixedCompletions([]string{"activity", "bgp"}, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().BoolVar(&o.files, "files", false, "print only the names of the files, to follow them")
	registerLabs(c)
	return c
}

// choose are the logs that the user asks for. No log at all is an error.
func (o labLogs) choose(all []lab.TunnelLog, tunnel string) ([]lab.TunnelLog, error) {
	var there []string
	chosen := slices.DeleteFunc(slices.Clone(all), func(l lab.TunnelLog) bool {
		id := fmt.Sprintf("%s/%d", l.Connection, l.Number)
		there = append(there, id)
		return tunnel != "" && tunnel != id && tunnel != l.Connection || o.log != "" && o.log != l.Log
	})
	switch {
	case len(all) == 0:
		return nil, errors.New("this lab has no cloud, which would keep logs")
	case len(chosen) == 0 && o.log == "bgp" && (tunnel == "" || slices.ContainsFunc(there, func(id string) bool { return strings.HasPrefix(id+"/", tunnel+"/") })):
		return nil, errors.New("there is no BGP log: the routes are static ones")
	case len(chosen) == 0:
		return nil, fmt.Errorf("no tunnel is called %q; there is %s", tunnel, strings.Join(slices.Compact(there), ", "))
	}
	return chosen, nil
}

func (o labLogs) print(s *streams, chosen []lab.TunnelLog) error {
	for i, l := range chosen {
		if o.files {
			if _, err := fmt.Fprintln(s.out, l.File); err != nil {
				return err
			}
			continue
		}
		if len(chosen) > 1 {
			if i > 0 {
				fmt.Fprintln(s.out)
			}
			fmt.Fprintf(s.out, "==> %s/%d %s <==\n", l.Connection, l.Number, l.Log)
		}
		if err := copyFile(s.out, l.File); err != nil {
			return err
		}
	}
	return nil
}

// copyFile prints a file; one that is not there yet is empty.
func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func newLabMetrics(s *streams) *cobra.Command {
	var name string
	var cloudWatch bool
	c := &cobra.Command{
		Use:   "metrics",
		Short: "Print the measurements of the cloud's VPN gateways as Prometheus reads them",
		Long: `Prints what the cloud's ends of the tunnels measure, in Prometheus's text format:
seikan_tunnel_state, seikan_tunnel_data_in_bytes_total and
seikan_tunnel_data_out_bytes_total are CloudWatch's TunnelState, TunnelDataIn and
TunnelDataOut, and the labels vpn_id and tunnel_ip are its dimensions. The lab serves
them at /metrics on the Unix socket ` + lab.MetricsFile + ` in its directory.

With --cloudwatch each is a line of JSON by CloudWatch's own names and dimensions:
of each tunnel, and of each connection, whose TunnelState is 0.5 while one of its
tunnels is up. Data are those since the tunnel's gateway began to count.
` + exitHelp,
		Example: `  seikan lab metrics
  seikan lab metrics | grep seikan_tunnel_state
  seikan lab metrics --cloudwatch | jq 'select(.MetricName == "TunnelState")'
  curl --unix-socket "$(dirname "$(seikan lab status --ca)")/` + lab.MetricsFile + `" http://lab/metrics`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			h, _, err := sandbox.Find(base(), name)
			if err != nil {
				return err
			}
			if cloudWatch {
				resp, err := lab.AskLab(c.Context(), h, lab.Request{Verb: lab.VerbStatus})
				if err != nil {
					return err
				}
				return printMetrics(s, resp.Status.Metrics)
			}
			text, err := lab.Metrics(c.Context(), h)
			if err != nil {
				return err
			}
			_, err = io.WriteString(s.out, text)
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the lab (default: the only one)")
	c.Flags().BoolVar(&cloudWatch, "cloudwatch", false, "print a line of JSON a metric, as CloudWatch names them")
	registerLabs(c)
	return c
}

// printMetrics prints each as CloudWatch has it. No metric at all is an error.
func printMetrics(s *streams, list []lab.Metric) error {
	if len(list) == 0 {
		return errors.New("this lab has no VPN connections, which would be measured")
	}
	type dimension struct{ Name, Value string }
	enc := json.NewEncoder(s.out)
	for _, m := range list {
		d, unit := dimension{"VpnId", m.VPNID}, "None"
		if m.VPNID == "" {
			d = dimension{"TunnelIpAddress", m.TunnelIP}
		}
		if m.Name != vpn.MetricState {
			unit = "Bytes"
		}
		err := enc.Encode(struct {
			Namespace, MetricName string
			Dimensions            []dimension
			Value                 float64
			Unit                  string
		}{vpn.MetricNamespace, m.Name, []dimension{d}, m.Value, unit})
		if err != nil {
			return err
		}
	}
	return nil
}
