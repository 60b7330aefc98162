package server

import (
	"context"
	"encoding/binary"

	"github.com/miekg/dns"
)

// respond turns one received message into the reply to send, of at most limit
// octets, or nil when it deserves none.
func (s *Server) respond(ctx context.Context, packet []byte, limit int) []byte {
	const headerLen = 12
	if len(packet) < headerLen || packet[2]&0x80 != 0 {
		// Answering a reply would let two servers talk for ever.
		s.count.malformed.Add(1)
		return nil
	}
	q := new(dns.Msg)
	if err := q.Unpack(packet); err != nil {
		s.count.malformed.Add(1)
		return formatError(packet)
	}
	reply, answerable := refuse(q)
	if answerable {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.QueryTimeout)
		defer cancel()
		if reply = s.cfg.Answerer.Answer(ctx, q); reply == nil {
			reply = &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
		}
	}
	return s.finish(q, reply, limit)
}

// refuse looks at what a question asks for before anybody works on it. It
// returns the reply to a question that is not answerable.
func refuse(q *dns.Msg) (reply *dns.Msg, answerable bool) {
	with := func(rcode int) (*dns.Msg, bool) {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: rcode}}, false
	}
	if q.Opcode != dns.OpcodeQuery {
		return with(dns.RcodeNotImplemented)
	}
	if len(q.Question) != 1 {
		// RFC 9619 §4: a query with QDCOUNT above 1 is answered FORMERR.
		return with(dns.RcodeFormatError)
	}
	if opt := q.IsEdns0(); opt != nil && opt.Version() != 0 {
		// "[…] BADVERS". https://www.rfc-editor.org/rfc/rfc6891#section-6.1.3
		return with(dns.RcodeBadVers)
	}
	if q.Question[0].Qclass != dns.ClassINET {
		return with(dns.RcodeRefused)
	}
	switch q.Question[0].Qtype {
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB, dns.TypeOPT:
		return with(dns.RcodeRefused)
	}
	return nil, true
}

// finish fills in what every reply carries, makes it fit and packs it.
func (s *Server) finish(q, reply *dns.Msg, limit int) []byte {
	out := &dns.Msg{
		MsgHdr: dns.MsgHdr{
			Id: q.Id, Response: true, Opcode: q.Opcode, Rcode: reply.Rcode,
			RecursionDesired: q.RecursionDesired, RecursionAvailable: true,
			CheckingDisabled: q.CheckingDisabled, Truncated: reply.Truncated,
		},
		Compress: true,
		Question: q.Question,
		Answer:   reply.Answer,
		Ns:       reply.Ns,
	}
	size := dns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
		out.SetEdns0(maxUDP, opt.Do())
	}
	if limit != maxTCP {
		limit = min(limit, size)
	}
	before := len(out.Answer) + len(out.Ns)
	out.Truncate(limit)
	if len(out.Answer)+len(out.Ns) < before {
		s.count.truncated.Add(1)
	}
	packed, err := out.Pack()
	if err != nil || len(packed) > limit {
		return s.failure(q)
	}
	s.count.queries.Add(1)
	return packed
}

// failure is the reply when a reply cannot be packed: our fault, said shortly.
func (s *Server) failure(q *dns.Msg) []byte {
	packed, err := (&dns.Msg{MsgHdr: dns.MsgHdr{
		Id: q.Id, Response: true, Opcode: q.Opcode, RecursionDesired: q.RecursionDesired,
		RecursionAvailable: true, Rcode: dns.RcodeServerFailure,
	}}).Pack()
	if err != nil {
		return nil
	}
	s.count.queries.Add(1)
	return packed
}

// formatError is a reply of nothing but a header: what follows the header of
// the question could not be read.
func formatError(packet []byte) []byte {
	reply := make([]byte, 12)
	copy(reply, packet[:2])
	flags := binary.BigEndian.Uint16(packet[2:4])
	const response, opcode, recursionDesired = 1 << 15, 0xf << 11, 1 << 8
	binary.BigEndian.PutUint16(reply[2:4], response|flags&(opcode|recursionDesired)|dns.RcodeFormatError)
	return reply
}
