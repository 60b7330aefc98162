package vpn

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/routing/bfd"
	"seikan/internal/secret"
)

// TunnelOptionsInput is what a request says of one tunnel. Zero values mean the
// defaults of vpn §2.1.
type TunnelOptionsInput struct {
	InsideCIDR   netip.Prefix  // a /30 of 169.254.0.0/16, host bits are cleared; zero: a random free one
	PreSharedKey secret.Secret // 8 to 64 of [A-Za-z0-9._], not starting with 0; empty: generated

	Phase1Lifetime time.Duration // 900 s to 28,800 s, which is the default
	Phase2Lifetime time.Duration // 900 s to 3,600 s, which is the default, and less than Phase1Lifetime
	RekeyMargin    time.Duration // 60 s to half of Phase2Lifetime; default 270 s
	RekeyFuzz      *int          // percent, 0 to 100; nil: 100
	ReplayWindow   int           // packets, 64 to 2048; default 1024

	DPDTimeout       time.Duration // at least 30 s, which is the default
	DPDTimeoutAction string        // clear (default), none, restart
	StartupAction    string        // add (default), start

	Algorithms // empty lists allow all; its fields are options as those above

	// LivenessInterval and LivenessTimeout are an extension of Seikan for a
	// faster failover than AWS's: a tunnel is probed when it was silent for the
	// one, and dead when it stays silent for the other. 50 ms to 10 s, and 50 ms
	// to 1 h but at least half of the interval; zero means 10 s, and what is left of
	// DPDTimeout then.
	LivenessInterval, LivenessTimeout time.Duration

	// BFD is an extension of Seikan for connections with BGP: 50 ms to 1 min, 2 to
	// 50, of which zero means 3. Nil and the zero value mean none.
	BFD *resource.BFD

	Logs TunnelLogsInput
	// LifecycleControl is EnableTunnelLifecycleControl; nil: false.
	LifecycleControl *bool
	// InsideIPv6CIDR is a /126 of fd00::/8, host bits are cleared, and only for
	// connections with IPv6 inside; zero: a random free one there.
	InsideIPv6CIDR netip.Prefix
}

// The words of tunnel options, in AWS's order: lowest first (vpn §2.2).
const (
	actionClear   = "clear"
	actionNone    = "none"
	actionRestart = "restart"
	startupAdd    = "add"
	startupStart  = "start"
	ikev1         = "ikev1"
	ikev2         = "ikev2"
)

// What tunnels may negotiate; phase 1 has no group 5 (vpn §2.1).
var (
	ikeVersions  = []string{ikev1, ikev2}
	encryptions  = []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"}
	integrities  = []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}
	phase1Groups = []int{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}
	phase2Groups = []int{2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}
)

// longest bounds durations to which AWS sets no bound: a day.
const longest = 24 * time.Hour

// complete checks the options of tunnel n, 1 or 2, or 0 for the only one that a
// request names, and fills in every default
// but the inside block, the key and the outside address. The error names the
// first option that breaks its rule.
func (in TunnelOptionsInput) complete(n int) (resource.TunnelOptions, error) {
	c := checker{at: "TunnelOptions."}
	if n > 0 {
		c.at += fmt.Sprintf("%d.", n)
	}
	var o resource.TunnelOptions
	if in.InsideCIDR != (netip.Prefix{}) {
		o.InsideCIDR = c.inside(in.InsideCIDR)
	}
	o.PreSharedKey = c.key(in.PreSharedKey)

	o.Phase1Lifetime = c.seconds("Phase1LifetimeSeconds", in.Phase1Lifetime, span{900 * time.Second, 28800 * time.Second, 28800 * time.Second})
	o.Phase2Lifetime = c.seconds("Phase2LifetimeSeconds", in.Phase2Lifetime, span{900 * time.Second, 3600 * time.Second, 3600 * time.Second})
	if o.Phase2Lifetime >= o.Phase1Lifetime {
		c.fail("Phase2LifetimeSeconds", "%v s is not less than Phase1LifetimeSeconds, %v s", o.Phase2Lifetime.Seconds(), o.Phase1Lifetime.Seconds())
	}
	o.RekeyMargin = c.seconds("RekeyMarginTimeSeconds", in.RekeyMargin, span{60 * time.Second, o.Phase2Lifetime / 2, 270 * time.Second})
	o.RekeyFuzz = 100
	if in.RekeyFuzz != nil {
		o.RekeyFuzz = c.number("RekeyFuzzPercentage", *in.RekeyFuzz, 0, 100)
	}
	o.ReplayWindow = 1024
	if in.ReplayWindow != 0 {
		o.ReplayWindow = c.number("ReplayWindowSize", in.ReplayWindow, 64, 2048)
	}
	o.DPDTimeout = c.seconds("DPDTimeoutSeconds", in.DPDTimeout, span{30 * time.Second, longest, 30 * time.Second})
	o.DPDTimeoutAction = c.word("DPDTimeoutAction", in.DPDTimeoutAction, actionClear, actionNone, actionRestart)
	o.StartupAction = c.word("StartupAction", in.StartupAction, startupAdd, startupStart)
	c.algorithms(in.Algorithms, &o)
	if o.StartupAction == startupStart && !slices.Contains(o.IKEVersions, ikev2) {
		c.fail("StartupAction", "%s needs %s among IKEVersions, since IKEv1 is only answered; allow it, or use %s", startupStart, ikev2, startupAdd)
	}
	c.liveness(in, &o)
	o.BFD = c.bfd(in.BFD)
	o.Logs = resource.TunnelLogs{Activity: c.log("LogOptions.CloudWatchLogOptions.", "Log", in.Logs.Activity), BGP: c.log("LogOptions.CloudWatchLogOptions.", "BgpLog", in.Logs.BGP)}
	o.LifecycleControl = in.LifecycleControl != nil && *in.LifecycleControl
	if in.InsideIPv6CIDR != (netip.Prefix{}) {
		o.InsideIPv6CIDR = c.insideIPv6(in.InsideIPv6CIDR)
	}
	return o, c.err
}

