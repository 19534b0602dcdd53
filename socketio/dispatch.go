package socketio

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

// A task is one thing for a socket's worker to do: handle an event, or call run.
type task struct {
	msg  *event.Message
	run  func()
	size int
}

// taskOverhead is what a queued event takes besides its data, about.
const taskOverhead = 200

// A queue holds the tasks of one socket. A goroutine works on it while there are any; at rest there is none, and no
// memory is held.
type queue struct {
	mu      sync.Mutex
	tasks   []task
	bytes   int
	running bool
	room    chan struct{} // closed when tasks were taken; made by a reader that waits
}

// push appends a task and sees to it that somebody works on it.
func (s *Socket) push(t task) {
	q := &s.queue
	q.mu.Lock()
	s.pushLocked(t)
	q.mu.Unlock()
}

func (s *Socket) pushLocked(t task) {
	q := &s.queue
	q.tasks = append(q.tasks, t)
	q.bytes += t.size
	if !q.running {
		q.running = true
		s.ns.server.work.add()
		go s.drain()
	}
}

// pushEvent is push within the limits. While there is no room it waits, and with it the connection: that is the back
// pressure that a fast sender feels. It reports false if there was none in time.
func (s *Socket) pushEvent(t task) bool {
	limits := &s.ns.server.opts.Limits
	q := &s.queue
	var deadline *time.Timer
	q.mu.Lock()
	for len(q.tasks) > 0 && (len(q.tasks) >= limits.MaxQueuedEvents || q.bytes+t.size > limits.MaxQueuedBytes) {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		if deadline == nil {
			deadline = time.NewTimer(limits.QueueTimeout)
			defer deadline.Stop()
		}
		select {
		case <-room:
		case <-deadline.C:
			return false
		}
		q.mu.Lock()
	}
	s.pushLocked(t)
	q.mu.Unlock()
	return true
}

// drain is the worker: it takes all that is queued and does it, until nothing is.
func (s *Socket) drain() {
	defer s.ns.server.work.done()
	q := &s.queue
	var spare []task
	for {
		q.mu.Lock()
		batch := q.tasks
		if len(batch) == 0 {
			q.tasks = nil
			q.running = false
			q.mu.Unlock()
			return
		}
		q.tasks, q.bytes = spare, 0
		if q.room != nil {
			close(q.room)
			q.room = nil
		}
		q.mu.Unlock()
		for i := range batch {
			if t := &batch[i]; t.run != nil {
				t.run()
			} else {
				s.handle(t.msg)
			}
			batch[i] = task{}
		}
		spare = batch[:0]
	}
}

// workers counts the goroutines that run handlers, so that a shutdown can wait for them.
type workers struct {
	n    atomic.Int64
	mu   sync.Mutex
	idle chan struct{} // closed when n is 0; made by who waits
}

func (w *workers) add() { w.n.Add(1) }

func (w *workers) done() {
	if w.n.Add(-1) == 0 {
		w.mu.Lock()
		if w.idle != nil && w.n.Load() == 0 {
			close(w.idle)
			w.idle = nil
		}
		w.mu.Unlock()
	}
}

func (w *workers) wait(ctx context.Context) error {
	w.mu.Lock()
	if w.n.Load() == 0 {
		w.mu.Unlock()
		return nil
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serial runs functions one after the other, on a goroutine that exists only while there are any.
type serial struct {
	mu      sync.Mutex
	queue   []func()
	running bool
}

func (q *serial) push(w *workers, f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, f)
	if !q.running {
		q.running = true
		w.add()
		go q.drain(w)
	}
}

func (q *serial) drain(w *workers) {
	defer w.done()
	for {
		q.mu.Lock()
		batch := q.queue
		q.queue = nil
		if len(batch) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for _, f := range batch {
			f()
		}
	}
}
