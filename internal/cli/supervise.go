package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/lab"
	"seikan/internal/lab/sandbox"
	"seikan/internal/lab/topology"
	"seikan/internal/lab/walk"
)

// A supervision is what the supervisor is told.
type supervision struct {
	dir, name, file          string
	walk, onlySites, verbose bool
}

func newSupervise(s *streams) *cobra.Command {
	var o supervision
	c := &cobra.Command{
		Use:  superviseVerb,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			in, err := sandbox.Enter(sandbox.Handle{Name: o.name, Dir: o.dir})
			if err != nil {
				return err
			}
			err = o.run(c.Context(), s, in)
			if errors.Is(err, context.Canceled) {
				return exitError(exitFailed) // the starter knows that it was interrupted
			}
			if err != nil && !errors.Is(err, walk.ErrNotHeld) {
				in.Fail(err)
				return exitError(exitFailed)
			}
			return err
		},
	}
	c.Flags().StringVar(&o.dir, "dir", "", "state directory")
	c.Flags().StringVar(&o.name, "name", "", "name of the lab")
	c.Flags().StringVar(&o.file, "topology", "", "topology file")
	c.Flags().BoolVar(&o.walk, "walk", false, "walk through, then end")
	c.Flags().BoolVar(&o.onlySites, "only-sites", false, "no cloud")
	c.Flags().BoolVar(&o.verbose, "verbose", false, "log more")
	return c
}

// run builds the lab and keeps it until it is told to stop, or walks through it.
func (o supervision) run(ctx context.Context, s *streams, in *sandbox.Inside) error {
	began := time.Now()
	var args []string
	if o.file != "" {
		args = []string{o.file}
	}
	t, err := readTopology(args)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(in.Handle.Path(sandbox.LogFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	ctx, stop := in.Context(ctx)
	defer stop()
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	cfg := lab.Config{Topology: t, Inside: in, Self: self, LogFile: logFile,
		Log: slog.New(slog.NewTextHandler(logFile, &slog.HandlerOptions{Level: level}))}
	if !o.onlySites {
		cfg.NewCloud = newCloud
	}
	l := lab.New(cfg)
	if !o.walk {
		return l.Run(ctx, in.Ready)
	}
	return o.demonstrate(ctx, s, l, t, began)
}

// demonstrate runs the lab for as long as the walk-through takes.
func (o supervision) demonstrate(ctx context.Context, s *streams, l *lab.Lab, t *topology.Topology, began time.Time) error {
	steps, err := walk.Through(t, l.Authority())
	if err != nil {
		return err
	}
	tell := walk.NewTeller(s.out, walk.Style{Terminal: s.terminal, Colour: s.colour})
	tell.Heading("Seikan lab: %s", t.Name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- l.Run(ctx, func() { close(ready) }) }()
	built := tell.Waiting("building the sites, the internet and the cloud")
	select {
	case <-ready:
		built()
	case err := <-ended:
		built()
		return errors.Join(err, o.showLog(s))
	}
	tell.Show("built", "in %v", time.Since(began).Round(10*time.Millisecond))
	walked := make(chan error, 1)
	go func() {
		_, err := walk.Run(ctx, l, steps, tell, began)
		walked <- err
	}()
	select {
	case err = <-walked:
		cancel()
		err = errors.Join(err, <-ended)
	case err = <-ended:
		cancel()
		<-walked
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		_ = o.showLog(s)
	}
	return err
}

// showLog prints the end of the lab's log, which goes with the lab.
func (o supervision) showLog(s *streams) error {
	f, err := os.Open(sandbox.Handle{Dir: o.dir}.Path(sandbox.LogFile))
	if err != nil {
		return err
	}
	defer f.Close()
	const tail = 4096
	if st, err := f.Stat(); err == nil && st.Size() > tail {
		if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
			return err
		}
	}
	fmt.Fprintln(s.err, "\nthe lab's log ends with:")
	_, err = io.Copy(s.err, f)
	return err
}
