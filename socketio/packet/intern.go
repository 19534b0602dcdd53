package packet

import "sync/atomic"

// Names of events and namespaces are few and come again and again: the last ones seen are kept, so that a packet costs
// no allocation for its name. A peer that sends ever new names gains nothing but one allocation for each.
const (
	internSlots  = 512
	internMaxLen = 64
)

var interned [internSlots]atomic.Pointer[string]

// intern returns b as a string.
func intern(b []byte) string {
	if len(b) == 1 && b[0] == '/' {
		return "/"
	}
	if len(b) > internMaxLen {
		return string(b)
	}
	hash := uint32(2166136261) // FNV-1a
	for _, c := range b {
		hash = (hash ^ uint32(c)) * 16777619
	}
	slot := &interned[hash%internSlots]
	if s := slot.Load(); s != nil && *s == string(b) {
		return *s
	}
	s := string(b)
	slot.Store(&s)
	return s
}
