package lab

import (
	"context"
	"errors"
	"net/netip"
)

// A Sample asks for the configuration of another maker's device to be the customer
// gateway of a connection.
type Sample struct {
	Connection string     `json:"connection"` // name in the topology
	Device     string     `json:"device"`     // name, or VpnConnectionDeviceTypeId
	IKE        string     `json:"ike,omitempty"`
	Type       string     `json:"type,omitempty"`      // compatibility, recommended
	Interface  string     `json:"interface,omitempty"` // the device's name of its outside one
	Local      netip.Addr `json:"local,omitzero"`      // its address there; else that of the lab's customer gateway
}

// A SampleFile is one file of a configuration. Text holds pre-shared keys.
type SampleFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// A Sampler is a Cloud that writes such configurations
// (GetVpnConnectionDeviceSampleConfiguration).
type Sampler interface {
	Sample(ctx context.Context, ask Sample) ([]SampleFile, error)
}

// Sample asks the cloud for a configuration.
func (l *Lab) Sample(ctx context.Context, ask Sample) ([]SampleFile, error) {
	l.mu.Lock()
	cloud := l.cloud
	l.mu.Unlock()
	sampler, ok := cloud.(Sampler)
	if !ok {
		return nil, errors.New("this lab has no cloud that would write configurations")
	}
	return sampler.Sample(ctx, ask)
}
