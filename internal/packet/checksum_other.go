//go:build !amd64

package packet

// canSumWide reports that the processor cannot.
func canSumWide() bool { return false }

func sumWide([]byte) uint64 { return 0 }

func copySumWide(*byte, []byte) uint64 { return 0 }
