// Package wire reads and writes the payloads of IKEv1 (RFC 2408, RFC 2407,
// RFC 3947, RFC 3706).
//
// It checks form, never meaning, and does no cryptography. The packages above
// it in ikev1 use it.
package wire
