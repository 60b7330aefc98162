//go:build !amd64

package lanes

func haveAES() bool { return false }

func haveSHA() bool { return false }

// The rest is never called, for a CBC and an HMAC256 are not fast here.

const nothing = "lanes: no assembly for this processor"

func subWord(uint32) uint32 { panic(nothing) }

func invert(_, _ *schedule, _ int) { panic(nothing) }

func encrypt8(*schedule, int, *[width]*byte, int) { panic(nothing) }

func decrypt(*schedule, int, *byte, *byte, int) { panic(nothing) }

func hash2(_, _ *digest, _, _ *byte, _ int) { panic(nothing) }
