// Package resource holds the nouns of the cloud: what AWS calls a VPC, a VPN
// connection, a load balancer, as plain values with typed ids, states spelled
// as AWS spells them, and errors with AWS's codes.
//
// It holds values only: nothing here takes a store, a context or a clock, and
// nothing here decides. One file a noun; a noun refers to another by its id.
// Every package of the cloud may use it.
package resource

import (
	"fmt"
	"strings"
)

// An Account is an AWS account number: twelve decimal digits. Every noun has
// an owner, and an account sees only what it owns or was given.
type Account string

// Validate reports an account that is not twelve digits.
func (a Account) Validate() error {
	if len(a) != 12 || strings.Trim(string(a), "0123456789") != "" {
		return fmt.Errorf("account: %q is not twelve digits", string(a))
	}
	return nil
}

// Tags are the user's labels of one resource.
type Tags map[string]string

// Name is the tag that consoles show as the resource's name.
func (t Tags) Name() string { return t["Name"] }

// A State is the life cycle word of a resource, as it stands on the wire.
type State string

// States that several nouns share; those of one noun stand in its file.
const (
	StatePending   State = "pending"
	StateAvailable State = "available"
	StateDeleting  State = "deleting"
	StateDeleted   State = "deleted"
	StateFailed    State = "failed"
)

// DefaultRegion is the region of a VPC whose creator named none.
const DefaultRegion = "us-east-1"

// RegionOf is the region of an Availability Zone: "us-east-1" for
// "us-east-1a". It is empty when zone does not end in a letter.
func RegionOf(zone string) string {
	n := len(zone) - 1
	if n < 1 || zone[n] < 'a' || zone[n] > 'z' {
		return ""
	}
	return zone[:n]
}

// ARN builds an Amazon Resource Name in the partition aws. The rest is the
// service's own part: "vpc/vpc-0123…", "loadbalancer/net/name/0123…".
func ARN(service, region string, owner Account, rest string) string {
	return "arn:aws:" + service + ":" + region + ":" + string(owner) + ":" + rest
}
