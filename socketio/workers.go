package socketio

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// workers are the goroutines that run handlers. One that has emptied a socket's queue parks for a while and takes the
// next socket that has work: its stack has grown to what handlers need, and growing it anew for each event cost a sixth
// of an echo's CPU. There is no limit on how many run, since handlers may block, only on how many park.
type workers struct {
	busy atomic.Int64 // goroutines that a shutdown has to wait for

	mu       sync.Mutex
	idle     chan struct{} // closed when busy is 0; made by who waits
	parked   []worker      // the last one parked is the first one taken
	unneeded int           // how many of parked have not been taken since the last trim
	trimming bool          // a trim is due
	stopped  bool
}

// A worker is a parked goroutine, which waits for a job, or for one without a socket to end.
type worker chan job

// A job is a socket with something to do, and the first thing of it, which needs no place in the socket's queue.
type job struct {
	s     *Socket
	first task
}

const (
	// maxParked bounds the memory of parked goroutines, about 8 KB each.
	maxParked = 64
	// trimInterval is how long a worker is kept that nothing needs.
	trimInterval = time.Second
)

// start has the socket's queue drained by a parked worker or a new one.
func (w *workers) start(s *Socket, first task) {
	w.add()
	w.mu.Lock()
	last := len(w.parked) - 1
	if last < 0 {
		w.mu.Unlock()
		go w.run(job{s, first})
		return
	}
	next := w.parked[last]
	w.parked = w.parked[:last]
	w.unneeded = min(w.unneeded, last)
	w.mu.Unlock()
	next <- job{s, first}
}

func (w *workers) run(j job) {
	self := make(worker, 1)
	for j.s != nil {
		j.s.drain(j.first)
		w.done()
		if !w.park(self) {
			return
		}
		j = <-self
	}
}

func (w *workers) park(self worker) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || len(w.parked) >= maxParked {
		return false
	}
	w.parked = append(w.parked, self)
	if !w.trimming {
		w.trimming = true
		time.AfterFunc(trimInterval, w.trim)
	}
	return true
}

// trim ends the workers that nothing has needed for a whole interval.
func (w *workers) trim() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.parked[:w.unneeded] {
		p <- job{}
	}
	n := copy(w.parked, w.parked[w.unneeded:])
	clear(w.parked[n:])
	w.parked = w.parked[:n]
	w.unneeded = n
	w.trimming = n > 0
	if w.trimming {
		time.AfterFunc(trimInterval, w.trim)
	}
}

// stop ends the parked workers; nobody parks from now on.
func (w *workers) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for _, p := range w.parked {
		p <- job{}
	}
	w.parked, w.unneeded = nil, 0
}

func (w *workers) add() { w.busy.Add(1) }

func (w *workers) done() {
	if w.busy.Add(-1) == 0 {
		w.mu.Lock()
		if w.idle != nil && w.busy.Load() == 0 {
			close(w.idle)
			w.idle = nil
		}
		w.mu.Unlock()
	}
}

// wait returns when nobody is busy.
func (w *workers) wait(ctx context.Context) error {
	w.mu.Lock()
	if w.busy.Load() == 0 {
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
