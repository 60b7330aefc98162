package conffile

import (
	"reflect"
	"slices"
	"testing"

	"seikan/internal/gateway"
)

// TestEveryFieldHasItsKey holds keys to the configuration and to the schema.
func TestEveryFieldHasItsKey(t *testing.T) {
	unsaid := []string{"Endpoint", "RoutesElsewhere", "BGP.Lists", "BGP.Relay", "Tunnels"} // the cloud's end alone; each tunnel by itself
	var walk func(t *testing.T, typ reflect.Type, before string)
	walk = func(t *testing.T, typ reflect.Type, before string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name := before + f.Name
			switch {
			case slices.Contains(unsaid, name):
			case f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == typ.PkgPath():
				walk(t, f.Type, name+".")
			default:
				key := keys[name]
				_, common := rules[key]
				if ofTunnel, _ := ruleOf("tunnels[]." + key); !common && ofTunnel.about == "" {
					t.Errorf("field %s: key %q, which the file does not have", name, key)
				}
			}
		}
	}
	walk(t, reflect.TypeFor[gateway.Config](), "")
	walk(t, reflect.TypeFor[gateway.Tunnel](), "")
	if got := Keys([]string{"PSK", "BGP.Relay"}); !slices.Equal(got, []string{"pre_shared_key", "BGP.Relay"}) {
		t.Errorf("got %v", got)
	}
}
