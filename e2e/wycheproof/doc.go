// Package wycheproof holds our cryptography to the vectors of Project
// Wycheproof, each through the code that a tunnel uses.
//
// It is a module of its own, since the vectors are some 110 MB: make kat gets
// them from the module proxy, and nothing else needs them. It is tests only and
// nobody imports it.
package wycheproof
