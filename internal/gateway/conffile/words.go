package conffile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

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
	pairs = append(pairs, "WeakKeys", "weak_keys: true", "our local identity", "our outside.local_id", "our remote identity", "our outside.remote_id")
	return strings.NewReplacer(pairs...).Replace
}

// inKeys puts what package gateway says of a configuration into the file's
// keys; nil stays nil.
func inKeys(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.NewReplacer(
		"BGP.BFD: field Interval", "bgp.bfd.interval", "BGP.BFD: field Multiplier", "bgp.bfd.multiplier", "BGP.PeerASN", "bgp.peer_asn", "BGP.ASN", "bgp.asn", "bgp: peer ", "tunnel ", "bgp: RouterID", "bgp.router_id",
		"field Hold ", "bgp.hold_time ", "third of Hold ", "third of bgp.hold_time ", "field Keepalive", "bgp.keepalive", "field MaxPrefixes", "bgp.max_prefixes",
		"field Prepend", "bgp.prepend", "field Announce", "bgp.announce", ": ASN ", ": bgp.peer_asn ", "LocalTS", "local_cidr", "RemoteTS", "remote_cidr", "and Inside is", "and inside_address is",
		"field Versions", "ike_versions", "field SourceNAT", "source_nat", "field Routes", "routes", "field LocalTS", "local_cidr", "field Inside ", "inside_address ", "BGP.RouterID", "bgp.router_id", "give Inside", "give inside_cidr", "field Initiate", "startup_action", "field Interface", "interface", `Interface "`, `interface "`,
		"Outside.Local ", "outside.local_address ", "Outside.Local and Remote", "outside.local_address and remote_address", "Outside.Local", "outside.local_address", "Outside.Remote", "outside.remote_address",
		"Certificates.Own, Key", "certificate_file, private_key_file", "WeakKeys", "weak_keys: true", "Certificates.CA, CRL, OCSP", "ca_file, crl_file, ocsp_file",
		"Extensions.FragmentSize", "fragment_size", "Extensions.Resumption", "resumption",
		"Extensions.PPKRequired", "ppk_required", "Extensions.PPK", "ppk_file", "give PPK and PPKID", "give ppk_file and ppk_id",
		"additional key exchanges", "additional_key_exchanges",
		"field Liveness.Action", "dpd_action", "Liveness.Action", "dpd_action", "Liveness ", "liveness.interval and timeout ",
		"Lifetime.Phase2", "phase2.lifetime", "than Phase1", "than phase1.lifetime", "Lifetime.RekeyMargin", "rekey.margin", "of Phase2", "of phase2.lifetime",
		"Lifetime.RekeyFuzz", "rekey.fuzz_percent", "RekeyFuzz", "rekey.fuzz_percent", "ReplayWindow", "replay_window", "Routes ", "routes ", "tunnel ID", "tunnel name",
	).Replace(err.Error()))
}

// ownLine is a line that our own file has.
var ownLine = regexp.MustCompile(`(?m)^"?(name|control_socket|state_directory|no_forwarding|routes|bgp|tunnels|metrics\w*)"?[ \t]*:`)

// Looks reports whether text may be a file of ours, right or wrong: it has a key
// of ours at the beginning of a line, or nothing at all.
func Looks(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 || ownLine.Match(text) }

// wrongKind is what the decoder says of a value of another kind than its option.
var wrongKind = regexp.MustCompile("cannot unmarshal !!\\w+(?: `([^`]*)`)? into (\\S+)")

// kindOf is what an option of a Go type is in the file.
func kindOf(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "conffile."):
		return "a block of options"
	case strings.HasSuffix(goType, "bool"):
		return "true or false"
	case strings.HasSuffix(goType, "int"):
		return "a whole number"
	}
	return "a single value"
}

// unknownKeys takes our types' names out of what the decoder says of keys that
// are not ours, and of values that are of another kind.
func unknownKeys(err error) error {
	err = errors.New(wrongKind.ReplaceAllStringFunc(err.Error(), func(said string) string {
		m := wrongKind.FindStringSubmatch(said)
		if m[1] == "" {
			return kindOf(m[2]) + " is expected here"
		}
		return fmt.Sprintf("%q: %s is expected here", m[1], kindOf(m[2]))
	}))
	text := regexp.MustCompile(`field (\S+) not found in type \S+`).ReplaceAllString(err.Error(), "no option is called $1 here; `seikan gateway example` has them all")
	return errors.New(strings.TrimPrefix(text, "yaml: unmarshal errors:\n  "))
}
