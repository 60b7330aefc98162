package gateway

import (
	"slices"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

func TestStatusNamesWeakAlgorithms(t *testing.T) {
	gcm := suite.IKE{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA384, Group: 20}
	for _, tt := range []struct {
		name       string
		ike        suite.IKE
		auth       string
		esp        suite.ESP
		weak, less []string // of IKE and of the CHILD SA
	}{
		{name: "nothing", ike: gcm, auth: "PSK", esp: suite.ESP{Encr: suite.AESGCM16, KeyBits: 256, Group: 20}},
		{
			name: "AWS's lowest", auth: "PSK",
			ike:  suite.IKE{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA1, Integ: suite.IntegSHA1, Group: 2},
			esp:  suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA1, Group: 5},
			weak: []string{"DH2", "SHA1"}, less: []string{"DH5", "SHA1"},
		},
		{name: "a signature", ike: gcm, auth: "RSA-SHA1", esp: suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256}, weak: []string{"SHA1"}},
		{name: "a key", ike: gcm, auth: "RSA-SHA2-256, peer RSA-SHA2-256 (1024 bits, weak)", esp: suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256}, weak: []string{"RSA below 2048 bits"}},
		{name: "a key and a signature", ike: gcm, auth: "RSA-SHA1 (1024 bits, weak)", esp: suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256}, weak: []string{"SHA1", "RSA below 2048 bits"}},
		{name: "a PRF", ike: suite.IKE{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA1, Group: 24}, weak: []string{"DH24", "SHA1"}},
	} {
		st, child := describe(ike.Snapshot{Phase: ike.Established, Suite: tt.ike, Auth: tt.auth, Child: &ike.ChildSnapshot{Suite: tt.esp}})
		if !slices.Equal(st.Weak, tt.weak) || !slices.Equal(child.Weak, tt.less) {
			t.Errorf("%s: got %v and %v, want %v and %v", tt.name, st.Weak, child.Weak, tt.weak, tt.less)
		}
	}
}
