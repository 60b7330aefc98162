package ikev2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// askSync has a ask b to agree on message ids, in the words of the test, and
// returns b's answer, nil if there is none.
func askSync(t *testing.T, d *duo, data []byte) []byte {
	t.Helper()
	s := d.a.current
	out, err := wire.Seal(s.header(wire.Informational, 0, false), []wire.Payload{&wire.Notify{Type: wire.MessageIDSync, Data: data}}, s.seal)
	if err != nil {
		t.Fatal(err)
	}
	sent := len(d.Sent)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: out})
	if len(d.Sent) == sent {
		return nil
	}
	msg, err := wire.Parse(d.Sent[sent].Data)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Header.MessageID != 0 || msg.Header.Flags&ike.FlagResponse == 0 {
		t.Errorf("got message id %d, flags %x, want a response with id 0", msg.Header.MessageID, msg.Header.Flags)
	}
	list, _, err := wire.Open(msg, s.open)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := wire.FindNotify(list, wire.MessageIDSync)
	if !ok {
		t.Fatalf("answer %v has no IKEV2_MESSAGE_ID_SYNC", list)
	}
	return n.Data
}

var syncNonce = []byte{1, 2, 3, 4}

func TestMessageIDsAreAgreedAnew(t *testing.T) {
	d := upDuo(t, nil)
	next, expect := d.b.current.window.next, d.b.current.window.expect
	got := askSync(t, d, syncData(syncNonce, expect+5, next+7))
	if want := syncData(syncNonce, next+7, expect+5); !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x: the nonce, and the higher of both proposals", got, want)
	}
	d.a.current.window.next, d.a.current.window.expect = expect+5, next+7
	if answer := d.say(t, wire.Informational); answer != nil {
		t.Errorf("a request with the agreed id: got %v, want an empty answer", answer)
	}
	d.Step(1, ike.RekeyChild{})
	d.Run()
	if err := d.Traffic(); err != nil || d.b.State().Rekeys != 1 {
		t.Errorf("a rekey with the other agreed id: got %d rekeys, %v", d.b.State().Rekeys, err)
	}
}

func TestOldAndMalformedWishesForMessageIDsAreDropped(t *testing.T) {
	d := upDuo(t, nil)
	expect := d.b.current.window.expect
	first := syncData(syncNonce, expect, 0)
	if askSync(t, d, first) == nil {
		t.Fatal("the first was not answered")
	}
	before := d.b.current.window
	for name, data := range map[string][]byte{
		"the same again":       first,
		"another nonce":        syncData([]byte{9, 9, 9, 9}, expect, 0),
		"an id that was used":  syncData(syncNonce, expect-1, 0),
		"too far ahead":        syncData(syncNonce, expect+maxSyncJump+1, 0),
		"too far ahead for us": syncData(syncNonce, expect+1, maxSyncJump+100),
		"short":                first[:syncLen-1],
		"long":                 append(bytes.Clone(first), 0),
		"empty":                nil,
	} {
		if got := askSync(t, d, data); got != nil {
			t.Errorf("%s: got %x, want nothing", name, got)
		}
		if now := d.b.current.window; now.next != before.next || now.expect != before.expect {
			t.Errorf("%s: the window moved from %d, %d to %d, %d", name, before.next, before.expect, now.next, now.expect)
		}
	}
	if askSync(t, d, syncData(syncNonce, expect+1, 0)) == nil {
		t.Error("the next one was not answered")
	}
}

func TestMessageIDsAreNotAgreedAnewUnlessBothEndsCan(t *testing.T) {
	for i := range 2 {
		d := upDuo(t, func(a, b *policy.Config) { []*policy.Config{a, b}[i].Extensions.NoMessageIDSync = true })
		if got := askSync(t, d, syncData(syncNonce, d.b.current.window.expect+5, 0)); got != nil {
			t.Errorf("end %d without: got %x, want nothing", i, got)
		}
		if d.a.current.ext.sync.on || d.b.current.ext.sync.on {
			t.Errorf("end %d without: agreed all the same", i)
		}
	}
}

// TestRequestUnderWayIsAskedAnewAfterMessageIDsChanged: its id is spent, and the
// peer would wait for ever.
func TestRequestUnderWayIsAskedAnewAfterMessageIDsChanged(t *testing.T) {
	d := upDuo(t, nil)
	d.Step(1, ike.RekeyChild{})
	d.Queue = nil // a never sees it
	f := d.b.current.window.out
	got := askSync(t, d, syncData(syncNonce, d.b.current.window.expect+1, f.id))
	if send := binary.BigEndian.Uint32(got[syncNonceLen:]); send != f.id+1 {
		t.Errorf("got next id %d, want %d: %d was used", send, f.id+1, f.id)
	}
	if again := d.b.current.window.out; again == nil || again.id != f.id+1 {
		t.Fatalf("got %+v under way, want the rekey with id %d", again, f.id+1)
	}
	d.a.current.window.next++
	d.a.current.window.expect = f.id + 1
	d.Run()
	if err := d.Traffic(); err != nil || d.b.State().Rekeys != 1 {
		t.Errorf("got %d rekeys, %v, want the rekey done", d.b.State().Rekeys, err)
	}
}

// TestReplayedAnswerDoesNotEndTheWishForMessageIDs: the answer has id 0, and so
// had the first one on an SA that was rekeyed, or an answer to an earlier wish.
// Anybody can repeat those.
func TestReplayedAnswerDoesNotEndTheWishForMessageIDs(t *testing.T) {
	for name, list := range map[string][]wire.Payload{
		"a sign of life": nil,
		"another nonce":  {&wire.Notify{Type: wire.MessageIDSync, Data: syncData([]byte{9, 9, 9, 9}, 500, 500)}},
		"too short":      {&wire.Notify{Type: wire.MessageIDSync, Data: []byte{1}}},
	} {
		d := upDuo(t, nil)
		peer := d.b.current
		old, err := wire.Seal(peer.header(wire.Informational, 0, true), list, peer.seal)
		if err != nil {
			t.Fatal(err)
		}
		s := d.a.current
		d.a.sync(&turn{now: d.Now, out: &ike.Outputs{}}, s, &syncIDs{until: d.Now.Add(syncWithin)})
		f := s.window.out
		from := netip.MustParseAddrPort("192.0.2.66:4500")
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: from, Data: old})
		if d.a.current != s || s.window.out != f || len(d.Queue) > 0 {
			t.Fatalf("%s: got phase %v, %d messages, want it ignored", name, d.a.State().Phase, len(d.Queue))
		}
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: f.data[0]})
		d.Run()
		if d.a.current != s || s.window.out != nil || s.window.next < syncSkip {
			t.Errorf("%s: got next id %d, want what was agreed", name, s.window.next)
		}
		if err := d.Traffic(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
