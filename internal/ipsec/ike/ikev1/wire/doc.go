// Package wire reads and writes the messages and payloads of IKEv1 (RFC 2408,
// RFC 2407, RFC 3947, RFC 3706).
//
// Parsing is strict about lengths, bounded in counts, and aliases the message.
// It checks form, never meaning, and does no cryptography: the body of an
// encrypted message stays sealed, and what the package does not know it keeps
// as a Raw payload. Packages ikev1 and its proposal use it.
package wire
