package activity

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// A Notice is what a gateway says of one tunnel or of its BGP session.
type Notice struct {
	At     time.Time `json:"at"`
	Tunnel string    `json:"tunnel"`
	BGP    bool      `json:"bgp,omitempty"`
	Up     bool      `json:"up,omitempty"` // of BGP: the session was established
	Text   string    `json:"text"`
}

// maxNotices bounds the notices that wait to be taken; the oldest go first.
const maxNotices = 256

// The attributes by which a gateway says what a record is about, and what it says
// when a session is established.
const (
	tunnelKey = "tunnel"
	peerKey   = "peer" // a BGP peer has the name of its tunnel
	prefixKey = "prefix"
	saysUp    = "BGP session established"
)

// A Handler is a slog.Handler that hands records on and gathers those of tunnels.
// Make one with NewHandler.
type Handler struct {
	next   slog.Handler
	tunnel string
	bgp    bool
	box    *box
}

// A box is what all Handlers of one gateway gather.
type box struct {
	mu      sync.Mutex
	waiting []Notice
	lost    int
}

// NewHandler returns a handler that hands on to next.
func NewHandler(next slog.Handler) *Handler { return &Handler{next: next, box: &box{}} }

// Take returns the notices since the last call, the oldest first.
func (h *Handler) Take() []Notice {
	b := h.box
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.waiting
	if b.lost > 0 && len(out) > 0 {
		out[0].Text = fmt.Sprintf("%s (%d events before it are lost)", out[0].Text, b.lost)
	}
	b.waiting, b.lost = nil, 0
	return out
}

// Enabled is that of slog.Handler. A tunnel's own logger is heard at any level:
// that a rekeying collided is said at Debug.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.hears(level) || h.next.Enabled(ctx, level)
}

func (h *Handler) hears(level slog.Level) bool { return level >= slog.LevelInfo || h.tunnel != "" }

// WithGroup is that of slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	other := *h
	other.next = h.next.WithGroup(name)
	return &other
}

// WithAttrs is that of slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	other := *h
	other.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		other.about(a)
	}
	return &other
}

// about notes what a says a record is of, and reports whether it does.
func (h *Handler) about(a slog.Attr) bool {
	switch a.Key {
	case tunnelKey:
		h.tunnel, h.bgp = a.Value.String(), false
	case peerKey:
		h.tunnel, h.bgp = a.Value.String(), true
	default:
		return false
	}
	return true
}

// Handle is that of slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if h.hears(r.Level) {
		h.gather(r)
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// gather keeps r if it is of a tunnel.
func (h *Handler) gather(r slog.Record) {
	of := *h
	parts, aboutRoute := []string{r.Message}, false
	r.Attrs(func(a slog.Attr) bool {
		aboutRoute = aboutRoute || a.Key == prefixKey
		// A tunnel's own logger has said whose it is; its peer is an IKE identity.
		if (h.tunnel != "" || !of.about(a)) && a.Value.String() != "" {
			parts = append(parts, a.Key+": "+a.Value.String())
		}
		return true
	})
	if of.tunnel == "" || aboutRoute {
		return // the status tells what peers do with routes
	}
	n := Notice{At: r.Time, Tunnel: of.tunnel, BGP: of.bgp, Up: of.bgp && r.Message == saysUp, Text: strings.Join(parts, ", ")}
	b := h.box
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == maxNotices {
		b.waiting, b.lost = b.waiting[1:], b.lost+1
	}
	b.waiting = append(b.waiting, n)
}
