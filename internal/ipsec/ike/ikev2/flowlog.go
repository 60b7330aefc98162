package ikev2

import "seikan/internal/ipsec/ike/ikev2/wire"

// The steps of a CREATE_CHILD_SA exchange, which AWS's tunnel activity log tells
// one by one (vpn §6.2). They are said at debug level: whoever reads the other log
// hears of what came of them.
const (
	createRequestSent       = "CREATE_CHILD_SA request sent"
	createResponseProcessed = "CREATE_CHILD_SA response processed"
	createRequestProcessed  = "CREATE_CHILD_SA request processed"
	createResponseSent      = "CREATE_CHILD_SA response sent"
)

// tellCreate notes a step of our exchange k, if that is one.
func (t *turn) tellCreate(step string, id uint32, k task) {
	switch k.(type) {
	case *rekeyIKE:
		t.notice(levelDebug, step, "message_id", id, "for", "IKE SA")
	case *createChild:
		t.notice(levelDebug, step, "message_id", id, "for", "CHILD SA")
	}
}

// tellCreated notes that the peer's request r was answered, if it is one.
func (t *turn) tellCreated(r received) {
	if r.h.Exchange != wire.CreateChildSA {
		return
	}
	what := "CHILD SA"
	if sa, ok := wire.Find[*wire.SA](r.list); ok && len(sa.Proposals) > 0 && sa.Proposals[0].Protocol == wire.ProtoIKE {
		what = "IKE SA"
	}
	t.notice(levelDebug, createRequestProcessed, "message_id", r.h.MessageID, "for", what)
	t.notice(levelDebug, createResponseSent, "message_id", r.h.MessageID, "for", what)
}
