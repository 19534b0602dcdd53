package socketio

import (
	"context"
	"slices"
	"time"
)

// Context returns the context that handlers get: it is cancelled when the socket is disconnected, and has no deadline.
// [FromContext] finds the socket in it.
func (s *Socket) Context() context.Context { return (*socketContext)(s) }

// FromContext returns the socket that a handler's context belongs to.
func FromContext(ctx context.Context) (s *Socket, ok bool) {
	s, ok = ctx.Value(socketKey{}).(*Socket)
	return s, ok
}

type socketKey struct{}

// socketContext is a Socket seen as a context, so that a context costs nothing until somebody waits for it.
type socketContext Socket

func (c *socketContext) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

func (c *socketContext) Value(key any) any {
	if key == (socketKey{}) {
		return (*Socket)(c)
	}
	return nil
}

func (c *socketContext) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

func (c *socketContext) Done() <-chan struct{} {
	x := (*Socket)(c).moreOf()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done == nil {
		if c.ended.Load() {
			return closedChan
		}
		x.done = make(chan struct{})
	}
	return x.done
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// AfterFunc saves package context a goroutine for every context that is derived from this one.
func (c *socketContext) AfterFunc(f func()) (stop func() bool) {
	x := (*Socket)(c).moreOf()
	x.mu.Lock()
	defer x.mu.Unlock()
	if c.ended.Load() {
		go f()
		return func() bool { return false }
	}
	p := &f
	x.after = append(x.after, p)
	return func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		i := slices.Index(x.after, p)
		if i < 0 {
			return false
		}
		x.after = slices.Delete(x.after, i, i+1)
		return true
	}
}

// cancel ends the context.
func (s *Socket) cancel() {
	if !s.ended.CompareAndSwap(false, true) {
		return
	}
	x := s.more.Load()
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done != nil {
		close(x.done)
	}
	for _, f := range x.after {
		go (*f)()
	}
	x.after = nil
}
