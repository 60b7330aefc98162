// Package device writes the configuration of a customer gateway for devices of
// others, as AWS's GetVpnConnectionDeviceSampleConfiguration does, but of the
// connection's true options: its suites, lifetimes, addresses, routes or BGP,
// for a device behind NAT.
//
// A vendor is a folder below vendors: device.json says what the device is and
// what it can do, in its own words, and templates write its files. What a device
// cannot do is refused by name rather than left out, and what its files do not say
// of the connection stands at their head. The text holds the
// pre-shared keys, which one function reveals, quoted for the syntax they stand
// in.
//
// The package opens no file and no socket, starts nothing and reads no clock.
// The command line calls it, and the API that speaks as AWS does.
package device

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed common/*.tmpl vendors/*/device.json vendors/*/*.tmpl
var vendors embed.FS

// A Type is a kind of device, as GetVpnConnectionDeviceTypes lists it (vpn §7.1).
type Type struct {
	// ID is AWS's kind of identifier, eight hexadecimal digits that never change;
	// Name is the folder, for people.
	ID, Name                   string
	Vendor, Platform, Software string
	// IKE are the versions it speaks, the better first; Routing is bgp, static or
	// both.
	IKE     []string
	Routing []string
	// Run says that our tests run the device with what is written here. What is
	// not run is checked against the vendor's published grammar only.
	Run bool
	// Notes are what the user must know or do, a line each.
	Notes []string

	spec spec
}

// A spec is what templates and checks need of a device.
type spec struct {
	Interface string   // of the outside, unless the user names another
	Files     []target // what is written
	Quote     string   // how a pre-shared key is quoted: a name of quoting.go
	MaxPSK    int      // characters; 0 means those of AWS
	Phase1    words
	Phase2    words
	// Phase1v1 and Phase2v1 stand in for those above with IKEv1, where they differ.
	Phase1v1, Phase2v1 *words
	One                bool // takes one suite in each phase, not a list
	Same               bool // takes the same suites for all tunnels
	Selectors          bool // can narrow what a tunnel carries
	ForceEncap         bool // can put ESP into UDP though it sees no NAT
	NeedsLocal         bool // must be told its own address
	Names              bool // can have an identity that is a name
	Two                bool // wants exactly two tunnels, as AWS has
	AnyPeer            bool // says nothing of IKE: suites and keys are no matter
	BGPApart           bool // BGP is another device's matter
	OwnIdentity        bool // its identity is its own address, whatever it is told
	Policies           bool // has no tunnel interface: one network at each end

	rare // in device.json its fields stand among the others
}

// rare is what few connections ask for, and few devices are told.
type rare struct {
	// Describes is of a format that says what a connection is, not how a device runs
	// it: of one without keys or not yet at a gateway, too, if Connection.Describe
	// says so.
	Describes bool
	Outside6  bool // its outside address may be one of IPv6
	Inside6   bool // its tunnels may carry IPv6
	BFD       bool // can watch the path of a BGP session by BFD
	// OwnIdentityV1 is OwnIdentity with IKEv1 only.
	OwnIdentityV1 bool
}

// BFD reports whether a device can be told to watch the paths of BGP sessions by
// BFD. What cannot refuses a connection that asks for it.
func (t Type) BFD() bool { return t.Name == ownName || t.spec.BFD || t.spec.BGPApart }

// A target is one file: its template, and where it goes, which is a template,
// too.
type target struct{ Template, Path string }

// words are the device's own for AWS's names of algorithms, and for the numbers
// of groups. What is not there the device cannot do.
type words struct {
	Encryption, Integrity, Groups map[string]string
}

// file is the shape of device.json.
type file struct {
	ID, Vendor, Platform, Software string
	IKE, Routing                   []string
	Run                            bool
	Notes                          []string
	Device                         spec
}

// Types are all devices, by vendor and name.
func Types() ([]Type, error) {
	folders, err := fs.ReadDir(vendors, "vendors")
	if err != nil {
		return nil, err
	}
	var out []Type
	for _, f := range folders {
		t, err := load(f.Name())
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", f.Name(), err)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Type) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Vendor), strings.ToLower(b.Vendor)), strings.Compare(a.Name, b.Name))
	})
	return out, nil
}

func load(name string) (Type, error) {
	b, err := vendors.ReadFile(path.Join("vendors", name, "device.json"))
	if err != nil {
		return Type{}, err
	}
	var f file
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return Type{}, err
	}
	return Type{ID: f.ID, Name: name, Vendor: f.Vendor, Platform: f.Platform, Software: f.Software,
		IKE: f.IKE, Routing: f.Routing, Run: f.Run, Notes: f.Notes, spec: f.Device}, nil
}

// ErrUnknown is why Find fails.
var ErrUnknown = errors.New("no such device")

// Find is the device of an ID or a name.
func Find(id string) (Type, error) {
	all, err := Types()
	if err != nil {
		return Type{}, err
	}
	var names []string
	for _, t := range all {
		if t.ID == id || t.Name == id {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Type{}, fmt.Errorf("device %q: %w; there are %s", id, ErrUnknown, strings.Join(names, ", "))
}
