// Package labfiles holds the topologies that come with Seikan, so that the
// binary needs no file beside it. It does nothing else; the command line uses
// it.
package labfiles

import _ "embed"

// SystemOverview is the name of the topology that the lab has by default.
const SystemOverview = "system-overview"

//go:embed system-overview.yaml
var systemOverview []byte

//go:embed static.yaml
var static []byte

//go:embed roaming.yaml
var roaming []byte

//go:embed transit.yaml
var transit []byte

//go:embed ipv6.yaml
var ipv6 []byte

// Names are those of the topologies, the default first.
func Names() []string { return []string{SystemOverview, "static", "roaming", "transit", "ipv6"} }

// Text is the text of a topology, which is also the file lab/NAME.yaml; ok is
// false when none has that name.
func Text(name string) (text []byte, ok bool) {
	switch name {
	case SystemOverview:
		text = systemOverview
	case "static":
		text = static
	case "roaming":
		text = roaming
	case "transit":
		text = transit
	case "ipv6":
		text = ipv6
	}
	return append([]byte(nil), text...), text != nil
}
