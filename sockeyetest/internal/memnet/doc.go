// Package memnet is a network in memory: connections that behave as those of
// TCP do, with buffers, deadlines and half-closes, and that can be broken and
// frozen. All waiting is on condition variables, so that a goroutine which waits
// here is durably blocked for package testing/synctest, and a connection at rest
// has no goroutine.
package memnet
