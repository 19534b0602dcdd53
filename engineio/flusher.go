package engineio

import "sync"

// flusher writes the outboxes of sessions on WebSocket. A session with
// something to write is put in its list; up to GOMAXPROCS goroutines, none of
// them at rest, take sessions from it and write without ever blocking: a
// session whose peer does not keep up gets a goroutine of its own until it
// does.
//
// The detour is what makes bursts cheap: while the list is worked off, further
// messages for a session that still waits join its outbox and leave in the same
// write. With ten broadcasts in flight that saves nine of ten system calls.
type flusher struct {
	limit   int // goroutines
	mu      sync.Mutex
	list    []*webSocket
	head    int
	running int
}

// perWorker is how many waiting sessions justify another goroutine: waking an
// idle processor costs as much as about two writes.
const perWorker = 4

func (f *flusher) add(c *webSocket) {
	f.mu.Lock()
	f.list = append(f.list, c)
	start := f.running == 0 || f.running < f.limit && len(f.list)-f.head > perWorker*f.running
	if start {
		f.running++
	}
	f.mu.Unlock()
	if start {
		go f.run()
	}
}

func (f *flusher) run() {
	for {
		f.mu.Lock()
		if f.head == len(f.list) {
			f.running--
			if cap(f.list) > maxPooledBatch {
				f.list = nil
			}
			f.list, f.head = f.list[:0], 0
			f.mu.Unlock()
			return
		}
		c := f.list[f.head]
		f.list[f.head] = nil
		f.head++
		f.mu.Unlock()
		c.flushScheduled()
	}
}
