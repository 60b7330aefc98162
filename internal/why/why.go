// Package why finds out what stands between a client and a destination behind
// a VPN: it walks the way hop by hop, from the client's question for a name to
// the program that answers, and names the first hop at fault and the setting to
// change.
//
// It is pure: Explain looks at nothing but its Evidence, which others gather,
// and never guesses at what nobody could see. It does not ask, measure, change
// or print. The command line and the lab call it.
package why

import (
	"fmt"
	"slices"
	"strings"
)

// State is what is known of a hop.
type State string

// States of a hop.
const (
	OK      State = "ok"
	Fault   State = "fault"
	Unknown State = "unknown" // nobody could look there
)

// A Step is one hop of the way.
type Step struct {
	Hop   string `json:"hop"` // "IKE", "security group"
	State State  `json:"state"`
	// Saw is what was seen there, in one line.
	Saw string `json:"saw,omitempty"`
}

// A Finding is something that stands in the way, or that will.
type Finding struct {
	// Code names the finding for programs: "psk", "propagation-off". Codes lists
	// all of them.
	Code string `json:"code"`
	Hop  string `json:"hop"`
	What string `json:"what"` // what is wrong
	// Setting is what to change, and where.
	Setting string `json:"setting"`
	// Evidence is what What rests on, one line each.
	Evidence []string `json:"evidence,omitempty"`
}

// String is the finding in one line.
func (f Finding) String() string { return fmt.Sprintf("%s: %s; %s", f.Hop, f.What, f.Setting) }

// A Verdict is the answer to an Ask.
type Verdict struct {
	Ask   Ask    `json:"ask"`
	Works *bool  `json:"works,omitempty"` // what came of trying; nil when nobody tried
	Steps []Step `json:"steps"`
	// Fault is the first hop at fault, nil when none was found.
	Fault *Finding `json:"fault,omitempty"`
	// Warnings are what does not stop this client now: what has, what will, and
	// what is slower or less safe than it could be. The most telling comes first.
	Warnings []Finding `json:"warnings,omitempty"`
}

// Line is the verdict in one line.
func (v Verdict) Line() string {
	switch {
	case v.Fault != nil:
		return v.Fault.String()
	case v.Works != nil && !*v.Works:
		return fmt.Sprintf("no hop at fault was found, and yet %s does not answer; not seen: %s", v.Ask.target(), v.unseen())
	case len(v.Warnings) > 0:
		return "nothing is in the way now, but " + v.Warnings[0].String()
	case v.Works == nil:
		return fmt.Sprintf("nothing is in the way of %s as far as can be seen; not seen: %s", v.Ask.target(), v.unseen())
	}
	return v.Ask.target() + " answers; nothing is in the way"
}

// unseen are the hops that nobody could look at.
func (v Verdict) unseen() string {
	var out []string
	for _, s := range v.Steps {
		if s.State == Unknown {
			out = append(out, s.Hop)
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

// A look is what a hop's check comes to.
type look struct {
	state   State
	saw     string
	finding *Finding
}

func fine(format string, args ...any) look {
	return look{state: OK, saw: fmt.Sprintf(format, args...)}
}
func dark(format string, args ...any) look {
	return look{state: Unknown, saw: fmt.Sprintf(format, args...)}
}
func bad(f Finding) look { return look{state: Fault, saw: f.What, finding: &f} }

// The hops in the order of the way. Hops that this way does not have, such as
// the name of a destination that is an address, return the zero look.
var hops = []struct {
	name string
	look func(Evidence) look
}{
	{"name", lookName},
	{"client's route", lookClient},
	{"customer gateway", lookCustomer},
	{"IKE", lookIKE},
	{"child SA", lookChild},
	{"BGP", lookBGP},
	{"route to the cloud", lookOut},
	{"AWS's gateway", lookCloud},
	{"transit gateway", lookTransit},
	{"route back", lookBack},
	{"both ways", lookSymmetry},
	{"VPC", lookAttachment},
	{"route table", lookTable},
	{"endpoint", lookEndpoint},
	{"security group", lookGroups},
	{"load balancer", lookBalancer},
	{"target", lookTarget},
	{"MTU", lookMTU},
}

// Explain walks the way. It goes on behind the first fault, to show what can be
// seen there, but a hop that is in order behind a fault proves nothing.
func Explain(e Evidence) Verdict {
	v := Verdict{Ask: e.Ask}
	for _, h := range hops {
		l := h.look(e)
		if l.state == "" {
			continue
		}
		if l.finding != nil {
			l.finding.Hop = h.name
			if v.Fault == nil {
				v.Fault = l.finding
			}
		}
		v.Steps = append(v.Steps, Step{Hop: h.name, State: l.state, Saw: l.saw})
	}
	if v.Fault == nil && e.Name.unknown() {
		v.Fault = noName(e)
	}
	for _, t := range e.Trials {
		if !t.Large {
			v.Works = &t.Answered
		}
	}
	v.Warnings = warnings(e)
	return v
}

// Codes are those of all findings, sorted, for programs and for tests.
func Codes() []string { return slices.Sorted(slices.Values(codes)) }

// Under reports whether a name is a zone's apex or below it, whatever the case
// and with or without the dot at the end of either.
func Under(name, zone string) bool {
	name, zone = strings.ToLower(strings.TrimSuffix(name, ".")), strings.ToLower(strings.TrimSuffix(zone, "."))
	return name == zone || strings.HasSuffix(name, "."+zone)
}
