package tunnel

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Messages, all of which end with a MAC of macLen bytes:
//
//	typeHello, typeWelcome: type, both random ids (the second is zero in a hello), time (8), sender's name
//	typeReset:              type, id: there is no such link any more
//	typeFrame:              type, 1 from who began the link or 0, id, number (8), kind, connection (4), body
//
// Both servers contribute a random id to the key of a link, so that nothing can be sent again in another one.
const (
	typeHello   = 'H'
	typeWelcome = 'W'
	typeReset   = 'R'
	typeFrame   = 'F'

	macLen      = 16
	frameHeader = 1 + 1 + 16 + 8 + 1 + 4
	greetHeader = 1 + 16 + 16 + 8
	// maxAge is how old a hello may be: as much as clocks may differ.
	maxAge = time.Minute
)

// Kinds of frames.
const (
	kindBeat   = iota // the sender is there, and has sent as many messages as the number says
	kindOpen          // a connection
	kindData          // of a connection
	kindWindow        // so many bytes were read (4)
	kindClose         // of a connection: nothing follows, nothing is read
	kindEnd           // of the link
)

type linkID [16]byte

func sign(key, message []byte, to string) []byte {
	return append(message, sum(key, message, []byte(to))[:macLen]...)
}

// verified returns a message without its MAC.
func verified(key, message []byte, to string) ([]byte, bool) {
	n := len(message) - macLen
	if n < 0 || !hmac.Equal(message[n:], sum(key, message[:n], []byte(to))[:macLen]) {
		return nil, false
	}
	return message[:n], true
}

func (t *Tunnel) greeting(typ byte, to string, a, b linkID, now time.Time) []byte {
	m := make([]byte, 0, greetHeader+len(t.o.ID)+macLen)
	m = append(append(append(m, typ), a[:]...), b[:]...)
	m = binary.BigEndian.AppendUint64(m, uint64(now.Unix()))
	return sign(t.key, append(m, t.o.ID...), to)
}

// receive takes a message of any server. It does not block.
func (t *Tunnel) receive(payload []byte) {
	if len(payload) == 0 {
		return
	}
	switch payload[0] {
	case typeFrame:
		t.receiveFrame(payload)
	case typeReset:
		m, ok := verified(t.key, payload, t.o.ID)
		if !ok || len(m) != 1+len(linkID{}) {
			return
		}
		if l := t.link(linkKey{linkID(m[1:]), true}); l != nil {
			l.fail(errEnded)
		}
	case typeHello, typeWelcome:
		m, ok := verified(t.key, payload, t.o.ID)
		if !ok || len(m) <= greetHeader {
			return
		}
		a, b := linkID(m[1:17]), linkID(m[17:33])
		at, from := time.Unix(int64(binary.BigEndian.Uint64(m[33:])), 0), string(m[greetHeader:])
		if time.Since(at).Abs() > maxAge {
			t.o.Logger.Warn("tunnel: a server's clock differs too much", "server", from)
			return
		}
		if m[0] == typeHello {
			t.welcome(from, a)
		} else if l := t.link(linkKey{a, true}); l != nil && l.peer == from {
			l.start(b)
		}
	}
}

func (t *Tunnel) link(k linkKey) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.links[k]
}

// welcome accepts a link that another server begins.
func (t *Tunnel) welcome(from string, a linkID) {
	k := linkKey{a, false}
	t.mu.Lock()
	if t.closed || t.links[k] != nil || len(t.links) >= maxLinks {
		t.mu.Unlock()
		return
	}
	l := t.newLink(from, false)
	l.id = a
	t.links[k] = l
	t.wg.Go(l.run)
	t.mu.Unlock()
	var b linkID
	rand.Read(b[:]) // never fails
	l.start(b)
	if err := t.o.Bus.Send(from, t.greeting(typeWelcome, from, a, b, time.Now())); err != nil {
		l.fail(err)
	}
}

func (t *Tunnel) receiveFrame(payload []byte) {
	if len(payload) < frameHeader+macLen || payload[1] > 1 {
		return
	}
	began := payload[1] == 0 // it is not from who began, so it was this server
	id := linkID(payload[2:18])
	l := t.link(linkKey{id, began})
	if l == nil {
		// After a restart, say. Only who began is told, who may have much to lose by waiting. To whom is in the frame of
		// nobody, so a beat says it.
		if payload[26] == kindBeat && !began {
			if from := payload[frameHeader : len(payload)-macLen]; len(from) > 0 && len(from) < 256 && validName(string(from)) {
				m := append([]byte{typeReset}, id[:]...)
				_ = t.o.Bus.Send(string(from), sign(t.key, m, string(from)))
			}
		}
		return
	}
	select {
	case <-l.ready:
	default:
		return
	}
	m, ok := verified(l.key, payload, t.o.ID)
	if !ok {
		return // not of the other server: no reason to end anything
	}
	l.receive(binary.BigEndian.Uint64(m[18:]), m[26], binary.BigEndian.Uint32(m[27:]), m[frameHeader:])
}

// validName reports whether a name may be that of a server, and so part of a channel's.
func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}
