// Package ikev2 is an IKEv2 endpoint (RFC 7296) towards one peer, with a
// pre-shared key or certificates and exactly one CHILD SA, as an AWS tunnel has it.
//
// A Machine is passive: Step takes the time and an event and says what to
// send, install and report; Deadline says when it wants to be called again. It
// holds no socket, goroutine, clock or logger, and may be used by one
// goroutine at a time. Its owner is package tunnel. Every machine answers its
// peer; one with Config.Initiator also starts.
//
// A NAT keepalive (RFC 3948 section 2.3) comes out as a Datagram whose Data is
// the single octet 0xff: the owner sends it as it is, without the non-ESP
// marker.
//
// What Export gives, before the process is killed, Restore makes a machine of
// that goes on.
package ikev2
