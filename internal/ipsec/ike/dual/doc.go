// Package dual is one endpoint that speaks both versions of IKE with its peer:
// it answers in the version it is spoken to, and begins with IKEv2 before it
// falls back to IKEv1.
//
// It holds one machine of each version. The version whose SAs are made last has
// the tunnel; the machine of the other one is closed, which deletes its SAs at
// the peer, and replaced by one that remembers nothing. An initiator tries the
// versions in turn. Whoever can drop messages on the way can make it end in IKEv1:
// an end that must not has no machine of it. Package dual knows neither keys nor payloads: it reads
// headers, phases and actions. It holds no socket, goroutine, clock or logger.
// Package gateway makes its machines, package tunnel owns them.
package dual
