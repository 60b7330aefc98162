package conffile

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// A rule is what the schema says of one key beyond what its Go type says. The
// decoder has the last word; tests hold the two together.
type rule struct {
	about   string
	pattern string   // of the value's text
	numeric bool     // with a pattern: a number is fine, too, of least or more
	words   []string // all that it can be; numbers are written as such too
	least   int      // of a number, where most is not 0
	most    int
}

// Patterns of values. They are never stricter than the decoder.
const (
	patternAddr     = `^[0-9]{1,3}(\.[0-9]{1,3}){3}$`
	patternAnyAddr  = patternAddr + `|^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$`
	patternPrefix   = `^([0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/[0-9]{1,3})$`
	patternDuration = `^\+?([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`
	patternNumber   = `^[0-9]+$`
	patternLink     = `^[^/%:\s]{1,15}$`
	patternMetrics  = `^(unix:/.+|(127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\]):[1-9][0-9]*)$`
)

// rules has every key of the file, by its path; [] is any element of a list. A
// key that both phases have stands under phase1.
var rules = map[string]rule{
	"name":               {about: "The gateway's name, for logs and status."},
	"control_socket":     {about: "Where the gateway answers `seikan gateway status`."},
	"state_directory":    {about: "Where SAs are kept, sealed, so that a gateway that crashed goes on with them."},
	"metrics":            {about: "Where measurements are shown to Prometheus: a loopback address and port, or unix: and the path of a socket.", pattern: patternMetrics},
	"no_forwarding":      {about: "Leave the kernel's switch for IP forwarding as it is."},
	"routes":             {about: "What lies behind the peers, of tunnels that have no routes of their own."},
	"routes[]":           {pattern: patternPrefix},
	"bgp":                {about: "What all BGP sessions have in common; each tunnel with one has a block bgp, too."},
	"bgp.asn":            {about: "Our autonomous system number.", pattern: patternNumber, numeric: true, least: 1},
	"bgp.router_id":      {about: "Our BGP identifier, if not the inside address of the first tunnel with a session.", pattern: patternAddr},
	"bgp.announce":       {about: "The networks of ours that peers are told of; 0.0.0.0/0, or ::/0, draws all their traffic here."},
	"bgp.announce[]":     {pattern: patternPrefix},
	"bgp.accept_default": {about: "Let peers announce 0.0.0.0/0, or ::/0."},
	"tunnels":            {about: "The tunnels; a connection of AWS has two."},
	"tunnels[].name":     {about: "Unique in the file; tunnel-N unless given."},
	"tunnels[].outside":  {about: "Where the packets between the gateways go."},
	"tunnels[].phase1":   {about: "What is allowed of the IKE SA. The order does not matter: what is strongest is offered first."},
	"tunnels[].phase2":   {about: "What is allowed of the CHILD SAs."},
	"tunnels[].rekey":    {about: "When SAs are renewed."},

	"tunnels[].interface":           {about: "The name of the tunnel's TUN; tunN unless given.", pattern: patternLink, numeric: true},
	"tunnels[].startup_action":      {about: "Whether we start IKE or wait for the peer.", words: []string{"start", "add"}},
	"tunnels[].pre_shared_key":      {about: "The key; keep the file at mode 0600.", pattern: `^[A-Za-z1-9._][A-Za-z0-9._]{7,63}$`, numeric: true, least: 10_000_000},
	"tunnels[].pre_shared_key_file": {about: "A file with the key, of mode 0600, instead of pre_shared_key."},
	"tunnels[].ike_versions":        {about: "The versions of IKE that are spoken; 2 is tried first."},
	"tunnels[].ike_versions[]":      {words: []string{"2", "1", "ikev2", "ikev1"}},
	"tunnels[].dpd_action":          {about: "What follows the peer's death: call again, wait, or do not ask at all.", words: []string{"restart", "clear", "none"}},
	"tunnels[].inside_cidr":         {about: "The tunnel's /30 of 169.254.0.0/16; the customer has its second address.", pattern: `^169\.254\.[0-9]{1,3}\.[0-9]{1,3}/30$`},
	"tunnels[].inside_ipv6_cidr":    {about: "The tunnel's /126 of fd00::/8, for a tunnel that carries IPv6 and nothing else. The customer has its second address.", pattern: `^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/126$`},
	"tunnels[].inside_address":      {about: "Our inside address with its prefix length, instead of inside_cidr.", pattern: `^[0-9a-fA-F:.]+/[0-9]{1,3}$`},
	"tunnels[].replay_window":       {about: "ESP's anti-replay window in packets.", least: 64, most: 2048},
	"tunnels[].local_cidr":          {about: "What the tunnel may carry on our side.", pattern: patternPrefix},
	"tunnels[].remote_cidr":         {about: "What the tunnel may carry on the peer's side.", pattern: patternPrefix},
	"tunnels[].source_nat":          {about: "Give what leaves through the tunnel its inside address for a source: the other end needs no route to us."},
	"tunnels[].routes":              {about: "What lies behind this peer."},
	"tunnels[].routes[]":            {pattern: patternPrefix},

	"tunnels[].outside.local_address":       {about: "Ours, if not the one that the route to the peer has.", pattern: patternAnyAddr},
	"tunnels[].outside.remote_address":      {about: "The peer's, or any, if it has certificates and we wait.", pattern: `^any$|` + patternAnyAddr},
	"tunnels[].outside.local_id":            {about: "Our IKE identity: behind NAT, our public address as the peer knows it."},
	"tunnels[].outside.remote_id":           {about: "The peer's IKE identity. Without it that is its address with a pre-shared key, and with certificates whoever has one of ca_file; %any accepts whoever holds the key."},
	"tunnels[].outside.force_encapsulation": {about: "Use UDP 4500 though there is no NAT."},

	"tunnels[].phase1.encryption":   {about: "Ciphers, by AWS's names."},
	"tunnels[].phase1.encryption[]": {words: []string{"AES256-GCM-16", "AES128-GCM-16", "AES256", "AES128", "CHACHA20-POLY1305"}},
	"tunnels[].phase1.integrity":    {about: "Hashes, by AWS's names."},
	"tunnels[].phase1.integrity[]":  {words: []string{"SHA2-512", "SHA2-384", "SHA2-256", "SHA1"}},
	"tunnels[].phase1.dh_groups":    {about: "Numbers of Diffie-Hellman groups."},
	"tunnels[].phase1.dh_groups[]":  {words: []string{"2", "5", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "31", "36", "37"}},
	"tunnels[].phase1.lifetime":     {about: "How long an SA lives, such as 8h.", pattern: patternDuration},

	"tunnels[].phase1.additional_key_exchanges":          {about: "Key exchanges beside the group, in their order (IKEv2, RFC 9370)."},
	"tunnels[].phase1.additional_key_exchanges[]":        {pattern: `^(ML-KEM-768|ML-KEM-1024|DH[0-9]{1,2})$`},
	"tunnels[].phase1.additional_key_exchanges_required": {about: "Refuse a peer that does without."},

	"tunnels[].rekey.margin":       {about: "How long before its end an SA is renewed.", pattern: patternDuration},
	"tunnels[].rekey.fuzz_percent": {about: "By how much the margin grows at random.", least: 0, most: 100},
	"tunnels[].liveness":           {about: "When a silent peer is probed, and when it is dead."},
	"tunnels[].liveness.interval":  {about: "Silence before the first probe.", pattern: patternDuration},
	"tunnels[].liveness.timeout":   {about: "From the first probe to death.", pattern: patternDuration},

	"tunnels[].bgp":              {about: "The BGP session between the inside addresses, instead of routes."},
	"tunnels[].bgp.peer_asn":     {about: "The autonomous system number of the peer, AWS's 64512 unless another was chosen.", pattern: patternNumber, numeric: true, least: 1},
	"tunnels[].bgp.hold_time":    {about: "How long the peer may be silent.", pattern: patternDuration},
	"tunnels[].bgp.keepalive":    {about: "How often the peer hears of us, at most a third of hold_time.", pattern: patternDuration},
	"tunnels[].bgp.max_prefixes": {about: "How many prefixes the peer may announce; one more ends the session. 0: any number."},
	"tunnels[].bgp.med":          {about: "The metric sent with each network: the peer prefers the tunnel with the lower one. 0: none.", pattern: patternNumber, numeric: true},
	"tunnels[].bgp.prepend":      {about: "How many times more our ASN is in the path, so that the peer prefers another tunnel.", least: 0, most: 10},

	"tunnels[].bgp.bfd":            {about: "Watch the tunnel's path several times a second (RFC 5881). The other end must, too; AWS does not."},
	"tunnels[].bgp.bfd.interval":   {about: "How often each end is heard, 50ms to 1m; the slower end decides.", pattern: patternDuration},
	"tunnels[].bgp.bfd.multiplier": {about: "The tunnel carries nothing after so many intervals in silence.", least: 2, most: 50},

	"tunnels[].certificate_file": {about: "Our certificate in PEM, then the intermediate ones, instead of a pre-shared key."},
	"tunnels[].private_key_file": {about: "Its private key in PEM, of mode 0600."},
	"tunnels[].ca_file":          {about: "The certificates of those who sign the peer's."},
	"tunnels[].crl_file":         {about: "Their revocation lists."},
	"tunnels[].ocsp_file":        {about: "An OCSP response for the peer's certificate."},
	"tunnels[].rsa_pss":          {about: "Sign with RSASSA-PSS if the key is RSA."},
	"tunnels[].weak_keys":        {about: "Take RSA keys of 1024 to 2047 bits, too."},

	"tunnels[].fragmentation": {about: "Fragment long IKE messages (RFC 7383)."},
	"tunnels[].fragment_size": {about: "The largest IP packet of a fragmented message, in octets.", least: 576, most: 65535},
	"tunnels[].mobike":        {about: "Keep the tunnel when our address changes (RFC 4555)."},
	"tunnels[].resumption":    {about: "Take a lost session up again in one round trip (RFC 5723)."},
	"tunnels[].ppk_file":      {about: "A post-quantum pre-shared key, in a file of mode 0600 (RFC 8784)."},
	"tunnels[].ppk_id":        {about: "The name of the key of ppk_file."},
	"tunnels[].ppk_required":  {about: "Refuse a peer that does without."},
}

