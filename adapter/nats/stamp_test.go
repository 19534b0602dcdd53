package nats

import (
	"encoding/binary"
	"testing"
	"time"
)

func TestStamps(t *testing.T) {
	var s stamps
	now := time.Now()
	one, two := [8]byte{1}, [8]byte{2}
	for _, c := range []struct {
		sender [8]byte
		number uint64
		want   bool
	}{
		{one, 1, true},
		{one, 3, true},  // the second concerned others
		{one, 2, false}, // too late
		{one, 3, false},
		{two, 1, true}, // has numbers of its own
		{one, 4, true},
	} {
		rest, ok := s.check(append(appendStamp(nil, c.sender, c.number), "text"...), now)
		if ok != c.want || ok && string(rest) != "text" {
			t.Errorf("%d of %d: %q, %v", c.number, c.sender[0], rest, ok)
		}
	}
	if _, ok := s.check(make([]byte, stampSize-1), now); ok {
		t.Error("something without a stamp was taken")
	}
}

// Senders come and go, and are not remembered for ever.
func TestStampsExpire(t *testing.T) {
	var s stamps
	now := time.Now()
	for i := range uint64(100 * maxStamped) {
		var sender [8]byte
		binary.BigEndian.PutUint64(sender[:], i)
		s.check(appendStamp(nil, sender, 1), now)
		now = now.Add(time.Minute)
	}
	if len(s.last) > maxStamped {
		t.Errorf("%d senders are remembered", len(s.last))
	}
	old := s.expire
	for i := range uint64(10 * maxStamped) { // all at once
		s.check(appendStamp(nil, [8]byte{255, byte(i >> 8), byte(i)}, 1), now)
	}
	if len(s.last) < 10*maxStamped || s.expire <= old {
		t.Errorf("%d senders are remembered, with a limit of %d", len(s.last), s.expire)
	}
}
