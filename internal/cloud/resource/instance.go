package resource

import (
	"net/netip"
	"time"
)

// An Instance is a machine with one interface. Here it is a network namespace
// in which the interface is eth0; what runs in it is not our business.
type Instance struct {
	ID                 InstanceID
	OwnerID            Account
	State              State // running, terminated
	VPCID              VPCID
	SubnetID           SubnetID
	Zone               string
	NetworkInterfaceID NetworkInterfaceID
	PrivateIP          netip.Addr
	Groups             []SecurityGroupID
	Namespace          string
	LaunchTime         time.Time
	Tags               Tags
}

// States of an instance.
const (
	StateRunning    State = "running"
	StateTerminated State = "terminated"
)
