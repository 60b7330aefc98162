package cli

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/lab"
	"seikan/internal/lab/sandbox"
)

func newLabExec(s *streams) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "exec HOST -- COMMAND [ARGUMENT…]",
		Short: "Run a command on a host of the lab",
		Long: `Runs COMMAND in the network of HOST: a host of a site, an instance, "internet" or
"edge". It sees HOST's links, routes and DNS servers, and this machine's files.

It exits as the command does; 126 when the command cannot be run, 127 when
there is none of that name.`,
		Example: `  seikan lab exec client -- curl --cacert "$(seikan lab status --ca)" https://service.example/
  seikan lab exec router -- nft list ruleset
  seikan lab exec web-1 -- sh`,
		Args: arguments(func(c *cobra.Command, args []string) error {
			return cobra.MinimumNArgs(2)(c, withoutDashes(args))
		}),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return hosts(name), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			h, record, err := sandbox.Find(base(), name)
			if err != nil {
				return err
			}
			args = withoutDashes(args)
			return h.Exec(record, enterVerb, args[0], args[1:])
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVar(&name, "name", "", "name of the lab (default: the only one)")
	registerLabs(c)
	return c
}

// withoutDashes removes the "--" between HOST and COMMAND: flags end at HOST, so
// that the command's own are not taken for ours, and the dashes are left over.
func withoutDashes(args []string) []string {
	if len(args) > 1 && args[1] == "--" {
		return append(args[:1:1], args[2:]...)
	}
	return args
}

// hosts are those of the running lab, for completion.
func hosts(name string) []string {
	h, _, err := sandbox.Find(base(), name)
	if err != nil {
		return nil
	}
	return h.Hosts()
}

func newLabStatus(s *streams) *cobra.Command {
	var name string
	var asJSON, ca bool
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show hosts, links, tunnels, targets and endpoints",
		Example: "  seikan lab status\n  seikan lab status --json | jq .tunnels\n  seikan lab status --ca",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			h, _, err := sandbox.Find(base(), name)
			if err != nil {
				return err
			}
			if ca {
				_, err := fmt.Fprintln(s.out, h.Path(lab.CAFile))
				return err
			}
			resp, err := lab.AskLab(c.Context(), h, lab.Request{Verb: lab.VerbStatus})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s, resp.Status)
			}
			return printStatus(s, *resp.Status)
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the lab (default: the only one)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&ca, "ca", false, "print only the file of the authority that signed the web servers' certificates")
	registerLabs(c)
	return c
}

func printStatus(s *streams, st lab.Status) error {
	fmt.Fprintf(s.out, "lab %s, up %v\n\n", st.Name, time.Since(st.Started).Round(time.Second))
	tables := []*table{hostTable(st), linkTable(st), tunnelTable(st), targetTable(st), endpointTable(st)}
	for _, t := range tables {
		if len(t.rows) == 0 {
			continue
		}
		if err := t.print(s.out); err != nil {
			return err
		}
		fmt.Fprintln(s.out)
	}
	for _, n := range st.Notes {
		fmt.Fprintf(s.out, "note: %s\n", n)
	}
	return nil
}

func hostTable(st lab.Status) *table {
	t := newTable("HOST", "ROLE", "WHERE", "STATE", "ADDRESSES", "NAMESPACE")
	for _, h := range append(append([]lab.HostStatus{}, st.Hosts...), st.Instances...) {
		var addrs []string
		for _, a := range h.Addresses {
			addrs = append(addrs, a.String())
		}
		t.add(h.Name, h.Role, h.Where, h.State, strings.Join(addrs, " "), h.Namespace)
	}
	return t
}

func linkTable(st lab.Status) *table {
	t := newTable("LINK", "INTERFACE", "RECEIVED", "SENT")
	for _, l := range st.Links {
		t.add(l.Name, l.Namespace+"/"+l.Interface, traffic(l.RxBytes, l.RxPackets), traffic(l.TxBytes, l.TxPackets))
	}
	return t
}

func tunnelTable(st lab.Status) *table {
	t := newTable("TUNNEL", "END", "STATE", "OUTSIDE", "INSIDE", "IKE", "SUITES", "BGP", "IN", "OUT")
	for _, tn := range st.Tunnels {
		state := "up"
		switch {
		case !tn.Up:
			state = strings.TrimSpace("down " + tn.Detail)
		case tn.Carries:
			state = "up, carries"
		}
		suites := strings.TrimSpace(tn.Phase1 + " " + tn.Phase2)
		if tn.Weak != "" {
			suites += " weak: " + tn.Weak
		}
		t.add(fmt.Sprintf("%s/%d", tn.Connection, tn.Number), tn.End, state, fmt.Sprintf("%v %v", tn.Local, tn.Remote), tn.Inside.String(), strings.TrimSpace(tn.IKE+" "+tn.Auth),
			suites, strings.TrimSpace(session(tn.BGP)+" "+pathWatch(tn.BGP)), octets(tn.BytesIn), octets(tn.BytesOut))
	}
	return t
}

