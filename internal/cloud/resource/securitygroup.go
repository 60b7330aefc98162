package resource

import "net/netip"

// A SecurityGroup is a stateful list of what may reach and leave the
// interfaces that carry it (pl §4.3). It only allows.
type SecurityGroup struct {
	ID          SecurityGroupID
	OwnerID     Account
	VPCID       VPCID
	Name        string // unique in the VPC
	Description string
	Ingress     []Permission
	Egress      []Permission
	Tags        Tags
}

// A Protocol is what a permission lets pass.
type Protocol string

// Protocols of a permission. AllProtocols is AWS's "-1".
const (
	AllProtocols Protocol = "-1"
	TCP          Protocol = "tcp"
	UDP          Protocol = "udp"
	ICMP         Protocol = "icmp"
)

// A Permission is one rule of a group with one source or destination: exactly
// one of CIDR and Group is set. It is comparable; two equal ones are
// duplicates.
type Permission struct {
	Protocol Protocol
	// FromPort and ToPort bound the destination port, 0 to 65535. For ICMP they
	// are type and code, -1 meaning any. For AllProtocols both are -1.
	FromPort, ToPort int
	CIDR             netip.Prefix
	Group            SecurityGroupID
}
