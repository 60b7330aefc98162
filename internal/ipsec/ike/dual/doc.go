// Package dual is one endpoint that speaks both versions of IKE with its peer:
// it answers in the version it is spoken to, and begins with IKEv2 before it
// falls back to IKEv1.
//
// It holds one machine of each version and no state of its own beyond which of
// them has the tunnel. Package gateway makes its machines.
package dual
