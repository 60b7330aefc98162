package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/lab"
	"seikan/internal/lab/probe"
	"seikan/internal/lab/sandbox"
	"seikan/internal/lab/server"
)

// Verbs by which this binary starts itself again. They are not for people.
const (
	initVerb      = "lab-init"
	superviseVerb = "lab-supervise"
	enterVerb     = "lab-enter"
	captureVerb   = "lab-capture"
	workerVerb    = "gateway-worker"
)

func newHidden(s *streams) []*cobra.Command {
	list := []*cobra.Command{newInit(), newSupervise(s), newEnter(), newInnerCapture(s), newWorker(s), newServer(s), newClient(s), newManPages()}
	for _, c := range list {
		c.Hidden = true
	}
	return list
}

func newInit() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:  initVerb,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			code, err := sandbox.Init(dir, args)
			if err != nil {
				return err
			}
			if code != 0 {
				return exitError(code)
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "state directory")
	return c
}

// handleOf is the lab of a state directory.
func handleOf(dir string) sandbox.Handle {
	_, name, _ := strings.Cut(dir[strings.LastIndexByte(dir, '/')+1:], "-")
	return sandbox.Handle{Name: name, Dir: dir}
}

func newEnter() *cobra.Command {
	var dir, cwd, host string
	c := &cobra.Command{
		Use:  enterVerb,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return handleOf(dir).Join(host, cwd, args)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "state directory")
	c.Flags().StringVar(&cwd, "cwd", "/", "directory to be in")
	c.Flags().StringVar(&host, "host", "", "host to be on")
	return c
}

func newInnerCapture(s *streams) *cobra.Command {
	var o captureOptions
	var dir, cwd string
	c := &cobra.Command{
		Use:  captureVerb,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runCapture(c.Context(), s, handleOf(dir), o)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "state directory")
	c.Flags().StringVar(&cwd, "cwd", "/", "not used")
	c.Flags().StringVar(&o.link, "link", "", "link")
	c.Flags().StringVar(&o.file, "topology", "", "topology file")
	c.Flags().StringVar(&o.write, "write", "", "pcap file")
	c.Flags().IntVar(&o.count, "count", 0, "packets")
	c.Flags().DurationVar(&o.duration, "duration", 0, "time")
	return c
}

// logger writes to standard error, which is a lab's log.
func logger(s *streams, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
}

// tellReady writes to the descriptor that the starter waits on; 0 is none.
func tellReady(fd int) func() {
	return func() {
		if fd > 0 {
			f := os.NewFile(uintptr(fd), "ready")
			fmt.Fprintln(f, "ready")
			f.Close()
		}
	}
}

func newServer(s *streams) *cobra.Command {
	c := &cobra.Command{Use: lab.ServerVerb, Args: noVerb, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(newWebServer(s), newFTPServer(s), newDNSServer(s))
	return c
}

func newWebServer(s *streams) *cobra.Command {
	var cfg server.WebConfig
	var fd int
	c := &cobra.Command{
		Use: "https", Short: "An HTTPS server that tells its name and whom it sees", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg.Log = logger(s, false).With("server", cfg.Name)
			return server.ServeWeb(c.Context(), cfg, tellReady(fd))
		},
	}
	c.Flags().StringVar(&cfg.Name, "name", "web", "name to tell")
	c.Flags().StringVar(&cfg.Listen, "listen", ":443", "address for HTTPS")
	c.Flags().StringVar(&cfg.Plain, "plain", "", "address for HTTP")
	c.Flags().StringVar(&cfg.CertFile, "cert", "", "certificate, PEM")
	c.Flags().StringVar(&cfg.KeyFile, "key", "", "its key, PEM")
	c.Flags().IntVar(&fd, "ready-fd", 0, "descriptor to write to when ready")
	return c
}

func newFTPServer(s *streams) *cobra.Command {
	var cfg server.FTPConfig
	var fd int
	var passive, advertise string
	var files map[string]int64
	c := &cobra.Command{
		Use: "ftp", Short: "An FTP server for anonymous passive downloads", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			low, high, _ := strings.Cut(passive, "-")
			first, err1 := strconv.ParseUint(low, 10, 16)
			last, err2 := strconv.ParseUint(high, 10, 16)
			if err1 != nil || err2 != nil {
				return usageError{fmt.Errorf("--passive %q is not a range of ports such as 1024-1024", passive)}
			}
			if advertise != "" {
				addr, err := netip.ParseAddr(advertise)
				if err != nil || !addr.Is4() {
					return usageError{fmt.Errorf("--advertise %q is not an IPv4 address", advertise)}
				}
				cfg.Advertise = addr
			}
			cfg.FirstPort, cfg.LastPort, cfg.Files = uint16(first), uint16(last), files
			cfg.Log = logger(s, false).With("server", cfg.Name)
			return server.ServeFTP(c.Context(), cfg, tellReady(fd))
		},
	}
	c.Flags().StringVar(&cfg.Name, "name", "ftp", "name to tell")
	c.Flags().StringVar(&cfg.Listen, "listen", ":21", "address")
	c.Flags().StringVar(&passive, "passive", "1024-1024", "range of passive ports")
	c.Flags().StringVar(&advertise, "advertise", "", "address that PASV answers (default: the connection's own)")
	c.Flags().StringToInt64Var(&files, "file", nil, "NAME=SIZE of a file to offer")
	c.Flags().IntVar(&fd, "ready-fd", 0, "descriptor to write to when ready")
	return c
}

