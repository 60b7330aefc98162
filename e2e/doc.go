// Package e2e holds the tests that need strangers or the whole program:
// strongSwan, libreswan and OpenIKED as the other end of our tunnels, in both
// roles, behind NAT and without one, with real packets, and libreswan breaking
// the rules; FRR, BIRD, GoBGP, OpenBGPD and ExaBGP behind them; and the lab as its user meets it, from the demo to what a kill -9
// leaves. docs/interop.md is what the matrix of peers last found.
//
// They need root and the packages that `make setup` installs, and are built
// with the tag e2e only; `make e2e` runs them and gives SEIKAN, the path of the
// binary under test. Everything happens in new mount, pid and network
// namespaces, with a /run of their own: nothing is left on the machine.
package e2e
