package proposal

import (
	"testing"
	"time"

	"seikan/internal/ipsec/ike/suite"
)

// BenchmarkChooseIKE is what a stranger's first message costs with the lists of
// AWS: one with all that AWS allows, and one with an offer of nothing that is.
func BenchmarkChooseIKE(b *testing.B) {
	ciphers := []suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}, {Encr: suite.AESCBC, KeyBits: 256}, {Encr: suite.AESGCM16, KeyBits: 128}, {Encr: suite.AESGCM16, KeyBits: 256}}
	integs := []suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512}
	all := suite.Combine(ciphers, integs, []suite.Group{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24})
	for name, offer := range map[string][]suite.IKE{"all": all, "none": {cbc(256, suite.IntegSHA512, 5)}} {
		sa, err := OfferIKE(offer, PSK, time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ChooseIKE(all, PSK, sa)
			}
		})
	}
}
