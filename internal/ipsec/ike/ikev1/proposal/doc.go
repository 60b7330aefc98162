// Package proposal turns suites into IKEv1 proposals and back: the attributes
// of RFC 2409 appendix A for phase 1 and of RFC 2407 section 4.5 for phase 2.
//
// It decides which of two lists' entries is chosen, and keeps no state. Package
// ikev1 is its only caller.
package proposal
