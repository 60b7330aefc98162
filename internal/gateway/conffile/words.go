package conffile

import "strings"

// Words is gateway.Options.Words for a gateway that a file configures: beside
// AWS's name of an option stands the file's key, since the peer may be either.
func Words() func(string) string {
	var pairs []string
	for _, o := range [][2]string{
		{"Phase1EncryptionAlgorithms", "phase1.encryption"}, {"Phase1IntegrityAlgorithms", "phase1.integrity"}, {"Phase1DHGroupNumbers", "phase1.dh_groups"},
		{"Phase2EncryptionAlgorithms", "phase2.encryption"}, {"Phase2IntegrityAlgorithms", "phase2.integrity"}, {"Phase2DHGroupNumbers", "phase2.dh_groups"},
		{"LocalIpv4NetworkCidr", "local_cidr"}, {"RemoteIpv4NetworkCidr", "remote_cidr"}, {"PreSharedKey", "pre_shared_key"}, {"IKEVersions", "ike_versions"},
		{"DPDTimeoutAction", "dpd_action"}, {"StartupAction", "startup_action"},
	} {
		pairs = append(pairs, o[0], o[1]+" (AWS: "+o[0]+")")
	}
	pairs = append(pairs, "our local identity", "our outside.local_id", "our remote identity", "our outside.remote_id")
	return strings.NewReplacer(pairs...).Replace
}
