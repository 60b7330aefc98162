package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/lab/probe"
	"seikan/internal/lab/sandbox"
	"seikan/internal/lab/topology"
	labfiles "seikan/lab"
)

func newLab(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "A data centre, the internet and the cloud on this machine",
		Long: `The lab builds a whole world in network namespaces from one file: sites behind
NAT, the internet, and the cloud with its VPCs. Real packets cross it. It needs
no root, touches nothing of this machine's own network, and leaves nothing
behind, not even when it is killed.
` + exitHelp,
		Example: `  seikan lab demo                        build, walk through, take down
  seikan lab up                          build and keep
  seikan lab exec client -- ping -c 3 10.0.1.20
  seikan lab capture internet            what passes, one line a packet
  seikan lab status
  seikan lab logs corp-vpn/1             what AWS's two logs say of a tunnel
  seikan lab device-config corp-vpn --device fortigate
  seikan lab down`,
		Args: noVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLabDemo(s), newLabUp(s), newLabDown(s), newLabStatus(s), newLabLogs(s), newLabMetrics(s), newLabEvents(s), newLabDeviceConfig(s), newLabExec(s), newLabCapture(s), newLabCheck(s), newLabExample(s), newLabList(s))
	c.AddCommand(newLabChanges(s)...)
	return c
}

// base is the directory of this user's labs.
func base() string { return sandbox.Base(os.Getenv, os.Geteuid()) }

// readTopology reads the topology that args names: one that comes with Seikan,
// else a file. None is the system overview.
func readTopology(args []string) (*topology.Topology, error) {
	if len(args) == 0 {
		args = []string{labfiles.SystemOverview}
	}
	if text, ok := labfiles.Text(args[0]); ok {
		return topology.Parse(args[0]+".yaml", text)
	}
	return topology.ReadFile(args[0])
}

// labStart is what up and demo share.
type labStart struct {
	name      string
	onlySites bool
	verbose   bool
}

func (o *labStart) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.name, "name", "", "name of the lab (default: the topology's)")
	c.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "log more")
}

// start validates everything that can be validated before anything is made.
func (o *labStart) start(args []string, walk, detach bool) (sandbox.Start, error) {
	t, err := readTopology(args)
	if err != nil {
		return sandbox.Start{}, err
	}
	if o.name == "" {
		o.name = t.Name
	}
	h, err := sandbox.Open(base(), o.name)
	if err != nil {
		return sandbox.Start{}, usageError{err}
	}
	if err := sandbox.Check(); err != nil {
		return sandbox.Start{}, err
	}
	inner := []string{superviseVerb, "--dir", h.Dir, "--name", o.name, fmt.Sprintf("--walk=%v", walk), fmt.Sprintf("--only-sites=%v", o.onlySites), fmt.Sprintf("--verbose=%v", o.verbose)}
	if len(args) > 0 && slices.Contains(labfiles.Names(), args[0]) {
		inner = append(inner, "--topology", args[0])
	} else if len(args) > 0 {
		file, err := filepath.Abs(args[0])
		if err != nil {
			return sandbox.Start{}, err
		}
		inner = append(inner, "--topology", file)
	}
	return sandbox.Start{Handle: h, Verb: initVerb, Args: inner, Machines: t.Machines(), Detach: detach}, nil
}

// topologyHelp says which topologies there are.
const topologyHelp = `The topology is a FILE, or one of those that come with Seikan, by NAME:

  system-overview  the default: private DNS, PrivateLink and a load balancer
                   behind a VPN with BGP
  static           one site, one VPC, static routes
  roaming          a gateway without a fixed address, known by its certificate,
                   which gets another one in the middle of a download
  transit          two VPCs and a site at a transit gateway with route tables of
                   its own, over both tunnels at once
  ipv6             two sites with IPv6 inside tunnels and between their ends
`

func newLabDemo(s *streams) *cobra.Command {
	var o labStart
	c := &cobra.Command{
		Use:   "demo [FILE|NAME]",
		Short: "Build the lab, walk through it with evidence, take it down",
		Long: `Builds a topology, walks through it step by step, shows the evidence of each -
addresses, times, bytes - and takes it down. Ctrl-C takes it down at any time.

` + topologyHelp + `
Which steps there are depends on what the topology holds.
` + exitHelp,
		Example: "  seikan lab demo\n  seikan lab demo roaming\n  seikan lab demo my-topology.yaml",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			start, err := o.start(args, true, false)
			if err != nil {
				return err
			}
			code, err := start.Run(c.Context())
			return outcome(c.Context(), code, err)
		},
	}
	o.flags(c)
	return c
}

// outcome turns what a sandbox returned into an error.
func outcome(ctx context.Context, code int, err error) error {
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
		return errors.New("interrupted; the lab is down and nothing is left")
	case err != nil:
		return err
	case code != 0:
		return exitError(code)
	}
	return nil
}

func newLabUp(s *streams) *cobra.Command {
	var o labStart
	c := &cobra.Command{
		Use:   "up [FILE|NAME]",
		Short: "Build the lab and keep it running in the background",
		Long: `Builds a topology and returns when it is ready. One lab of a name runs at a time.
What an earlier lab that was killed left on disk is cleaned away first.

` + topologyHelp + exitHelp,
		Example: "  seikan lab up\n  seikan lab up static\n  seikan lab up my-topology.yaml --name mine",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			start, err := o.start(args, false, true)
			if err != nil {
				return err
			}
			began := time.Now()
			start.Progress = func(line string) { fmt.Fprintf(s.out, "  %s\n", line) }
			fmt.Fprintf(s.out, "lab %s\n", o.name)
			code, err := start.Run(c.Context())
			if err := outcome(c.Context(), code, err); err != nil {
				return err
			}
			flag := ""
			if o.name != "system-overview" {
				flag = " --name " + o.name
			}
			_, err = fmt.Fprintf(s.out, `ready after %s

  seikan lab status%[2]s
  seikan lab exec%[2]s %[3]s -- sh
  seikan lab capture%[2]s internet
  seikan lab down%[2]s
`, probe.Short(time.Since(began)), flag, first(start.Machines, "client"))
			return err
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&o.onlySites, "only-sites", false, "build the sites and the internet, not the cloud")
	return c
}

