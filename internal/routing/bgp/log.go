package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// What GoBGP 4.8 says that we listen to: it tells of notifications, and of
// connections that fail, nowhere but in its log. TestSessionTellsWhatEndedIt and
// others fail when it says something else.
const (
	saysSent     = "sent notification"
	saysReceived = "received notification"
	saysDialing  = "failed to connect"
	saysUp       = "Peer Up"
	saysDown     = "Peer Down"
)

// A bridge is the logger of GoBGP: it notes what ends sessions, and hands the
// rest on for those who debug.
type bridge struct {
	speaker *Speaker
	next    slog.Handler
	key     string // the peer's address
}

// Enabled is true for all: what is listened to is said at any level.
func (b bridge) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup is that of slog.Handler; GoBGP uses none.
func (b bridge) WithGroup(name string) slog.Handler {
	b.next = b.next.WithGroup(name)
	return b
}

// WithAttrs is that of slog.Handler.
func (b bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "Key" {
			b.key = a.Value.String()
		}
	}
	b.next = b.next.WithAttrs(attrs)
	return b
}

// Handle is that of slog.Handler.
func (b bridge) Handle(ctx context.Context, r slog.Record) error {
	if addr, err := netip.ParseAddr(b.key); err == nil {
		b.hear(addr, r)
	}
	level := slog.LevelDebug // we say ourselves what is worth more
	if r.Level >= slog.LevelError {
		level = slog.LevelWarn
	}
	if !b.next.Enabled(ctx, level) {
		return nil
	}
	r.Level, r.Message = level, "gobgp: "+r.Message
	return b.next.Handle(ctx, r)
}

// hear notes what r says of the peer at addr.
func (b bridge) hear(addr netip.Addr, r slog.Record) {
	switch r.Message {
	case saysSent, saysReceived:
		text := "sent "
		if r.Message == saysReceived {
			text = "received "
		}
		b.speaker.note(addr, func(n *note) {
			n.ended = true
			n.fail(text + notification(number(r, "Code"), number(r, "Subcode")))
			if number(r, "Code") == fsmError && r.Message == saysSent {
				n.lastError += ": " + refused(b.speaker.want.ASN)
			}
			b.speaker.log.Warn("BGP notification", "peer", n.name, "what", n.lastError)
		})
	case saysDialing:
		b.speaker.note(addr, func(n *note) { n.fail("connecting: " + word(r, "Error")) })
	case saysUp:
		b.speaker.note(addr, func(n *note) {
			n.fresh, n.ended, n.established, n.since, n.complete = n.ended, false, true, time.Now(), false
			b.speaker.log.Info("BGP session established", "peer", n.name)
		})
	case saysDown:
		b.speaker.note(addr, func(n *note) {
			n.established, n.since, n.complete = false, time.Now(), false
			if !n.ended {
				n.fail("the connection broke")
			}
			b.speaker.log.Warn("BGP session ended", "peer", n.name, "reason", n.lastError)
		})
	}
}

// fsmError is the code of a NOTIFICATION after a message out of turn. GoBGP sends
// it after a NOTIFICATION that comes instead of an OPEN, too, and hides that one.
const fsmError = 5

// refused is the reason when a peer broke off before there was a session.
func refused(own uint32) string {
	return fmt.Sprintf("the peer broke off while the session was opened; as a rule it expects another ASN than ours, %d, and its log says so", own)
}

// fail remembers why there is no session.
func (n *note) fail(reason string) { n.lastError, n.lastErrorAt = reason, time.Now() }

// note changes what is noted of the peer at addr, if it is one.
func (s *Speaker) note(addr netip.Addr, change func(*note)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.notes[addr.Unmap()]; n != nil {
		change(n)
		signal(s.dirty)
	}
}

// number is the integer that r calls key.
func number(r slog.Record, key string) (out int64) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key && a.Value.Kind() == slog.KindInt64 {
			out = a.Value.Int64()
		}
		return a.Key != key
	})
	return out
}

// word is the text that r calls key.
func word(r slog.Record, key string) (out string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			out = a.Value.String()
		}
		return a.Key != key
	})
	return out
}

// notification names a NOTIFICATION as AWS's log does: "6/1 (Cease/Maximum
// Number of Prefixes Reached)".
func notification(code, subcode int64) string {
	name, sub := "Unknown", ""
	for _, c := range codes {
		if c.code == code {
			name = c.name
			if int(subcode) < len(c.sub) {
				sub = c.sub[subcode]
			}
		}
	}
	if sub != "" {
		name += "/" + sub
	}
	return fmt.Sprintf("%d/%d (%s)", code, subcode, name)
}

// codes are the errors of NOTIFICATION messages: RFC 4271 sections 4.5 and 6,
// RFC 4486, RFC 5492, RFC 6608, RFC 7313, RFC 8538 and RFC 9234.
var codes = []struct {
	code int64
	name string
	sub  []string
}{
	{1, "Message Header Error", []string{"", "Connection Not Synchronized", "Bad Message Length", "Bad Message Type"}},
	{2, "OPEN Message Error", []string{"", "Unsupported Version Number", "Bad Peer AS", "Bad BGP Identifier", "Unsupported Optional Parameter", "", "Unacceptable Hold Time", "Unsupported Capability", "", "", "", "Role Mismatch"}},
	{3, "UPDATE Message Error", []string{"", "Malformed Attribute List", "Unrecognized Well-known Attribute", "Missing Well-known Attribute", "Attribute Flags Error", "Attribute Length Error", "Invalid ORIGIN Attribute", "", "Invalid NEXT_HOP Attribute", "Optional Attribute Error", "Invalid Network Field", "Malformed AS_PATH"}},
	{4, "Hold Timer Expired", nil},
	{5, "Finite State Machine Error", []string{"", "Unexpected Message in OpenSent State", "Unexpected Message in OpenConfirm State", "Unexpected Message in Established State"}},
	{6, "Cease", []string{"", "Maximum Number of Prefixes Reached", "Administrative Shutdown", "Peer De-configured", "Administrative Reset", "Connection Rejected", "Other Configuration Change", "Connection Collision Resolution", "Out of Resources", "Hard Reset", "BFD Down"}},
	{7, "ROUTE-REFRESH Message Error", []string{"", "Invalid Message Length"}},
}