func newDNSServer(s *streams) *cobra.Command {
	var cfg server.DNSConfig
	var fd int
	var zones, records, forwards []string
	c := &cobra.Command{
		Use: "dns", Short: "A site's DNS server: zones of its own and forwarders", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, z := range zones {
				zone := server.DNSZone{Name: z}
				for _, r := range records {
					if of, line, _ := strings.Cut(r, "="); of == z {
						zone.Records = append(zone.Records, line)
					}
				}
				cfg.Zones = append(cfg.Zones, zone)
			}
			for _, f := range forwards {
				zone, list, _ := strings.Cut(f, "=")
				fw := server.DNSForward{Zone: zone}
				for text := range strings.SplitSeq(list, ",") {
					to, err := netip.ParseAddrPort(text)
					if err != nil {
						return usageError{fmt.Errorf("--forward %q: %q is not address:port", f, text)}
					}
					fw.To = append(fw.To, to)
				}
				cfg.Forwards = append(cfg.Forwards, fw)
			}
			cfg.Log = logger(s, false).With("server", "dns")
			return server.ServeDNS(c.Context(), cfg, tellReady(fd))
		},
	}
	c.Flags().StringVar(&cfg.Listen, "listen", ":53", "address")
	c.Flags().StringArrayVar(&zones, "zone", nil, "zone to answer for")
	c.Flags().StringArrayVar(&records, "record", nil, "ZONE=LINE, a line of its zone file")
	c.Flags().StringArrayVar(&forwards, "forward", nil, "ZONE=ADDRESS:PORT,… to ask, in order")
	c.Flags().DurationVar(&cfg.Try, "try", time.Second, "how long to wait for one forwarder")
	c.Flags().IntVar(&fd, "ready-fd", 0, "descriptor to write to when ready")
	return c
}

func newClient(s *streams) *cobra.Command {
	c := &cobra.Command{Use: lab.ClientVerb, Short: "The lab's test clients", Args: noVerb, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(newAsk(s))
	for _, k := range []struct {
		kind    probe.Kind
		example string
	}{
		{probe.HTTPS, "lab-client https https://service.example/ --resolver 192.168.1.53:53 --ca ca.pem"},
		{probe.FTP, "lab-client ftp ftp://service.example/hello.bin --resolver 192.168.1.53:53"},
		{probe.DNS, "lab-client dns service.example --resolver 192.168.1.53:53 --type A"},
		{probe.Ping, "lab-client ping 10.0.1.20 --count 100 --interval 20ms"},
		{probe.TCP, "lab-client tcp 10.0.1.20:443"},
	} {
		c.AddCommand(newProbe(s, k.kind, "  seikan "+k.example))
	}
	return c
}

// newAsk takes a question as JSON and answers in JSON, whatever was seen.
func newAsk(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "ask QUESTION", Short: "Ask one question, as JSON", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var q probe.Question
			if err := json.Unmarshal([]byte(args[0]), &q); err != nil {
				return usageError{fmt.Errorf("question: %w", err)}
			}
			return json.NewEncoder(s.out).Encode(probe.Ask(c.Context(), q))
		},
	}
}

func newProbe(s *streams, kind probe.Kind, example string) *cobra.Command {
	q := probe.Question{Kind: kind}
	var resolver string
	var asJSON bool
	c := &cobra.Command{
		Use: string(kind) + " TARGET", Short: "Ask one question; exit 0 only when it was answered", Example: example,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			q.Target = args[0]
			if resolver != "" {
				at, err := netip.ParseAddrPort(resolver)
				if err != nil {
					return usageError{fmt.Errorf("--resolver %q is not address:port", resolver)}
				}
				q.Resolver = at
			}
			return answer(c.Context(), s, q, asJSON)
		},
	}
	c.Flags().StringVar(&resolver, "resolver", "", "DNS server, address:port")
	c.Flags().StringVar(&q.CAFile, "ca", "", "authority that must have signed, PEM")
	c.Flags().StringVar(&q.Type, "type", "A", "DNS type")
	c.Flags().IntVar(&q.Count, "count", 4, "echoes")
	c.Flags().DurationVar(&q.Interval, "interval", 200*time.Millisecond, "between echoes")
	c.Flags().DurationVar(&q.Timeout, "timeout", 5*time.Second, "how long to wait")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func answer(ctx context.Context, s *streams, q probe.Question, asJSON bool) error {
	r := probe.Ask(ctx, q)
	var err error
	if asJSON {
		err = printJSON(s, r)
	} else {
		_, err = fmt.Fprintln(s.out, r)
	}
	if err == nil && r.Outcome != probe.Answered {
		return exitError(exitFailed)
	}
	return err
}
