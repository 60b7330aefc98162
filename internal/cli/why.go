package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/gateway/control"
	"seikan/internal/gateway/evidence"
	"seikan/internal/lab"
	"seikan/internal/lab/sandbox"
	"seikan/internal/why"
)

func newWhy(s *streams) *cobra.Command {
	var name, socket string
	var here, asJSON bool
	c := &cobra.Command{
		Use:   "why CLIENT DESTINATION[:PORT]",
		Short: "Say what stands between a client and a destination behind the VPN",
		Long: `Walks the way from CLIENT to DESTINATION hop by hop - name, client's route,
customer gateway, IKE, child SA, BGP, routes in both directions, VPC, route
table, endpoint, security group, load balancer, target, MTU - and names the
first hop at fault and the setting to change, in one line; below it stands what
was seen at each hop. Without PORT a ping is asked about.

In a lab both ends are looked at: CLIENT is the name of a host of a site. With
--gateway, or where no lab runs, it is the gateway of this machine that is
looked at, as far as it can see: CLIENT is then an address of the site, and AWS's
side, and what the client itself does, stay unknown.

It asks, sends a packet or two and changes nothing.

Exit codes: 0 nothing is in the way; 1 something is, or it could not be asked;
2 wrong usage.`,
		Example: `  seikan why client service.example:443
  seikan why client 10.0.1.20
  seikan why --gateway 192.168.1.10 10.0.1.20:443 --json | jq .fault.setting`,
		Args: arguments(cobra.ExactArgs(2)),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return hosts(name), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := askOf(args[0], args[1])
			if err != nil {
				return err
			}
			v, err := verdict(c, ask, whySource{lab: name, socket: socket, gateway: here})
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(s, v)
			} else {
				err = printVerdict(s, v)
			}
			if err == nil && (v.Fault != nil || v.Works != nil && !*v.Works) {
				err = exitError(exitFailed)
			}
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the lab (default: the only one)")
	c.Flags().BoolVar(&here, "gateway", false, "look at the gateway of this machine, not at a lab")
	c.Flags().StringVar(&socket, "control", "", "control socket of the gateway (default: "+defaultControl+"); implies --gateway")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	registerLabs(c)
	return c
}

// askOf reads the arguments; only the port can be wrong.
func askOf(client, destination string) (why.Ask, error) {
	a := why.Ask{Client: client, Destination: destination}
	host, port, err := net.SplitHostPort(destination)
	if err != nil {
		return a, nil // no port
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return a, usageError{fmt.Errorf("DESTINATION %q: port %q is not 1 to 65535; leave it away to ask about a ping", destination, port)}
	}
	a.Destination, a.Port = host, uint16(n)
	return a, nil
}

// A whySource says who is to be asked.
type whySource struct {
	lab, socket string
	gateway     bool
}

// verdict asks the lab or the gateway of this machine.
func verdict(c *cobra.Command, a why.Ask, from whySource) (why.Verdict, error) {
	if from.socket == "" && !from.gateway {
		h, _, err := sandbox.Find(base(), from.lab)
		if err == nil {
			resp, err := lab.AskLab(c.Context(), h, lab.Request{Verb: lab.VerbWhy, Ask: &a})
			if err != nil {
				return why.Verdict{}, err
			}
			return *resp.Verdict, nil
		}
		if from.lab != "" || !errors.Is(err, sandbox.ErrNotRunning) {
			return why.Verdict{}, err
		}
	}
	resp, err := control.Ask(c.Context(), socketPath(from.socket, ""), control.Request{Verb: control.VerbStatus})
	if err != nil {
		return why.Verdict{}, fmt.Errorf("no lab runs, and the gateway of this machine does not answer: %w", err)
	}
	if a.From, err = netip.ParseAddr(a.Client); err != nil {
		return why.Verdict{}, usageError{fmt.Errorf("CLIENT %q: the gateway of this machine knows no names of hosts; give an address of the site", a.Client)}
	}
	e := why.Evidence{Ask: a, Now: time.Now(), Customer: evidence.Of(*resp.Status, func(string) bool { return true })}
	e.Customer.StrictReverse = evidence.StrictReverse(*resp.Status)
	if e.Ask.To, err = netip.ParseAddr(a.Destination); err != nil {
		e.Name, e.Ask.To = lookUp(c, a.Destination)
	}
	return why.Explain(e), nil
}

// lookUp asks this machine's own resolver.
func lookUp(c *cobra.Command, name string) (*why.Name, netip.Addr) {
	answers, err := net.DefaultResolver.LookupNetIP(c.Context(), "ip4", name)
	if err != nil {
		return nil, netip.Addr{} // what the client would be told is not known
	}
	n := &why.Name{}
	for _, a := range answers {
		n.Answers = append(n.Answers, a.Unmap())
	}
	return n, n.Answers[0]
}

// printVerdict prints the line, what it rests on, and the hops.
func printVerdict(s *streams, v why.Verdict) error {
	fmt.Fprintf(s.out, "%s\n\n", v.Line())
	if v.Fault != nil {
		for _, line := range v.Fault.Evidence {
			fmt.Fprintf(s.out, "  %s\n", line)
		}
		if len(v.Fault.Evidence) > 0 {
			fmt.Fprintln(s.out)
		}
	}
	t := newTable("HOP", "STATE", "SEEN")
	for _, step := range v.Steps {
		t.add(step.Hop, string(step.State), step.Saw)
	}
	if err := t.print(s.out); err != nil {
		return err
	}
	for _, w := range v.Warnings {
		fmt.Fprintf(s.out, "\nwarning: %v\n", w)
		for _, line := range w.Evidence {
			fmt.Fprintf(s.out, "  %s\n", line)
		}
	}
	return nil
}
