package ikev2

import "fmt"

// A state is the life of one IKE SA.
//
//	larval ──IKE_SA_INIT──▶ keyed ──IKE_AUTH──▶ up ──rekeyed, replaced, deleting──▶ fading
//	  │                       │                 │                                   │
//	  └───────────────────────┴────── failed, deleted, answered for the last time ──┴──▶ gone
//
// A gone SA does nothing but repeat its last response until it is forgotten.
type state uint8

const (
	larval state = iota
	keyed
	up
	fading
	gone
)

// String is the lower-case name.
func (s state) String() string {
	names := [...]string{"larval", "keyed", "up", "fading", "gone"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}
