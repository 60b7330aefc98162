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
//
// # Where to begin
//
// An event comes in by machine.go (Step), a message by receive.go, which finds
// its IKE SA (sa.go), asks the window of message ids (window.go) and hands it to
// a file for its exchange:
//
//   - IKE_SA_INIT: init.go, init_respond.go; cookie.go and halfopen.go against
//     floods, rivals.go for several answers
//   - IKE_INTERMEDIATE: intermediate.go; IKE_SESSION_RESUME: resume.go, ticket.go
//   - IKE_AUTH: auth.go with proof.go and ppk.go, then established.go
//   - CREATE_CHILD_SA: rekey_child.go and rekey_ike.go ours, respond_child.go
//     the peer's, child.go what both need; IKE_FOLLOWUP_KE: followup.go
//   - INFORMATIONAL: delete.go, live.go, mobike.go, sync.go
//
// An exchange that we begin is a task (sa.go): it waits in its SA until Step
// begins it, and is given the answer. fragment.go and nat.go are between all
// that and the wire; start.go says when to try again; export.go, restore.go and
// codec.go outlive the process.
package ikev2
