// Package cli is the command line: verbs, flags, help, and what is printed.
//
// A verb parses its flags into an options value and calls the packages that do
// the work; it decides nothing itself. Errors go to standard error as one
// line, tables to standard output, or JSON with --json. Only cmd/seikan calls
// Main, and only here are flags, the environment and standard streams read.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"seikan/internal/lab/sandbox"
	"seikan/internal/lab/walk"
)

// Exit codes. `seikan lab exec` exits as its command does.
const (
	exitOK      = 0
	exitFailed  = 1 // what was asked for did not work
	exitUsage   = 2 // what was asked for makes no sense: an unknown verb, flag or name
	exitNotHeld = 3 // a step of the walk-through did not hold
)

const exitHelp = `
Exit codes: 0 done; 1 failed, with the reason on standard error; 2 wrong usage;
3 a step of the walk-through did not hold.`

// streams are the standard streams and what is known of them.
type streams struct {
	in       *os.File
	out, err io.Writer
	terminal bool // out is a terminal
	colour   bool
}

// Main runs the command line args, without the program's name, and returns the
// exit code.
func Main(args []string) int {
	s := &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: isTerminal(os.Stdout)}
	// https://no-color.org: any value that is not empty turns colours off.
	s.colour = s.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	return exitCode(s, root.ExecuteContext(ctx))
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// A usageError is the caller's mistake.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// An exitError is a code that a program which we ran left with; what was wrong
// has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exitCode prints err, unless that was done, and says how to exit.
func exitCode(s *streams, err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return int(e)
	}
	if errors.Is(err, walk.ErrNotHeld) {
		return exitNotHeld
	}
	fmt.Fprintf(s.err, "seikan: %v\n", err)
	if e, ok := errors.AsType[*sandbox.ExitError](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "seikan",
		Short: "AWS Site-to-Site VPN and what stands behind it, on your own machines",
		Long: `Seikan is AWS Site-to-Site VPN and what stands behind it - VPCs, PrivateLink,
network load balancers, private DNS - as one program with a real data plane.

Begin with the lab: a data centre behind NAT, the internet and the cloud, in
network namespaces on this machine. It needs no root.

  seikan lab demo          build it, walk through it, take it down
  seikan lab up            build it and keep it
` + exitHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noVerb,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDescriptions = false
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; `%s --help` lists what there is", err, c.CommandPath())}
	})
	root.AddCommand(newVersion(s), newLab(s), newGateway(s), newWhy(s))
	root.AddCommand(newHidden(s)...)
	return root
}

// noVerb refuses arguments of a command that only has verbs below it.
func noVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s has no verb %q", c.CommandPath(), args[0])
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usageError{fmt.Errorf("%s; `%s --help` lists them", text, c.CommandPath())}
}

// arguments wraps cobra's checks so that they count as wrong usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%w; usage: %s", err, c.UseLine())}
		}
		return nil
	}
}
