// Package intake takes in the file that a customer gateway is given, whichever
// of four kinds it is: our own YAML, or AWS's XML, text or JSON of a VPN
// connection. The kind is recognised by content.
//
// What AWS's files do not say is worked out and noted, or asked for: an error
// then says which flag answers. The package reads files and starts nothing; the
// command line is its only caller.
package intake

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"seikan/internal/gateway/conffile"
	"seikan/internal/site/awsconfig"
)

// Options are what the user says beside an AWS file. With our own YAML all of
// them are refused: it says everything itself.
type Options struct {
	Connection string // of several in the file, vpn-…
	// Advertise are the networks on our side that AWS shall reach, Routes those
	// behind AWS, for a static connection.
	Advertise, Routes []netip.Prefix
	// AcceptDefault lets AWS announce 0.0.0.0/0 by BGP.
	AcceptDefault bool
	// AllAlgorithms offers everything that AWS can, weak ones too.
	AllAlgorithms bool
	// SourceNAT gives what leaves the tunnels' inside addresses for a source, so
	// that AWS need know no network of ours.
	SourceNAT bool
	// Whole keeps all that is allowed and not weak, for a device that may lack the
	// best of it. The user does not say this.
	Whole bool
}

func (o Options) given() bool {
	return o.Connection != "" || len(o.Advertise) > 0 || len(o.Routes) > 0 || o.AcceptDefault || o.AllAlgorithms || o.SourceNAT
}

// A Result is what a file means.
type Result struct {
	conffile.File
	Kind  string               // what the file is, for people
	AWS   awsconfig.Connection // what AWS's file said; zero for our own YAML
	Notes []conffile.Note      // on what was worked out; none for our own YAML
}

// ours is the kind of our own file.
const ours = "Seikan's YAML"

// Ours reports whether the file was our own YAML.
func (r Result) Ours() bool { return r.Kind == ours }

// Read reads the file at path, or all of stdin for "-". Files that our YAML
// names are looked up beside it.
func Read(path string, stdin io.Reader, o Options) (Result, error) {
	in, name, dir := stdin, "standard input", "."
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return Result{}, err
		}
		defer f.Close()
		in, name, dir = f, path, filepath.Dir(path)
	}
	b, err := io.ReadAll(io.LimitReader(in, awsconfig.MaxSize+1))
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	r, err := Parse(b, dir, o)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// errUnknown names what a gateway can be given.
var errUnknown = errors.New("this is none of the files that a gateway takes: " + ours + " (`seikan gateway example` prints one), AWS's XML (CustomerGatewayConfiguration), " +
	"AWS's text for the vendor Generic, or the JSON of `aws ec2 describe-vpn-connections`")

// Parse is Read for text; dir is where names of files in our YAML are looked
// up.
func Parse(b []byte, dir string, o Options) (Result, error) {
	text, format, err := awsconfig.Recognise(b)
	if err != nil {
		return Result{}, err
	}
	if format == awsconfig.Other && !conffile.Looks(text) {
		return Result{}, errUnknown
	}
	if format == awsconfig.Other || format == awsconfig.JSON && conffile.Claims(text) {
		if o.given() {
			return Result{}, errors.New("this is " + ours + ", which says by itself what --advertise, --route, --accept-default, --connection, --all-algorithms and --source-nat say of AWS's files; write it there")
		}
		f, err := conffile.Parse(text, dir)
		return Result{File: f, Kind: ours}, err
	}
	c, err := awsconfig.Parse(text, o.Connection)
	if err != nil {
		return Result{}, err
	}
	r, err := convert(c, o)
	r.AWS = c
	if err != nil {
		return Result{}, fmt.Errorf("connection %s: %w", c.ID, err)
	}
	return r, nil
}
