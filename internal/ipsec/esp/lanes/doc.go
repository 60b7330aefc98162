// Package lanes does AES-CBC and HMAC-SHA-256 for several packets at once.
//
// Both are chains: within one packet each step waits for the one before, and a
// processor that could do several waits, too. So a CBC encrypts up to eight
// messages, and an HMAC256 hashes two, side by side, with the instructions that
// x86-64 has for AES and SHA-256. CBC decryption is no chain; there the blocks of
// one message go side by side. Where the instructions are missing, the standard
// library does the work, message by message, with the same result.
//
// It does not say what is encrypted before what is hashed, compares nothing and
// makes no IVs: that is package esp, the only caller. Nothing branches on or
// indexes with keys or content. Once a CBC or an HMAC256 is made, it allocates
// nothing. One goroutine at a time may use either.
package lanes
