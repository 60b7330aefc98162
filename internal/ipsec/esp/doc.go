// Package esp seals and opens ESP packets in tunnel mode (RFC 4303) in place.
//
// An Outbound and an Inbound hold the keys, the sequence number and the replay
// window of one direction of one CHILD SA: AES-GCM-16 (RFC 4106),
// ChaCha20-Poly1305 (RFC 7634), or AES-CBC (RFC 3602) with HMAC-SHA1-96 (RFC 2404) or HMAC-SHA2 (RFC 4868), with or
// without extended sequence numbers. MTU and MSS say how large an inner packet
// may be (vpn §3.5).
//
// It does no I/O, starts no goroutine, reads no clock, logs nothing and, once
// an SA is made, allocates nothing. UDP encapsulation is the socket's business:
// what is sealed and opened begins with the SPI.
//
// Concurrency: an Outbound and an Inbound are each used by one goroutine at a
// time. Only Outbound.Sequence and Inbound.Failures may be called from any
// goroutine. Package dataplane is the caller; tunnel and gateway use the sizes.
package esp
