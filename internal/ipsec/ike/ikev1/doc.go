// Package ikev1 is IKE version 1 (RFC 2407 to 2409): main mode and quick mode
// of one tunnel as a passive machine, with NAT traversal (RFC 3947) and dead
// peer detection (RFC 3706).
//
// It speaks main mode only, and refuses aggressive mode. It holds no socket,
// goroutine, clock or logger. Packages tunnel and dual own its machines.
package ikev1
