package walk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"seikan/internal/lab/probe"
)

// A Style is how a Teller prints.
type Style struct {
	Terminal bool // a spinner may overwrite its line
	Colour   bool
}

// A Teller prints a walk-through. Its methods may be called by many goroutines.
type Teller struct {
	style Style

	// mu guards what stands below it.
	mu      sync.Mutex
	w       io.Writer
	spinner bool // the last line will be overwritten
}

// NewTeller prints to w.
func NewTeller(w io.Writer, style Style) *Teller { return &Teller{w: w, style: style} }

// SGR codes of ECMA-48.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (t *Teller) paint(code, s string) string {
	if !t.style.Colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// line prints one line, over the spinner if there is one.
func (t *Teller) line(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clearLocked()
	fmt.Fprintln(t.w, s)
}

// clearLocked removes the spinner. The caller holds t.mu.
func (t *Teller) clearLocked() {
	if t.spinner {
		fmt.Fprint(t.w, "\r\x1b[K")
		t.spinner = false
	}
}

// Heading prints a line that stands out.
func (t *Teller) Heading(format string, args ...any) {
	t.line(t.paint(bold, fmt.Sprintf(format, args...)))
}

func (t *Teller) title(n int, title string) {
	t.line("")
	t.line(t.paint(bold, fmt.Sprintf("%d  %s", n, title)))
}

// labelWidth is the column at which evidence begins.
const labelWidth = 14

// Show prints one piece of evidence: what it is about, and what was seen.
func (t *Teller) Show(label, format string, args ...any) {
	pad := strings.Repeat(" ", max(1, labelWidth-len([]rune(label))))
	t.line("   " + t.paint(dim, label) + pad + fmt.Sprintf(format, args...))
}

// Waiting says what is waited for until the returned function is called: by a
// spinner on a terminal, else by a line now and then.
func (t *Teller) Waiting(what string) (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { t.wait(ctx, what) })
	return func() {
		cancel()
		ended.Wait()
	}
}

func (t *Teller) wait(ctx context.Context, what string) {
	every := 2 * time.Second
	if t.style.Terminal {
		every = 120 * time.Millisecond
	}
	start, tick := time.Now(), time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			t.mu.Lock()
			t.clearLocked()
			t.mu.Unlock()
			return
		case <-tick.C:
		}
		after := time.Since(start).Round(time.Second)
		if !t.style.Terminal {
			t.line(fmt.Sprintf("   … %s, %v", what, after))
			continue
		}
		t.mu.Lock()
		frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
		fmt.Fprintf(t.w, "\r\x1b[K   %c %s, %v", frames[n%len(frames)], what, after)
		t.spinner = true
		t.mu.Unlock()
	}
}

// verdict ends a step.
func (t *Teller) verdict(err error, took time.Duration) {
	if err == nil {
		t.line("   " + t.paint(green, "✓ holds") + t.paint(dim, "  "+probe.Short(took)))
		return
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		t.line("   " + t.paint(red, "✗ expected  ") + f.Expected)
		t.line("     saw       " + f.Seen)
		if f.Look != "" {
			t.line("     look at   " + f.Look)
		}
		return
	}
	t.line("   " + t.paint(red, "✗ ") + err.Error())
}

// summary ends the walk-through.
func (t *Teller) summary(verdicts []Verdict, steps int, total time.Duration) {
	t.line("")
	held := 0
	for i, v := range verdicts {
		mark := t.paint(red, "✗")
		if v.Held {
			held++
			mark = t.paint(green, "✓")
		}
		t.line(fmt.Sprintf("   %s %d  %-58s %8s", mark, i+1, v.Title, probe.Short(v.Took)))
	}
	result := t.paint(green, fmt.Sprintf("all %d steps held", steps))
	if held < steps {
		result = t.paint(red, fmt.Sprintf("%d of %d steps held", held, steps))
	}
	t.line(fmt.Sprintf("   %s, %s in all", result, probe.Short(total)))
}
