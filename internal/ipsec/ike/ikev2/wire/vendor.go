package wire

// VendorID is the Vendor ID payload (RFC 7296 section 3.12).
type VendorID struct{ Data []byte }

// Kind is KindVendorID.
func (*VendorID) Kind() Kind { return KindVendorID }

func (p *VendorID) append(b []byte) []byte { return append(b, p.Data...) }

func (p *VendorID) parse(b []byte) error {
	p.Data = b
	return nil
}
