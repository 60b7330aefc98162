package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"testing/synctest"

	"seikan/internal/ipsec/ike"
	"seikan/internal/secret"
)

// An exporter is a script whose state changes when a test says so.
type exporter struct {
	*script
	state string
}

func (e *exporter) Export() (secret.Secret, bool) {
	return secret.FromString(e.state), e.state != ""
}

// A shelf is a keeper that writes down what it is asked.
type shelf struct {
	journal *[]string
	fail    error
}

func (s *shelf) Save(state secret.Secret) error {
	*s.journal = append(*s.journal, "save "+string(state.Reveal()))
	return s.fail
}

func (s *shelf) Drop() { *s.journal = append(*s.journal, "drop") }

// runKept is run of a machine whose state is kept.
func runKept(t *testing.T, resume bool, fail error, answer func(e *exporter, ev ike.Event, out *ike.Outputs), act func(*Tunnel)) (journal []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{script: &script{journal: &journal}}
		e.answer = func(ev ike.Event, out *ike.Outputs) error { answer(e, ev, out); return nil }
		tun := New(Config{
			Log: slog.New(slog.DiscardHandler), Machine: e, DataPlane: &recorder{journal: &journal}, Resume: resume,
			Keep:     &shelf{&journal, fail},
			Sequence: func() uint64 { return 0 },
			Send:     func(dg ike.Datagram) error { journal = append(journal, "send "+string(dg.Data)); return nil },
			Changed:  func() {},
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tun.Run(ctx) }()
		synctest.Wait()
		act(tun)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return journal
}

// speak answers each datagram with a change of state, an SA and a message.
func speak(e *exporter, ev ike.Event, out *ike.Outputs) {
	switch ev := ev.(type) {
	case ike.Datagram:
		e.state = string(ev.Data)
		sa := &ike.ChildSA{SPIIn: 1, SPIOut: 2}
		out.Datagrams = append(out.Datagrams, ike.Datagram{Data: []byte("answer")})
		out.Actions = append(out.Actions, ike.InstallInbound{SA: sa})
	case ike.Close:
		e.state = ""
		out.Datagrams = append(out.Datagrams, ike.Datagram{Data: []byte("goodbye")})
	}
}

func TestStateIsKeptBeforeAnythingIsSent(t *testing.T) {
	got := runKept(t, false, nil, speak, func(tun *Tunnel) {
		for _, text := range []string{"one", "one", "two"} {
			tun.Deliver(ike.Datagram{Data: []byte(text)})
		}
	})
	want := []string{
		"step ike.Datagram", "install 1", "save one", "send answer",
		"step ike.Datagram", "install 1", "send answer", // nothing changed
		"step ike.Datagram", "install 1", "save two", "send answer",
		"step ike.Close", "drop", "send goodbye",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRestoredMachineIsResumedFirstAndKeptAgain(t *testing.T) {
	got := runKept(t, true, nil, func(e *exporter, ev ike.Event, out *ike.Outputs) {
		if _, ok := ev.(ike.Resume); ok {
			e.state = "resumed"
			out.Datagrams = append(out.Datagrams, ike.Datagram{Data: []byte("probe")})
		}
	}, func(*Tunnel) {})
	want := []string{"step ike.Resume", "save resumed", "send probe", "step ike.Close"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTunnelGoesOnWhenItsStateCannotBeKept(t *testing.T) {
	got := runKept(t, false, errors.New("disk full"), speak, func(tun *Tunnel) {
		tun.Deliver(ike.Datagram{Data: []byte("one")})
		tun.Deliver(ike.Datagram{Data: []byte("one")})
		tun.Deliver(ike.Datagram{Data: []byte("two")})
	})
	want := []string{
		"step ike.Datagram", "install 1", "save one", "send answer",
		"step ike.Datagram", "install 1", "send answer", // tried again when there is something new
		"step ike.Datagram", "install 1", "save two", "send answer",
		"step ike.Close", "drop", "send goodbye",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
