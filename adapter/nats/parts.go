package nats

import (
	"encoding/binary"
	"errors"
	"time"
)

// A message that is too large for NATS is sent in parts, one after the other. Each begins with partMark, who sends it,
// its number, and whether more follow. No message begins with partMark: JSON doesn't, and msgpack has no such value.
const (
	partMark   = 0xc1
	partHeader = 1 + 8 + 4 + 1
	// maxPartial bounds what is put together of parts.
	maxPartial = 256 << 20
	// maxSenders bounds whose parts are waited for at a time.
	maxSenders = 1024
	// partTimeout is after how long a part is too late for the one before it.
	partTimeout = 30 * time.Second
)

var errParts = errors.New("nats: a part of a message is missing")

// split returns the parts of a message, each of limit bytes at most, which is more than partHeader.
func split(sender [8]byte, payload []byte, limit int) [][]byte {
	var parts [][]byte
	for len(payload) > 0 {
		n := min(len(payload), limit-partHeader)
		part := make([]byte, 0, partHeader+n)
		part = append(append(part, partMark), sender[:]...)
		part = binary.BigEndian.AppendUint32(part, uint32(len(parts)))
		more := byte(0)
		if n < len(payload) {
			more = 1
		}
		part = append(append(part, more), payload[:n]...)
		parts = append(parts, part)
		payload = payload[n:]
	}
	return parts
}

// A joiner puts messages together again.
type joiner struct {
	partial map[[8]byte]*partial
	bytes   int
}

type partial struct {
	next uint32
	data []byte
	at   time.Time
}

// join takes what came, and returns the message when it is complete, else nil.
func (j *joiner) join(payload []byte, now time.Time) ([]byte, error) {
	if len(payload) == 0 || payload[0] != partMark {
		return payload, nil
	}
	if len(payload) < partHeader {
		return nil, errParts
	}
	sender := [8]byte(payload[1:9])
	number := binary.BigEndian.Uint32(payload[9:])
	more := payload[13] != 0
	data := payload[partHeader:]
	p := j.partial[sender]
	if number == 0 {
		j.drop(sender) // it will never be complete
		if len(j.partial) >= maxSenders {
			j.expire(now)
		}
		if len(j.partial) >= maxSenders {
			return nil, errParts
		}
		if j.partial == nil {
			j.partial = make(map[[8]byte]*partial)
		}
		p = new(partial)
		j.partial[sender] = p
	} else if p == nil {
		return nil, errParts
	}
	if number != p.next || j.bytes+len(data) > maxPartial {
		j.drop(sender)
		return nil, errParts
	}
	p.next++
	p.at = now
	p.data = append(p.data, data...)
	j.bytes += len(data)
	if more {
		return nil, nil
	}
	j.drop(sender)
	return p.data, nil
}

func (j *joiner) drop(sender [8]byte) {
	if p := j.partial[sender]; p != nil {
		j.bytes -= len(p.data)
		delete(j.partial, sender)
	}
}

func (j *joiner) expire(now time.Time) {
	for sender, p := range j.partial {
		if now.Sub(p.at) > partTimeout {
			j.drop(sender)
		}
	}
}