// session is a BGP session in a few words.
func session(b *lab.SessionStatus) string {
	switch {
	case b == nil:
		return "static"
	case !b.Established:
		return b.State
	}
	learned := []string{"has"}
	for _, p := range b.Learned {
		learned = append(learned, p.String())
	}
	const most = 4
	if len(learned) > most {
		learned = append(learned[:most], fmt.Sprintf("and %d more", len(learned)-most))
	}
	return strings.Join(learned, " ")
}

// pathWatch is a session's BFD in a few words; empty without.
func pathWatch(b *lab.SessionStatus) string {
	switch {
	case b == nil || b.BFD == nil:
		return ""
	case b.BFD.Cut:
		return "BFD: path broken"
	}
	return fmt.Sprintf("BFD %s, %d ms", b.BFD.State, b.BFD.DetectMillis)
}

func targetTable(st lab.Status) *table {
	t := newTable("TARGET", "LISTENER", "ADDRESS", "HEALTH")
	for _, tg := range st.Targets {
		t.add(tg.Instance, fmt.Sprintf("%s:%d", tg.LoadBalancer, tg.Port), tg.Address.String(), strings.TrimSpace(tg.Health+" "+tg.Reason))
	}
	return t
}

func endpointTable(st lab.Status) *table {
	t := newTable("ENDPOINT", "ID", "STATE", "ADDRESSES", "SERVICE")
	for _, e := range st.Endpoints {
		var addrs []string
		for _, a := range e.Addresses {
			addrs = append(addrs, a.String())
		}
		t.add(e.Name, e.ID, e.State, strings.Join(addrs, " "), e.Service)
	}
	return t
}

func traffic(bytes, packets uint64) string {
	return fmt.Sprintf("%s, %d packets", octets(bytes), packets)
}

// octets prints n with three digits.
func octets(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 || v >= 100 {
		return fmt.Sprintf("%.0f %s", v, units[i])
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// newLabChanges are the verbs that break and mend a running lab.
func newLabChanges(s *streams) []*cobra.Command {
	instance := func(f func(string) lab.Change) func([]string) (lab.Change, error) {
		return func(args []string) (lab.Change, error) { return f(args[0]), nil }
	}
	// The address is the last argument.
	address := func(f func(netip.Addr, []string) lab.Change) func([]string) (lab.Change, error) {
		return func(args []string) (lab.Change, error) {
			a, err := netip.ParseAddr(args[len(args)-1])
			if err != nil {
				return lab.Change{}, usageError{fmt.Errorf("%q is not an address; `seikan lab status` shows those of the tunnels", args[len(args)-1])}
			}
			return f(a, args), nil
		}
	}
	return []*cobra.Command{
		newLabChange(s, "stop INSTANCE", "Kill what an instance serves", "  seikan lab stop web-1", instance(func(n string) lab.Change { return lab.Change{StopInstance: n} })),
		newLabChange(s, "start INSTANCE", "Serve it again", "  seikan lab start web-1", instance(func(n string) lab.Change { return lab.Change{StartInstance: n} })),
		newLabChange(s, "cut ADDRESS", "Let the internet drop what goes to and from an address", "  seikan lab cut 203.0.113.10", address(func(a netip.Addr, _ []string) lab.Change { return lab.Change{Cut: a} })),
		newLabChange(s, "mend ADDRESS", "Carry it again", "  seikan lab mend 203.0.113.10", address(func(a netip.Addr, _ []string) lab.Change { return lab.Change{Mend: a} })),
		newLabChange(s, "move ROUTER ADDRESS", "Give a site's router another outside address", "  seikan lab move router 198.51.100.77", address(func(a netip.Addr, args []string) lab.Change {
			return lab.Change{Move: lab.Move{Router: args[0], To: a}}
		})),
		newLabChange(s, "replace ADDRESS", "Replace the cloud's end of the tunnel with this outside address, as AWS does for maintenance", "  seikan lab replace 203.0.113.10",
			address(func(a netip.Addr, _ []string) lab.Change { return lab.Change{Replace: a} })),
	}
}

func newLabChange(s *streams, use, short, example string, parse func([]string) (lab.Change, error)) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: arguments(cobra.ExactArgs(len(strings.Fields(use)) - 1)),
		RunE: func(c *cobra.Command, args []string) error {
			change, err := parse(args)
			if err != nil {
				return err
			}
			h, _, err := sandbox.Find(base(), name)
			if err != nil {
				return err
			}
			if _, err := lab.AskLab(c.Context(), h, lab.Request{Verb: lab.VerbChange, Change: &change}); err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.out, "done")
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the lab (default: the only one)")
	registerLabs(c)
	return c
}
