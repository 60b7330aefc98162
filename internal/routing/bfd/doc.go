// Package bfd is Bidirectional Forwarding Detection (RFC 5880) over one hop (RFC
// 5881): two ends that tell each other several times a second that they hear
// each other, and so know at once when they do not.
//
// It has the control packet and the session as a passive machine: what came and
// the time go in, what is to be sent comes out. Asynchronous mode in the active
// role; there is no authentication, no demand mode and no echo function, and a
// peer that asks for them is told that we do not. The package opens no socket and
// reads no clock. Package hop has the sockets; package gateway reads Status.
package bfd
