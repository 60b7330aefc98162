// Package ikev1 is an IKEv1 endpoint (RFC 2407 to 2409) towards one peer: main
// mode with a pre-shared key or certificates, and quick mode for exactly one
// CHILD SA, as an AWS tunnel has it, with NAT traversal (RFC 3947) and dead peer
// detection (RFC 3706).
//
// A Machine is passive: Step takes the time and an event and says what to
// send, install and report; Deadline says when it wants to be called again. It
// holds no socket, goroutine, clock or logger, and may be used by one
// goroutine at a time. Packages tunnel and dual own its machines. Every machine
// answers its peer; one with Config.Initiator also starts. Aggressive mode and
// transactions (XAUTH, mode config) are refused.
//
// CHILD SAs belong to the machine, not to an ISAKMP SA: they live on when that
// is replaced, or deleted alone. Keepalives are as in package ikev2.
package ikev1
