// Package e2e holds the tests that need strangers: strongSwan as the other end
// of our tunnels, in both roles, behind NAT, with real packets.
//
// They need root and the packages that `make setup` installs, and are built
// with the tag e2e only; `make e2e` runs them and gives SEIKAN, the path of the
// binary under test. Everything happens in new mount, pid and network
// namespaces, with a /run of their own: nothing is left on the machine.
package e2e
