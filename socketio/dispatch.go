package socketio

import (
	"sync"
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
	if !q.running {
		q.running = true
		s.ns.server.work.start(s, t)
		return
	}
	q.tasks = append(q.tasks, t)
	q.bytes += t.size
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

func (s *Socket) do(t task) {
	if t.run != nil {
		t.run()
	} else {
		s.handle(t.msg)
	}
}

// drain does the first task, then takes all that is queued and does it, until nothing is.
func (s *Socket) drain(first task) {
	s.do(first)
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
			s.do(batch[i])
			batch[i] = task{}
		}
		spare = batch[:0]
	}
}