// ruleOf is the rule of a path, and the name that the table has it by.
func ruleOf(path string) (rule, string) {
	if _, ok := rules[path]; !ok {
		path = strings.Replace(path, "tunnels[].phase2.", "tunnels[].phase1.", 1)
	}
	return rules[path], path
}

// Schema is the file's shape as a JSON Schema, for editors and other programs.
// It is made of the decoder's own types and of rules, so that a key cannot be in
// one and not in the other.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[rawFile](), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Customer gateway of Seikan"
	s["required"] = []string{"tunnels"}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(s)
	return b.Bytes(), err
}

// schemaOf is the schema of a type at a path.
func schemaOf(t reflect.Type, path string) map[string]any {
	r, _ := ruleOf(path)
	s := map[string]any{}
	if r.about != "" {
		s["description"] = r.about
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[text]() || t.Kind() == reflect.String:
		r.text(s)
	case t.Kind() == reflect.Slice:
		s["type"], s["items"] = "array", schemaOf(t.Elem(), path+"[]")
	case t.Kind() == reflect.Struct:
		s["type"], s["additionalProperties"] = "object", false
		properties := map[string]any{}
		addProperties(t, path, properties)
		s["properties"] = properties
	case t.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case t.Kind() == reflect.Int:
		r.integer(s)
	}
	return s
}

// addProperties adds the keys of a struct, and those of the structs in line.
func addProperties(t reflect.Type, path string, to map[string]any) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			addProperties(f.Type, path, to)
		case path == "" || key == "":
			to[key] = schemaOf(f.Type, path+key)
		default:
			to[key] = schemaOf(f.Type, path+"."+key)
		}
	}
}

// text is for values that YAML may take for numbers, too.
func (r rule) text(s map[string]any) {
	switch {
	case len(r.words) > 0:
		var list []any
		for _, w := range r.words {
			list = append(list, w)
			if strings.Trim(w, "0123456789") == "" {
				list = append(list, json.Number(w))
			}
		}
		s["enum"] = list
	case r.pattern != "":
		s["type"], s["pattern"] = "string", r.pattern
		if r.numeric {
			s["type"], s["minimum"] = []string{"string", "number"}, r.least
		}
	default:
		s["type"] = []string{"string", "number"}
	}
}

func (r rule) integer(s map[string]any) {
	s["type"] = "integer"
	if r.most != 0 {
		s["minimum"], s["maximum"] = r.least, r.most
	}
	if len(r.words) > 0 {
		var list []any
		for _, w := range r.words {
			list = append(list, json.Number(w))
		}
		s["enum"] = list
	}
}
