package netapply

import (
	"reflect"
	"testing"

	"seikan/internal/linux/netspec"
)

// listing is what nft 1.0 prints.
const listing = `table ip seikan_lb {
	map targets {
		type inet_service : ipv4_addr . inet_service
		elements = { 80 : 10.0.0.1 . 8080,
			     443 : 10.0.0.2 . 8443 }
	}

	set seen {
		type ipv4_addr
		flags interval,timeout
	}

	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr @seen drop comment "no more"
		jump other
	}

	chain other {
	}
}
`

func TestListingIsReadAsATable(t *testing.T) {
	want := netspec.Table{
		Family: "ip", Name: "seikan_lb",
		Sets: []netspec.Set{
			{Name: "targets", Type: "inet_service", Value: "ipv4_addr . inet_service",
				Elements: []string{"80 : 10.0.0.1 . 8080", "443 : 10.0.0.2 . 8443"}},
			{Name: "seen", Type: "ipv4_addr", Flags: []string{"interval", "timeout"}},
		},
		Chains: []netspec.Chain{
			{Name: "pre", Type: "nat", Hook: "prerouting", Priority: "dstnat", Policy: "accept",
				Rules: []netspec.NftRule{{Text: "ip daddr @seen drop", Comment: "no more"}, {Text: "jump other"}}},
			{Name: "other"},
		},
	}
	if got := parseTable(listing); !reflect.DeepEqual(got, want) {
		t.Errorf("parseTable: got\n%+v\nwant\n%+v", got, want)
	}
}

func TestRulesetIsCutIntoTables(t *testing.T) {
	got := splitRuleset("# Warning: table ip nat is managed by others\ntable ip nat {\n}\n" + listing + "table inet x {\n\tchain c {\n\t}\n}\n")
	want := map[string]string{
		"ip nat":       "table ip nat {\n}\n",
		"ip seikan_lb": listing,
		"inet x":       "table inet x {\n\tchain c {\n\t}\n}\n",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("splitRuleset: got %q, want %q", got, want)
	}
}

// normal returns the normal form of t, and whether it is valid.
func normal(t netspec.Table) (netspec.Table, bool) {
	s := netspec.Spec{Namespaces: []netspec.Namespace{{Name: "x", Tables: []netspec.Table{t}}}}
	return s.Normalize().Namespaces[0].Tables[0], s.Validate() == nil
}

// FuzzTable holds parseTable to two laws: it does not panic, and what it read
// and Validate accepts survives being printed for nft and read again. So
// nothing that Validate accepts can end its block and begin another.
func FuzzTable(f *testing.F) {
	f.Add(listing)
	f.Add("table inet a {\n set s {\n type ipv4_addr\n elements = { 10.0.0.0/8 }\n }\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, valid := normal(parseTable(text))
		if !valid {
			return
		}
		again, _ := normal(parseTable(table.String()))
		if !reflect.DeepEqual(again, table) {
			t.Fatalf("round trip of %q: got\n%+v\nwant\n%+v", text, again, table)
		}
	})
}
