package vpn

import (
	"cmp"
	"net/netip"
	"reflect"

	"seikan/internal/cloud/resource"
)

// inputOf is the request that would give o, but for its outside address.
func inputOf(o resource.TunnelOptions) TunnelOptionsInput {
	log := func(l resource.TunnelLog) TunnelLogInput {
		return TunnelLogInput{Enabled: &l.Enabled, GroupARN: l.GroupARN, Format: l.Format}
	}
	return TunnelOptionsInput{
		InsideCIDR: o.InsideCIDR, InsideIPv6CIDR: o.InsideIPv6CIDR, PreSharedKey: o.PreSharedKey,
		Phase1Lifetime: o.Phase1Lifetime, Phase2Lifetime: o.Phase2Lifetime, RekeyMargin: o.RekeyMargin, RekeyFuzz: &o.RekeyFuzz,
		ReplayWindow: o.ReplayWindow, DPDTimeout: o.DPDTimeout, DPDTimeoutAction: o.DPDTimeoutAction, StartupAction: o.StartupAction,
		Algorithms: o.Algorithms, LivenessInterval: o.LivenessInterval, LivenessTimeout: o.LivenessTimeout, BFD: &o.BFD,
		Logs:             TunnelLogsInput{Activity: log(o.Logs.Activity), BGP: log(o.Logs.BGP)},
		LifecycleControl: &o.LifecycleControl,
	}
}

// over is base with what in names in its place.
func (in TunnelOptionsInput) over(base TunnelOptionsInput) TunnelOptionsInput {
	if in.PreSharedKey.IsZero() {
		in.PreSharedKey = base.PreSharedKey
	}
	if in.InsideCIDR == (netip.Prefix{}) {
		in.InsideCIDR = base.InsideCIDR
	}
	if in.InsideIPv6CIDR == (netip.Prefix{}) {
		in.InsideIPv6CIDR = base.InsideIPv6CIDR
	}
	in.Phase1Lifetime = cmp.Or(in.Phase1Lifetime, base.Phase1Lifetime)
	in.Phase2Lifetime = cmp.Or(in.Phase2Lifetime, base.Phase2Lifetime)
	in.RekeyMargin = cmp.Or(in.RekeyMargin, base.RekeyMargin)
	in.RekeyFuzz = cmp.Or(in.RekeyFuzz, base.RekeyFuzz)
	in.ReplayWindow = cmp.Or(in.ReplayWindow, base.ReplayWindow)
	in.DPDTimeout = cmp.Or(in.DPDTimeout, base.DPDTimeout)
	in.DPDTimeoutAction = cmp.Or(in.DPDTimeoutAction, base.DPDTimeoutAction)
	in.StartupAction = cmp.Or(in.StartupAction, base.StartupAction)
	in.Algorithms = mergeAlgorithms(in.Algorithms, base.Algorithms)
	in.LivenessInterval = cmp.Or(in.LivenessInterval, base.LivenessInterval)
	in.LivenessTimeout = cmp.Or(in.LivenessTimeout, base.LivenessTimeout)
	in.BFD = cmp.Or(in.BFD, base.BFD)
	in.Logs = TunnelLogsInput{Activity: in.Logs.Activity.over(base.Logs.Activity), BGP: in.Logs.BGP.over(base.Logs.BGP)}
	in.LifecycleControl = cmp.Or(in.LifecycleControl, base.LifecycleControl)
	return in
}

func (in TunnelLogInput) over(base TunnelLogInput) TunnelLogInput {
	return TunnelLogInput{Enabled: cmp.Or(in.Enabled, base.Enabled), GroupARN: cmp.Or(in.GroupARN, base.GroupARN), Format: cmp.Or(in.Format, base.Format)}
}

func mergeAlgorithms(in, base Algorithms) Algorithms {
	return Algorithms{
		IKEVersions:      orList(in.IKEVersions, base.IKEVersions),
		Phase1Encryption: orList(in.Phase1Encryption, base.Phase1Encryption),
		Phase2Encryption: orList(in.Phase2Encryption, base.Phase2Encryption),
		Phase1Integrity:  orList(in.Phase1Integrity, base.Phase1Integrity),
		Phase2Integrity:  orList(in.Phase2Integrity, base.Phase2Integrity),
		Phase1DHGroups:   orList(in.Phase1DHGroups, base.Phase1DHGroups),
		Phase2DHGroups:   orList(in.Phase2DHGroups, base.Phase2DHGroups),
	}
}

// orList is list, or base when list is not given.
func orList[T any](list, base []T) []T {
	if len(list) == 0 {
		return base
	}
	return list
}

// empty reports whether in names no option.
func (in TunnelOptionsInput) empty() bool { return reflect.ValueOf(in).IsZero() }
