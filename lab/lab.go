// Package labfiles holds the topologies that come with Seikan, so that the
// binary needs no file beside it. It does nothing else; the command line uses
// it.
package labfiles

import _ "embed"

// SystemOverviewName is what errors call the embedded file.
const SystemOverviewName = "system-overview.yaml"

//go:embed system-overview.yaml
var systemOverview []byte

// SystemOverview is the text of system-overview.yaml.
func SystemOverview() []byte { return append([]byte(nil), systemOverview...) }
