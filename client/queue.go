package client

import (
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

// A task is one thing for a queue to do: to call run, or to handle an event of a session.
type task struct {
	run  func()
	sess *session
	msg  *event.Message
	size int
}

// taskOverhead is what a queued event takes besides its data, about.
const taskOverhead = 200

func (t *task) do() {
	if t.run != nil {
		t.run()
	} else {
		t.sess.socket.handle(t.sess, t.msg)
	}
}

// A queue calls handlers one after the other, on a goroutine that exists only while there is something to do. At rest it
// holds no memory.
type queue struct {
	mu      sync.Mutex
	tasks   []task
	bytes   int
	running bool
	room    chan struct{} // closed when tasks were taken; made by a reader that waits
}

// push appends a task whatever the limits.
func (q *queue) push(w *work, t task) {
	q.mu.Lock()
	q.pushLocked(w, t)
	q.mu.Unlock()
}

func (q *queue) pushLocked(w *work, t task) {
	q.tasks = append(q.tasks, t)
	q.bytes += t.size
	if !q.running {
		q.running = true
		w.start(q.drain)
	}
}

// pushWithin is push within the limits. While there is no room it waits, and with it the connection: that is the back
// pressure that a fast sender feels. It reports false if there was none in time; when gone is closed it gives up.
func (q *queue) pushWithin(w *work, t task, limits *QueueOptions, gone <-chan struct{}) bool {
	var deadline *time.Timer
	q.mu.Lock()
	for len(q.tasks) > 0 && (len(q.tasks) >= limits.MaxEvents || q.bytes+t.size > limits.MaxBytes) {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		if deadline == nil {
			deadline = time.NewTimer(limits.Timeout)
			defer deadline.Stop()
		}
		select {
		case <-room:
		case <-deadline.C:
			return false
		case <-gone:
			return true // nobody wants the event any more
		}
		q.mu.Lock()
	}
	q.pushLocked(w, t)
	q.mu.Unlock()
	return true
}

// drain takes all that is queued and does it, until nothing is.
func (q *queue) drain() {
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
			batch[i].do()
			batch[i] = task{}
		}
		spare = batch[:0]
	}
}
