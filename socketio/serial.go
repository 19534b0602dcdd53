package socketio

import "sync"

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
