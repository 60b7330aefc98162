package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sample is a packet laid out by hand from the figure of RFC 5880 section 4.1:
// version 1, "control detection time expired"; Init, P, C; multiplier 3, 24
// octets; discriminators 0x11223344 and 0x55667788; 1 s, 300 ms, no echo.
const sample = "21" + "a8" + "03" + "18" + "11223344" + "55667788" + "000f4240" + "000493e0" + "00000000"

func TestPacketIsThatOfTheRFC(t *testing.T) {
	want := Packet{Diag: Expired, State: Init, Poll: true, Independent: true, DetectMult: 3, MyDisc: 0x11223344, YourDisc: 0x55667788, DesiredMinTx: time.Second, RequiredMinRx: 300 * time.Millisecond}
	got, err := Parse(unhex(t, sample))
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if b := want.Append(nil); !bytes.Equal(b, unhex(t, sample)) {
		t.Errorf("got %x, want %s", b, sample)
	}
	if got, err := Parse(append(unhex(t, sample), 1, 2)); err != nil || got != want {
		t.Errorf("with what follows: got %+v, %v", got, err)
	}
}

func TestWrongPacketsAreRefused(t *testing.T) {
	for at, tt := range map[int]struct {
		set  byte
		want error
	}{
		0: {0x01, errVersion}, 1: {0xac, errAuth}, 2: {0, errZero}, 3: {23, errShort},
	} {
		b := unhex(t, sample)
		b[at] = tt.set
		if _, err := Parse(b); !errors.Is(err, tt.want) {
			t.Errorf("octet %d is %#x: got %v, want %v", at, tt.set, err, tt.want)
		}
	}
	b := unhex(t, sample)
	b[1] |= flagMultipoint
	if _, err := Parse(b); !errors.Is(err, errMultipoint) {
		t.Errorf("multipoint: got %v", err)
	}
	b = unhex(t, sample)
	clear(b[4:8])
	if _, err := Parse(b); !errors.Is(err, errZero) {
		t.Errorf("without discriminator: got %v", err)
	}
	for n := range headerSize {
		if _, err := Parse(unhex(t, sample)[:n]); !errors.Is(err, errShort) {
			t.Errorf("%d octets: got %v, want %v", n, err, errShort)
		}
	}
}

// FuzzPacket holds the codec and the machine to their laws: what is taken is
// written as it was read, and whatever comes, the session answers in bounds and
// has a deadline that is not long ago.
func FuzzPacket(f *testing.F) {
	f.Add(unhex(f, sample))
	f.Add(append(unhex(f, sample), unhex(f, sample)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		now := time.Unix(1000, 0)
		m := New(Config{Interval: 50 * time.Millisecond, Multiplier: 2, Discriminator: 0x55667788, Random: func() float64 { return 0 }}, now)
		for len(in) > 0 {
			p, err := Parse(in)
			if err != nil {
				return
			}
			if got := p.Append(nil); !bytes.Equal(got, in[:headerSize]) {
				t.Fatalf("got %x, want %x", got, in[:headerSize])
			}
			out := m.Step(now, &p, nil)
			if len(out) > 2 {
				t.Fatalf("%d packets for one", len(out))
			}
			for _, o := range out {
				if _, err := Parse(o.Append(nil)); err != nil {
					t.Fatalf("%+v: %v", o, err)
				}
			}
			m.Step(now, nil, nil)
			if d := m.Deadline(); d.Before(now) {
				t.Fatalf("deadline %v at %v", d, now)
			}
			in, now = in[headerSize:], now.Add(20*time.Millisecond)
		}
	})
}
