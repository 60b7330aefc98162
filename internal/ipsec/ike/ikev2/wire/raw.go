package wire

// Raw is a payload that this package gives no meaning to.
type Raw struct {
	Type     Kind
	Critical bool
	Data     []byte
}

// Kind is the type that the peer gave.
func (p *Raw) Kind() Kind { return p.Type }

func (p *Raw) append(b []byte) []byte { return append(b, p.Data...) }

func (p *Raw) parse(b []byte) error {
	p.Data = b
	return nil
}

// UnknownCritical is the first payload of a type that RFC 7296 does not define
// and whose sender wants the message refused for it (section 2.5).
func UnknownCritical(list []Payload) (Kind, bool) {
	for _, p := range list {
		if raw, ok := p.(*Raw); ok && raw.Critical && !raw.Type.Known() {
			return raw.Type, true
		}
	}
	return KindNone, false
}
