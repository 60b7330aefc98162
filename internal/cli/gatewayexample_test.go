package cli

import (
	"reflect"
	"slices"
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
)

func TestGatewayExampleIsValidAndItsDefaultsAreTheDefaults(t *testing.T) {
	f, err := conffile.Parse([]byte(conffile.Example), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	terse, full := f.Gateway.Tunnels[0], f.Gateway.Tunnels[1]
	if !reflect.DeepEqual(terse.IKE, full.IKE) || !reflect.DeepEqual(terse.ESP, full.ESP) || terse.Initiate != full.Initiate {
		t.Errorf("the algorithms that the example calls defaults are not those of a tunnel that names none:\n got %v %v\nwant %v %v", full.IKE, full.ESP, terse.IKE, terse.ESP)
	}
	if got := gateway.DefaultVersions(); !slices.Equal(full.Versions, got) {
		t.Errorf("versions of IKE: got %v, want the defaults, %v", full.Versions, got)
	}
	full.Versions = terse.Versions
	full.Lifetime, full.Liveness, full.ReplayWindow = terse.Lifetime, terse.Liveness, terse.ReplayWindow
	full.ID, full.Interface, full.Outside, full.Inside, full.PSK = terse.ID, terse.Interface, terse.Outside, terse.Inside, terse.PSK
	if !reflect.DeepEqual(terse, full) {
		t.Errorf("got %+v, want %+v", full, terse)
	}
}
