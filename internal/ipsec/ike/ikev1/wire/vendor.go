package wire

import "bytes"

// A Vendor is what a Vendor ID payload announces.
type Vendor string

// The vendor ids that mean something to us, as octets.
const (
	// VendorNATT announces NAT traversal: the MD5 of "RFC 3947" (RFC 3947
	// section 3.1).
	VendorNATT Vendor = "\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f"
	// VendorDPD announces dead peer detection, version 1.0 (RFC 3706 section
	// 5.1).
	VendorDPD Vendor = "\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00"
	// VendorFragmentation announces fragmentation of messages, which has no
	// RFC: the MD5 of "FRAGMENTATION" ([MS-IKEE]; seen of strongSwan),
	// often with four octets of flags after it.
	VendorFragmentation Vendor = "\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3"
	// VendorXAUTH announces XAUTH (draft-beaulieu-ike-xauth-02), which we do
	// not do.
	VendorXAUTH Vendor = "\x09\x00\x26\x89\xdf\xd6\xb7\x12"
)

// Payload is v as a payload.
func (v Vendor) Payload() *VendorID { return &VendorID{Data: []byte(v)} }

// Announces reports whether list has the vendor id v, perhaps with more octets
// after it.
func Announces(list []Payload, v Vendor) bool {
	for _, p := range list {
		if id, ok := p.(*VendorID); ok && bytes.HasPrefix(id.Data, []byte(v)) {
			return true
		}
	}
	return false
}
