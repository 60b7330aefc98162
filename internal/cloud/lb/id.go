package lb

import (
	"encoding/hex"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// hex16 makes the last part of an ARN: 16 hex digits.
func hex16(tx *store.Tx) string {
	var b [8]byte
	tx.Random(b[:])
	return hex.EncodeToString(b[:])
}

func arn(region string, who resource.Account, rest string) string {
	return resource.ARN("elasticloadbalancing", region, who, rest)
}
