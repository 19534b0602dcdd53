package nats

import (
	"encoding/binary"
	"time"
)

// Every message begins with a stamp: who publishes it, and how many he has published. NATS keeps the order of what comes
// over one connection. But when the network was gone for a while, a server has a new connection, and what the operating
// system still had for the old one, which the other side need not have given up yet, can arrive after what was sent over
// the new one. That is too late: it would be out of order.
const stampSize = 8 + 8

func appendStamp(b []byte, sender [8]byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, sender[:]...), number)
}

const (
	// maxStamped is how many senders are remembered before those that are gone are looked for.
	maxStamped = 256
	// stampTimeout is how long a sender is silent that is forgotten then: longer than connections outlive their network.
	stampTimeout = 30 * time.Minute
)

// stamps are the last messages of all who publish.
type stamps struct {
	last   map[[8]byte]*lastStamp
	expire int // at how many senders to look for those that are gone
}

type lastStamp struct {
	number uint64
	at     time.Time
}

// check returns what is behind the stamp. It reports false for a message that came later than one that was published
// after it, or that has no stamp.
func (s *stamps) check(payload []byte, now time.Time) (rest []byte, ok bool) {
	if len(payload) < stampSize {
		return nil, false
	}
	sender := [8]byte(payload)
	number := binary.BigEndian.Uint64(payload[8:])
	l := s.last[sender]
	if l == nil {
		s.make(now)
		l = new(lastStamp)
		s.last[sender] = l
	}
	if number <= l.number {
		return nil, false
	}
	l.number, l.at = number, now
	return payload[stampSize:], true
}

// make makes room for another sender.
func (s *stamps) make(now time.Time) {
	if s.last == nil {
		s.last, s.expire = make(map[[8]byte]*lastStamp), maxStamped
	}
	if len(s.last) < s.expire {
		return
	}
	for sender, l := range s.last {
		if now.Sub(l.at) > stampTimeout {
			delete(s.last, sender)
		}
	}
	s.expire = max(maxStamped, 2*len(s.last))
}
