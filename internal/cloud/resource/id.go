package resource

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Ids are a prefix and 17 lower-case hex digits (vpn §1.1). Their types keep a
// subnet's id from standing where a VPC's is meant.
type (
	VPCID              string // vpc-…
	SubnetID           string // subnet-…
	RouteTableID       string // rtb-…
	AssociationID      string // rtbassoc-…
	NetworkInterfaceID string // eni-…
	AttachmentID       string // eni-attach-…
	SecurityGroupID    string // sg-…
	NetworkACLID       string // acl-…
	InstanceID         string // i-…
	CustomerGatewayID  string // cgw-…
	VPNGatewayID       string // vgw-…
	VPNConnectionID    string // vpn-…
)

// idDigits is the number of hex digits of an id; ids of the years before 2018
// had eight (vpn §1.1).
const (
	idDigits    = 17
	idDigitsOld = 8
)

// NewID makes an id of prefix (without the hyphen) from random. It fails only
// when random does.
func NewID(random io.Reader, prefix string) (string, error) {
	digits, err := NewHex(random, idDigits)
	if err != nil {
		return "", fmt.Errorf("new id of %s: %w", prefix, err)
	}
	return prefix + "-" + digits, nil
}

// NewHex makes n lower-case hex digits from random, as an ARN's last part (16)
// or a DNS name's has them.
func NewHex(random io.Reader, n int) (string, error) {
	b := make([]byte, (n+1)/2)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("random digits: %w", err)
	}
	return hex.EncodeToString(b)[:n], nil
}

// ValidID reports whether id is of prefix and well formed; operations answer
// "…Malformed" when it is not.
func ValidID(prefix, id string) bool {
	digits, ok := strings.CutPrefix(id, prefix+"-")
	if !ok || len(digits) != idDigits && len(digits) != idDigitsOld {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}
