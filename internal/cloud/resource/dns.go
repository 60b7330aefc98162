package resource

import (
	"net/netip"
	"time"
)

// Ids of DNS and of directories.
type (
	HostedZoneID string // Z and 20 upper-case letters or digits, without "/hostedzone/"
	DirectoryID  string // d-<10 hex>
)

// A HostedZone is a private hosted zone: the names that the VPCs associated
// with it see (pl §3.2).
type HostedZone struct {
	ID              HostedZoneID
	OwnerID         Account
	Name            string // canonical: lower case, final dot, octal escapes
	CallerReference string
	Comment         string
	VPCs            []VPCID // sorted; never empty
	// Authorized are VPCs of other accounts that may be associated by their
	// owners (pl §3.3).
	Authorized []VPCID
	Records    []RecordSet // in Route 53's order, SOA and NS of the apex included
	CreatedAt  time.Time
	Tags       Tags
}

// A RecordSet is one resource record set (pl §3.4, §3.5).
type RecordSet struct {
	Name   string // canonical: lower case, final dot, octal escapes
	Type   string // "A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT"
	TTL    int64  // seconds; 0 for an alias
	Values []string
	Alias  *AliasTarget `json:",omitempty"`
}

// An AliasTarget is what an alias record stands for.
type AliasTarget struct {
	HostedZoneID         string // the target's: of the endpoint names, the load balancers, or the zone itself
	DNSName              string
	EvaluateTargetHealth bool
}

// States of a directory (pl §3.9).
const StageActive State = "Active"

// A Directory is, so far as networks go, a Simple AD: two DNS forwarders in two
// subnets of a VPC that pass every question on to the VPC's resolver (pl §3.9).
type Directory struct {
	ID              DirectoryID
	OwnerID         Account
	Name            string // fully qualified: "corp.example.com"
	Size            string // "Small" or "Large"
	Stage           State
	VPCID           VPCID
	SecurityGroupID SecurityGroupID // <id>_controllers
	Controllers     []DirectoryController
	LaunchTime      time.Time
	Tags            Tags
}

// A DirectoryController is one of the two addresses of a directory.
type DirectoryController struct {
	Zone               string
	SubnetID           SubnetID
	NetworkInterfaceID NetworkInterfaceID
	Address            netip.Addr
	Namespace          string
}
