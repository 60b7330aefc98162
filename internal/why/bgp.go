package why

import (
	"fmt"
	"strings"
)

// lookBGP says why no session stands over a tunnel that is up.
func lookBGP(e Evidence) look {
	end := e.Customer
	if end == nil || end.Error != "" {
		end = e.Cloud
	}
	if end == nil || end.Error != "" {
		return dark("no gateway could be asked")
	}
	if !end.BGP {
		if e.Connection != nil && !e.Connection.Static {
			return bad(Finding{Code: "bgp-missing", What: fmt.Sprintf("the connection is dynamic, but %s speaks no BGP", end.Name),
				Setting: "configure BGP at the customer gateway, or make a connection with StaticRoutesOnly"})
		}
		return look{} // static routes: no such hop
	}
	up := end.up()
	if len(up) == 0 {
		return dark("no tunnel is up")
	}
	var first *Finding
	for _, i := range up {
		f := sessionFault(e, end, i)
		if f == nil {
			return fine("established over tunnel %d, %d prefixes received", i+1, end.Tunnels[i].Session.Received)
		}
		if first == nil {
			first = f
		}
	}
	return bad(*first)
}

// sessionFault says why the session over tunnel i, which is up, is not; nil
// when it is.
func sessionFault(e Evidence, end *Gateway, i int) *Finding {
	ours := end.Tunnels[i]
	s := ours.Session
	if s == nil {
		return &Finding{Code: "bgp-missing", What: fmt.Sprintf("tunnel %d is up, but %s has no BGP session for it", i+1, end.Name),
			Setting: "give the tunnel its BGP peer: the inside address and ASN of the AWS end"}
	}
	if s.State == "Established" {
		return nil
	}
	f := &Finding{Evidence: []string{fmt.Sprintf("%s: session %s; last error: %s", ours.ID, s.State, orElse(s.LastError, "none"))}}
	err := s.LastError
	theirs, seen := e.Cloud.at(i)
	if seen && theirs.Session != nil {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: session %s; last error: %s", e.Cloud.Name, theirs.Session.State, orElse(theirs.Session.LastError, "none")))
		err += " " + theirs.Session.LastError
	}
	seen = seen && end == e.Customer
	at := fmt.Sprintf("tunnel %d is up, but its BGP session is %s", i+1, s.State)
	switch {
	case seen && swapped(ours, theirs):
		f.Code = "inside-swapped"
		f.What = fmt.Sprintf("%s: we are %v towards %v, but AWS's end is %v towards %v", at, ours.InsideLocal, ours.InsideRemote, theirs.InsideLocal, theirs.InsideRemote)
		f.Setting = "give each tunnel the inside addresses of its own outside address: take AWS's file as it is, for its tunnels come in any order"
	case strings.Contains(err, "6/1"):
		most := "100"
		if e.Transit != nil {
			most = "1,000" // vpn §4.5
		}
		f.Code, f.What = "prefix-limit", at+": more prefixes were announced than AWS takes ("+most+" from a customer gateway)"
		f.Setting = "announce aggregates, at most " + most + " prefixes"
	case strings.Contains(err, "2/2") || asnMismatch(e, s):
		f.Code, f.What = "asn", fmt.Sprintf("%s: the ends do not agree on their ASNs", at)
		f.Setting = fmt.Sprintf("set the customer gateway's ASN to the registered one and its peer's to that of the AWS side%s", asns(e))
	case e.Customer != nil && e.Cloud != nil && e.Customer.ASN != 0 && e.Customer.ASN == e.Cloud.ASN:
		f.Code, f.What = "asn", fmt.Sprintf("%s: both ends have the ASN %d", at, e.Customer.ASN)
		f.Setting = "give the customer gateway an ASN of its own"
	default:
		f.Code, f.What = "bgp-tcp", at+": no TCP connection comes about between the inside addresses"
		f.Setting = fmt.Sprintf("let TCP 179 pass between %v and %v at the customer gateway's host", ours.InsideLocal, ours.InsideRemote)
	}
	return f
}

// swapped reports whether the ends of a tunnel have inside addresses that do not
// belong together.
func swapped(ours, theirs Tunnel) bool {
	if !ours.InsideLocal.IsValid() || !theirs.InsideLocal.IsValid() {
		return false
	}
	return ours.InsideRemote.IsValid() && ours.InsideRemote != theirs.InsideLocal || theirs.InsideRemote.IsValid() && theirs.InsideRemote != ours.InsideLocal
}

func asnMismatch(e Evidence, s *Session) bool {
	return e.Cloud != nil && e.Cloud.ASN != 0 && s.PeerASN != 0 && e.Customer != nil && s.PeerASN != e.Cloud.ASN ||
		e.Connection != nil && e.Customer != nil && e.Connection.CustomerASN != 0 && e.Customer.ASN != 0 && e.Connection.CustomerASN != e.Customer.ASN
}

// asns are the right ones, where they are known.
func asns(e Evidence) string {
	if e.Connection == nil || e.Cloud == nil || e.Connection.CustomerASN == 0 || e.Cloud.ASN == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d and %d)", e.Connection.CustomerASN, e.Cloud.ASN)
}
