//go:build e2e

package main

// An impairment is what is wrong with the path between the gateways.
type impairment string

// There are these.
const (
	clean   impairment = ""
	loss    impairment = "loss"
	reorder impairment = "reorder"
)

// cable joins the gateways, in ip's words.
func (i impairment) cable() string {
	return "-n gwA link add wan type veth peer name wan netns gwB\n"
}

// begin impairs until what it returns is called.
func (i impairment) begin() (end func(), err error) { return func() {}, nil }
