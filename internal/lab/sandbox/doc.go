// Package sandbox gives a lab a machine of its own inside this one: new user
// (when not root), mount, pid and network namespaces, in which this binary runs
// again as pid 1, the supervisor.
//
// Start makes them; Enter is called by the supervisor; Handle finds a running
// lab from another shell, enters it, and takes it down. Everything that the
// supervisor starts ends with it, by the kernel, however it ends; what stays on
// disk after a kill is a state directory, which the next Start or Down cleans
// away. Whether a lab runs is told by a lock that the supervisor holds, never
// by a pid alone.
//
// The package lays no network but the loopback link and knows nothing of
// topologies. It needs nsenter(1) of util-linux to enter a lab. The command
// line is its only caller.
package sandbox