// A checker checks the options of one tunnel and keeps the first fault.
type checker struct {
	at  string // "TunnelOptions.1."
	err error
}

func (c *checker) fail(option, format string, args ...any) {
	c.refuse(resource.CodeInvalidParameterValue, option, format, args...)
}

func (c *checker) refuse(code, option, format string, args ...any) {
	if c.err == nil {
		c.err = resource.Errorf(code, "%s%s: %s", c.at, option, fmt.Sprintf(format, args...))
	}
}

// A span is what a duration may be and what it is when not given.
type span struct{ low, high, def time.Duration }

// seconds checks an option that AWS counts in whole seconds.
func (c *checker) seconds(option string, d time.Duration, s span) time.Duration {
	if d == 0 {
		d = s.def
	}
	if d < s.low || d > s.high || d%time.Second != 0 {
		c.fail(option, "%v s is not a whole number from %v to %v", d.Seconds(), s.low.Seconds(), s.high.Seconds())
	}
	return d
}

func (c *checker) number(option string, n, low, high int) int {
	if n < low || n > high {
		c.fail(option, "%d is not %d to %d", n, low, high)
	}
	return n
}

// word checks an option that is one of some words, the first by default.
func (c *checker) word(option, w string, allowed ...string) string {
	if w == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, w) {
		c.fail(option, "%q is none of %s", w, strings.Join(allowed, ", "))
	}
	return w
}

// algorithms checks the lists.
func (c *checker) algorithms(in Algorithms, o *resource.TunnelOptions) {
	o.IKEVersions = choose(c, "IKEVersions", in.IKEVersions, ikeVersions)
	o.Phase1Encryption = choose(c, "Phase1EncryptionAlgorithms", in.Phase1Encryption, encryptions)
	o.Phase2Encryption = choose(c, "Phase2EncryptionAlgorithms", in.Phase2Encryption, encryptions)
	o.Phase1Integrity = choose(c, "Phase1IntegrityAlgorithms", in.Phase1Integrity, integrities)
	o.Phase2Integrity = choose(c, "Phase2IntegrityAlgorithms", in.Phase2Integrity, integrities)
	o.Phase1DHGroups = choose(c, "Phase1DHGroupNumbers", in.Phase1DHGroups, phase1Groups)
	o.Phase2DHGroups = choose(c, "Phase2DHGroupNumbers", in.Phase2DHGroups, phase2Groups)
	if !slices.Contains(o.IKEVersions, ikev2) && !slices.ContainsFunc(o.Phase1Encryption, isCBC) {
		c.fail("Phase1EncryptionAlgorithms", "%s has no AES-GCM in phase 1, so that the tunnel could never come up; allow AES128 or AES256, or %s", ikev1, ikev2)
	}
}

// isCBC reports whether an encryption algorithm is one that IKEv1 has in phase 1.
func isCBC(name string) bool { return !strings.Contains(name, "GCM") }

// choose checks a list against what is allowed and returns it in the order of
// allowed, each once, since the order of a request means nothing (vpn §2.2). No
// list is all.
func choose[T comparable](c *checker, option string, given, allowed []T) []T {
	for _, v := range given {
		if !slices.Contains(allowed, v) {
			c.fail(option, "%v is none of %s", v, strings.Trim(fmt.Sprint(allowed), "[]"))
		}
	}
	var out []T
	for _, v := range allowed {
		if len(given) == 0 || slices.Contains(given, v) {
			out = append(out, v)
		}
	}
	return out
}

// Bounds of the extension.
const (
	shortestLiveness = 50 * time.Millisecond
	longestTimeout   = time.Hour
)

func (c *checker) liveness(in TunnelOptionsInput, o *resource.TunnelOptions) {
	o.LivenessInterval, o.LivenessTimeout = in.LivenessInterval, in.LivenessTimeout
	if i := in.LivenessInterval; i != 0 && (i < shortestLiveness || i > awsProbeAfter) {
		c.fail("LivenessInterval", "%v is not %v to %v", i, shortestLiveness, awsProbeAfter)
	}
	if t := in.LivenessTimeout; t != 0 && (t < shortestLiveness || t > longestTimeout) {
		c.fail("LivenessTimeout", "%v is not %v to %v", t, shortestLiveness, longestTimeout)
	}
	if interval, timeout := livenessOf(*o); timeout < interval/2 {
		c.fail("LivenessTimeout", "%v is less than half of LivenessInterval, %v", timeout, interval)
	}
}

// usualMultiplier is that of most speakers of BFD.
const usualMultiplier = 3

// bfd checks the extension of that name.
func (c *checker) bfd(in *resource.BFD) resource.BFD {
	if in == nil || *in == (resource.BFD{}) {
		return resource.BFD{}
	}
	if in.Interval < bfd.MinInterval || in.Interval > bfd.MaxInterval {
		c.fail("BFDInterval", "%v is not %v to %v", in.Interval, bfd.MinInterval, bfd.MaxInterval)
	}
	return resource.BFD{Interval: in.Interval, Multiplier: c.number("BFDMultiplier", cmp.Or(in.Multiplier, usualMultiplier), bfd.MinMultiplier, bfd.MaxMultiplier)}
}
