package store

import (
	"bytes"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/secret"
)

// FuzzDecodeRow holds the decoder to its laws: it does not panic, what it
// accepts survives a round trip, and no proper prefix of a row is a row.
func FuzzDecodeRow(f *testing.F) {
	row := resource.VPNConnection{ID: "vpn-1"}
	row.Tunnels[1].PreSharedKey = secret.FromString("key")
	seed, err := encodeRow(&row)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"v":1,"row":{}}`))
	f.Add([]byte(`{"v":2,"row":{"ID":"vpn-2","New":1},"more":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var first, second resource.VPNConnection
		if decodeRow(raw, &first) != nil {
			return
		}
		again, err := encodeRow(&first)
		if err != nil {
			t.Fatalf("encode what was decoded from %q: %v", raw, err)
		}
		if err := decodeRow(again, &second); err != nil {
			t.Fatalf("decode %q: %v", again, err)
		}
		if third, err := encodeRow(&second); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("round trip: got %q, %v, want %q", third, err, again)
		}
		whole := bytes.TrimRight(raw, " \t\r\n")
		for n := range whole {
			if decodeRow(whole[:n], &second) == nil {
				t.Fatalf("accepted %d of the %d bytes of %q", n, len(whole), raw)
			}
		}
	})
}

func TestDecodeToleratesWhatANewerProgramWrote(t *testing.T) {
	var row resource.VPC
	err := decodeRow([]byte(`{"v":9,"row":{"ID":"vpc-1","Invented":{"Later":true}},"extra":0}`), &row)
	if err != nil || row.ID != "vpc-1" {
		t.Errorf("got %+v, %v, want vpc-1", row, err)
	}
}

func TestDecodeRefusesWhatIsNoRow(t *testing.T) {
	for _, raw := range []string{``, `{}`, `[]`, `{"v":0,"row":{}}`, `{"v":1}`, `{"v":1,"row":7}`} {
		var row resource.VPC
		if decodeRow([]byte(raw), &row) == nil {
			t.Errorf("decodeRow(%q): got nil, want an error", raw)
		}
	}
}
