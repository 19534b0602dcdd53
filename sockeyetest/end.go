package sockeyetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

// An End is one end of a connection, as a test sees it: it keeps the events that have come in, in their order, until the
// test looks at them, and sends. A [Client] is one, and a [Peer].
//
// Methods that take a testing.TB end the test if they find something else than what they are asked for.
type End struct {
	srv    *Server
	socket interface {
		event.Emitter
		event.Caller
		event.Listener
	}
	who      func() string // whose it is
	state    func() string // of the connection, in words
	gone     func() bool   // not connected, and not going to be
	foreign  func() bool   // the other end is not of this package; nil if it surely is
	recovers func() bool   // events come with an argument for recovery

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
	unread  []Event
	steps   []step // of the connection, not looked at yet
	offline bool   // the last step was no connect
	ignored map[string]bool
	log     transcript
	moved   int // events in and out, see Server.Settle
	settled int // the last barrier that came back
}

func newEnd(srv *Server, recovers func() bool) *End {
	return &End{srv: srv, recovers: recovers, changed: make(chan struct{}), offline: true, log: newTranscript()}
}

// box is for what takes either kind.
func (b *End) box() *End { return b }

// update changes it and wakes who waits for it.
func (b *End) update(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	close(b.changed)
	b.changed = make(chan struct{})
}

// arrived is told of every event that comes in.
func (b *End) arrived(m *event.Message) {
	if m.Event() == barrier {
		b.update(func() { _ = m.Arg(0, &b.settled) }) // it is ours
		return
	}
	e := received(m, b.recovers())
	b.update(func() {
		b.moved++
		b.log.add("received " + cut(e.String(), shortText))
		if !b.ignored[e.Name] {
			b.unread = append(b.unread, e)
		}
	})
}

// left is told of every event that is emitted.
func (b *End) left(m *event.Message) {
	if m.Event() == barrier {
		return
	}
	e := received(m, false)
	b.update(func() {
		b.moved++
		b.log.add("emitted " + cut(e.String(), shortText))
	})
}

// await calls ready, with b.mu held, until it reports true. It reports false when patience is at its end, and also
// when the connection is and nothing more can come.
func (b *End) await(ready func() bool) bool {
	patience := time.NewTimer(b.srv.patience())
	defer patience.Stop()
	gone := false
	for {
		b.mu.Lock()
		ok, changed, offline := ready(), b.changed, b.offline
		b.mu.Unlock()
		if ok {
			return true
		}
		var again <-chan time.Time
		if offline {
			again = time.After(goneInterval)
		}
		select {
		case <-changed:
			gone = false
		case <-again:
			was := gone
			if gone = b.gone(); gone && was {
				return false
			}
		case <-patience.C:
			return false
		}
	}
}

// goneInterval is how often it is looked whether a client has given up, which changes nothing here. It counts when it is
// found twice in a row, since what came before may be on its way.
const goneInterval = 500 * time.Millisecond

// take waits for the next event.
func (b *End) take() (e Event, ok bool) {
	ok = b.await(func() bool {
		if len(b.unread) == 0 {
			return false
		}
		e = b.unread[0]
		b.unread = b.unread[1:]
		return true
	})
	return e, ok
}

// Next waits for the next event and returns it.
func (b *End) Next(t testing.TB) Event {
	t.Helper()
	e, ok := b.take()
	if !ok {
		t.Fatal(b.report("no event came", nil))
	}
	return e
}

// NextOf waits for the next event of the name and returns it. Others before it stay to be looked at.
func (b *End) NextOf(t testing.TB, name string) Event {
	t.Helper()
	e, ok := b.pick(func(e Event) bool { return e.Name == name })
	if !ok {
		t.Fatal(b.report("no event "+name+" came", nil))
	}
	return e
}

// pick waits for an event and takes it out, leaving the others.
func (b *End) pick(fits func(Event) bool) (e Event, ok bool) {
	ok = b.await(func() bool {
		i := slices.IndexFunc(b.unread, fits)
		if i < 0 {
			return false
		}
		e = b.unread[i]
		b.unread = slices.Delete(slices.Clone(b.unread), i, i+1)
		return true
	})
	return e, ok
}

// Received returns the events that were not looked at yet, after everything has come to rest (see [Server.Settle]).
func (b *End) Received(t testing.TB) []Event {
	t.Helper()
	b.settle(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.unread
	b.unread = nil
	return all
}

// Ignore forgets events of these names, those that are there and those to come.
func (b *End) Ignore(names ...string) {
	b.update(func() {
		if b.ignored == nil {
			b.ignored = map[string]bool{}
		}
		for _, name := range names {
			b.ignored[name] = true
		}
		b.unread = slices.DeleteFunc(slices.Clone(b.unread), func(e Event) bool { return b.ignored[e.Name] })
	})
}
