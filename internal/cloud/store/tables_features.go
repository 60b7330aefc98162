package store

import "seikan/internal/cloud/resource"

// The tables of load balancers, endpoints and DNS.
var (
	// Written by cloud/lb.
	LoadBalancers = Table[resource.LoadBalancerARN, resource.LoadBalancer]{Name: "load-balancer"}
	Listeners     = Table[resource.ListenerARN, resource.Listener]{Name: "listener"}
	TargetGroups  = Table[resource.TargetGroupARN, resource.TargetGroup]{Name: "target-group"}
	TargetHealths = Table[string, resource.TargetHealth]{Name: "target-health"} // by TargetHealth.Key

	// Written by cloud/endpoint.
	EndpointServices = Table[resource.EndpointServiceID, resource.EndpointService]{Name: "endpoint-service"}
	Endpoints        = Table[resource.EndpointID, resource.Endpoint]{Name: "endpoint"}

	// Written by cloud/dns.
	HostedZones = Table[resource.HostedZoneID, resource.HostedZone]{Name: "hosted-zone"}
	Directories = Table[resource.DirectoryID, resource.Directory]{Name: "directory"}
)
