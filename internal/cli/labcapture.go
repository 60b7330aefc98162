package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/lab"
	"seikan/internal/lab/capture"
	"seikan/internal/lab/sandbox"
)

// A captureOptions says what to capture and where to put it.
type captureOptions struct {
	name     string
	link     string
	file     string // the lab's topology; empty: the one that is built in
	write    string
	count    int
	duration time.Duration
}

func newLabCapture(s *streams) *cobra.Command {
	var o captureOptions
	c := &cobra.Command{
		Use:   "capture LINK",
		Short: "Show or record the packets of a link",
		Long: `LINK is a link of the topology ("corp-lan", "corp-uplink"), "internet" for all that
crosses it, or HOST/INTERFACE ("cgw/tun1"). Each IP packet is one line; with -w
they are written as a pcap file, which tcpdump and Wireshark read.
` + exitHelp,
		Example: `  seikan lab capture internet
  seikan lab capture cgw/tun1 -c 10
  seikan lab capture corp-lan -w lan.pcap --duration 30s`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			h, record, err := sandbox.Find(base(), o.name)
			if err != nil {
				return err
			}
			inner := []string{"--link", args[0], "--count", strconv.Itoa(o.count), "--duration", o.duration.String()}
			if o.write != "" {
				file, err := filepath.Abs(o.write)
				if err != nil {
					return err
				}
				inner = append(inner, "--write", file)
			}
			if t := topologyOf(record); t != "" {
				inner = append(inner, "--topology", t)
			}
			return h.Again(record, captureVerb, inner)
		},
	}
	c.Flags().StringVar(&o.name, "name", "", "name of the lab (default: the only one)")
	c.Flags().StringVarP(&o.write, "write", "w", "", "write a pcap file")
	c.Flags().IntVarP(&o.count, "count", "c", 0, "end after that many packets")
	c.Flags().DurationVar(&o.duration, "duration", 0, "end after that time, such as 30s")
	registerLabs(c)
	return c
}

// topologyOf is the file that a running lab was built from; empty: the system
// overview that is built in.
func topologyOf(r sandbox.Record) string {
	for i, a := range r.Inner {
		if a == "--topology" && i+1 < len(r.Inner) {
			return r.Inner[i+1]
		}
	}
	return ""
}

// runCapture is capture's part inside the lab.
func runCapture(ctx context.Context, s *streams, h sandbox.Handle, o captureOptions) error {
	var args []string
	if o.file != "" {
		args = []string{o.file}
	}
	t, err := readTopology(args)
	if err != nil {
		return err
	}
	src, err := lab.OpenLink(t, h, o.link)
	if err != nil {
		return err
	}
	defer src.Close()
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	take, finish, err := sink(s, o.write)
	if err != nil {
		return err
	}
	seen := 0
	var failed error
	err = src.Each(ctx, func(f capture.Frame) bool {
		if failed = take(f); failed != nil {
			return false
		}
		seen++
		return o.count == 0 || seen < o.count
	})
	for _, e := range []error{failed, finish()} {
		if err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	dropped, err := src.Dropped()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%d packets, %d missed\n", seen, dropped)
	return nil
}

// sink is where frames go: a pcap file, or lines on standard output.
func sink(s *streams, file string) (take func(capture.Frame) error, finish func() error, err error) {
	if file == "" {
		return func(f capture.Frame) error {
			text := fmt.Sprintf("%d bytes that are no IP packet", len(f.Data))
			if p, ok := capture.Decode(f.Data); ok {
				text = p.String()
			}
			_, err := fmt.Fprintf(s.out, "%s %s\n", f.Time.Format("15:04:05.000000"), text)
			return err
		}, func() error { return nil }, nil
	}
	out, err := os.Create(file)
	if err != nil {
		return nil, nil, err
	}
	w, err := capture.NewWriter(out)
	if err != nil {
		out.Close()
		return nil, nil, err
	}
	return w.Write, out.Close, nil
}