// first is want when it is in list, else the list's first.
func first(list []string, want string) string {
	for _, v := range list {
		if v == want {
			return v
		}
	}
	return list[0]
}

func newLabDown(s *streams) *cobra.Command {
	var name string
	var all bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Take the lab down",
		Long: `Takes the running lab down in order, and kills it when that takes too long. Without
a running lab it cleans away what a killed one left on disk.
` + exitHelp,
		Example: "  seikan lab down\n  seikan lab down --name mine\n  seikan lab down --all",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			handles, err := downTargets(name, all)
			if err != nil {
				return err
			}
			for _, h := range handles {
				was, _, e := h.Down(c.Context())
				switch {
				case e != nil:
					err = errors.Join(err, e) // the others go down all the same
				case was.Pid != 0:
					fmt.Fprintf(s.out, "lab %s is down after %v\n", h.Name, time.Since(was.Started).Round(time.Second))
				default:
					fmt.Fprintf(s.out, "lab %s was not running; what it had left is gone\n", h.Name)
				}
			}
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the lab (default: the only one)")
	c.Flags().BoolVar(&all, "all", false, "every lab of this user")
	registerLabs(c)
	return c
}

// downTargets are the labs to take down: the one that is named, or all, or the
// only one that runs; with the latter also what dead ones left on disk.
func downTargets(name string, all bool) ([]sandbox.Handle, error) {
	if name != "" {
		h, err := sandbox.Open(base(), name)
		return []sandbox.Handle{h}, err
	}
	handles, err := sandbox.List(base())
	if err != nil || all {
		return handles, err
	}
	if len(handles) == 0 {
		return nil, sandbox.ErrNotRunning
	}
	var running []string
	for _, h := range handles {
		if _, err := h.Running(); err == nil {
			running = append(running, h.Name)
		}
	}
	if len(running) > 1 {
		return nil, usageError{fmt.Errorf("several labs are running (%s): choose one with --name, or --all", strings.Join(running, ", "))}
	}
	return handles, nil
}

func newLabCheck(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE|NAME",
		Short: "Validate a topology",
		Long: `Reads a topology strictly and reports everything that is wrong with it, each with
line, column, field, value, rule and cure. It builds nothing.

` + topologyHelp + exitHelp,
		Example: "  seikan lab check mine.yaml\n  seikan lab check transit",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := readTopology(args)
			var problems topology.Problems
			if errors.As(err, &problems) {
				fmt.Fprintln(s.err, problems.Error())
				return exitError(exitFailed)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s: %s is fine: %d sites, %d VPCs, %d machines, %d VPN connections\n",
				args[0], t.Name, len(t.Sites), len(t.Cloud.VPCs), len(t.Machines()), len(t.VPN))
			return err
		},
	}
}

func newLabExample(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:       "example [NAME]",
		Short:     "Print a topology that comes with Seikan, to start one's own from",
		Long:      topologyHelp,
		Example:   "  seikan lab example static > mine.yaml",
		Args:      arguments(cobra.MaximumNArgs(1)),
		ValidArgs: labfiles.Names(),
		RunE: func(_ *cobra.Command, args []string) error {
			name := labfiles.SystemOverview
			if len(args) > 0 {
				name = args[0]
			}
			text, ok := labfiles.Text(name)
			if !ok {
				return usageError{fmt.Errorf("no topology that comes with Seikan is called %q; there is %s", name, strings.Join(labfiles.Names(), ", "))}
			}
			_, err := s.out.Write(text)
			return err
		},
	}
}

func newLabList(s *streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the labs of this user",
		Example: "  seikan lab list",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			handles, err := sandbox.List(base())
			if err != nil {
				return err
			}
			type row struct {
				Name    string    `json:"name"`
				State   string    `json:"state"`
				Pid     int       `json:"pid,omitempty"`
				Started time.Time `json:"started,omitzero"`
				Dir     string    `json:"dir"`
			}
			rows := []row{}
			for _, h := range handles {
				r := row{Name: h.Name, State: "dead", Dir: h.Dir}
				if rec, err := h.Running(); err == nil {
					r.State, r.Pid, r.Started = "running", rec.Pid, rec.Started
				}
				rows = append(rows, r)
			}
			if asJSON {
				return printJSON(s, rows)
			}
			t := newTable("NAME", "STATE", "PID", "SINCE", "DIRECTORY")
			for _, r := range rows {
				since := ""
				if !r.Started.IsZero() {
					since = time.Since(r.Started).Round(time.Second).String()
				}
				t.add(r.Name, r.State, fmt.Sprint(r.Pid), since, r.Dir)
			}
			return t.print(s.out)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// registerLabs completes --name.
func registerLabs(c *cobra.Command) {
	_ = c.RegisterFlagCompletionFunc("name", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		handles, _ := sandbox.List(base())
		var names []string
		for _, h := range handles {
			names = append(names, h.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}
