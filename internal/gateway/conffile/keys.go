package conffile

// keys are the file's keys for fields of gateway.Config and gateway.Tunnel.
// Tests hold it to have all that a file can say.
var keys = map[string]string{
	"Name": "name", "Forward": "no_forwarding",
	"BGP.ASN": "bgp.asn", "BGP.RouterID": "bgp.router_id", "BGP.Announce": "bgp.announce", "BGP.AcceptDefault": "bgp.accept_default",

	"ID": "name", "Interface": "interface", "Initiate": "startup_action",
	"Outside.Local": "outside.local_address", "Outside.Remote": "outside.remote_address", "Outside.LocalID": "outside.local_id",
	"Outside.RemoteID": "outside.remote_id", "Outside.ForceEncap": "outside.force_encapsulation",
	"PSK": "pre_shared_key", "Versions": "ike_versions", "IKE": "phase1", "ESP": "phase2",
	"Certificates.Own": "certificate_file", "Certificates.Key": "private_key_file", "Certificates.CA": "ca_file", "Certificates.CRL": "crl_file",
	"Certificates.OCSP": "ocsp_file", "Certificates.PSS": "rsa_pss", "Certificates.WeakKeys": "weak_keys",
	"Inside": "inside_address", "LocalTS": "local_cidr", "RemoteTS": "remote_cidr",
	"Lifetime.Phase1": "phase1.lifetime", "Lifetime.Phase2": "phase2.lifetime", "Lifetime.RekeyMargin": "rekey.margin", "Lifetime.RekeyFuzz": "rekey.fuzz_percent",
	"Liveness.Interval": "liveness.interval", "Liveness.Timeout": "liveness.timeout", "Liveness.Action": "dpd_action",
	"ReplayWindow": "replay_window", "Routes": "routes", "SourceNAT": "source_nat",
	"Extensions.NoFragmentation": "fragmentation", "Extensions.FragmentSize": "fragment_size", "Extensions.NoMOBIKE": "mobike", "Extensions.Resumption": "resumption",
	"Extensions.PPK": "ppk_file", "Extensions.PPKID": "ppk_id", "Extensions.PPKRequired": "ppk_required",
	"BGP.PeerASN": "bgp.peer_asn", "BGP.Hold": "bgp.hold_time", "BGP.Keepalive": "bgp.keepalive", "BGP.MaxPrefixes": "bgp.max_prefixes",
	"BGP.MED": "bgp.med", "BGP.Prepend": "bgp.prepend", "BGP.BFD.Interval": "bgp.bfd.interval", "BGP.BFD.Multiplier": "bgp.bfd.multiplier",
}

// Keys are the file's keys for fields of a configuration; a field that no file
// can say stays.
func Keys(fields []string) (out []string) {
	for _, f := range fields {
		if key, ok := keys[f]; ok {
			f = key
		}
		out = append(out, f)
	}
	return out
}
