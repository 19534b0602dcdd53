package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, nil)
		var d diary
		note := func(text string) Handler {
			return func(ctx context.Context, m *Message) error { d.add("%s", text); return nil }
		}
		s.On("e", note("first"))
		s.Once("e", note("once"))
		second := s.On("e", note("second"))
		all := s.OnAny(note("any"))
		s.OnAnyOutgoing(func(m *Message) { args, _ := m.Args(); d.add("out %s %v", m.Event(), args) })
		conn.deliver(`2["e"]`, `2["e"]`, `2["other"]`)
		second.Close()
		all.Close()
		conn.deliver(`2["e"]`)
		s.Send("hello")
		d.expect(t, "any; first; once; second; any; first; second; any; first; out message [hello]")
	})
}

func TestHandlersAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, conn := connected(t, nil)
		s.On("ok", func(ctx context.Context, m *Message) error { return m.Ack("yes", []byte{1}) })
		s.On("fails", func(ctx context.Context, m *Message) error { return event.Errorf("c", "m") })
		s.On("panics", func(ctx context.Context, m *Message) error { panic("oh") })
		s.On("later", func(ctx context.Context, m *Message) error {
			go func() { time.Sleep(time.Second); m.Ack() }()
			return nil
		})
		s.On("unsendable", func(ctx context.Context, m *Message) error { return m.Ack(make(chan int)) })
		var d diary
		errs := s.OnError(func(err error) { d.add("%v", err) })
		conn.deliver(`20["ok"]`, `21["fails"]`, `22["panics"]`, `23["later"]`, `24["unsendable"]`, `2["fails"]`)
		time.Sleep(time.Second)
		conn.expect(`61-0["yes",{"_placeholder":true,"num":0}]`, `01`,
			`31[{"error":{"code":"c","message":"m"}}]`,
			`32[{"error":{"code":"internal","message":"internal error"}}]`,
			`34[{"error":{"code":"internal","message":"internal error"}}]`,
			`33[]`)
		got := d.take()
		for _, want := range []string{"m (c); client: panic in handler: oh; ", "cannot encode argument 0"} {
			if !strings.Contains(got, want) {
				t.Errorf("errors are %s, want %s", got, want)
			}
		}
		errs.Close()
		// An answer for a connection that is gone is not one for the next.
		s.On("much later", func(ctx context.Context, m *Message) error {
			time.Sleep(time.Minute)
			return m.Ack()
		})
		conn.deliver(`25["much later"]`)
		conn.lose()
		time.Sleep(2 * time.Second)
		conn = f.open()
		conn.deliver(`0{"sid":"b"}`)
		time.Sleep(time.Minute)
		conn.expect(`0`)
		d.expect(t, "")
	})
}

func TestPanicsAreCaughtEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		broken := errors.New("broken")
		c, f := newFake(t, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s := c.Of("/")
		c.OnState(func(Change) { panic("in OnState") })
		s.OnConnect(func() { panic(broken) })
		s.OnAny(func(context.Context, *Message) error { panic("in OnAny") })
		s.OnAnyOutgoing(func(*Message) { panic("in OnAnyOutgoing") })
		s.OnDisconnect(func(Reason, error) { panic("in OnDisconnect") })
		var d diary
		s.OnError(func(err error) {
			e, ok := errors.AsType[*PanicError](err)
			if !ok || len(e.Stack) == 0 {
				t.Errorf("error is %v", err)
			}
			d.add("%v %v", e.Value, errors.Is(err, broken))
			panic("in OnError")
		})
		s.Open()
		conn := f.open()
		conn.deliver(`0{"sid":"a"}`, `2["e"]`)
		s.Emit("e")
		conn.expect(`0`, `2["e"]`)
		conn.lose()
		d.expect(t, "broken true; in OnAny false; in OnAnyOutgoing false; in OnDisconnect false")
		if got := log.String(); !strings.Contains(got, "in OnState") || !strings.Contains(got, "in OnError") {
			t.Errorf("log is %s", got)
		}
	})
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestErrorsNobodyListensForAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		s, _, conn := connected(t, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s.On("e", func(context.Context, *Message) error { return errors.New("broken") })
		s.On("told", func(context.Context, *Message) error { return event.Errorf("c", "the server is told") })
		conn.deliver(`2["e"]`, `2["told"]`)
		if got := log.String(); !strings.Contains(got, "broken") || strings.Contains(got, "is told") {
			t.Errorf("log is %s", got)
		}
	})
}

// TestErrorsThatComeTooFast: one that emits without end while a handler is busy does not fill the memory with errors.
func TestErrorsThatComeTooFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, &Options{Buffer: BufferOptions{MaxEvents: 1, Policy: DropOldest}})
		s := c.Of("/")
		var told []error
		s.OnError(func(err error) { told = append(told, err) })
		free := make(chan struct{})
		s.OnConnect(func() { <-free })
		s.Open()
		conn := f.open()
		conn.deliver(`0{"sid":"a"}`)
		conn.lose()
		for i := range 100_001 {
			if err := s.Emit("e", i); err != nil {
				t.Fatal(err)
			}
		}
		s.queue.mu.Lock()
		waiting := len(s.queue.tasks)
		s.queue.mu.Unlock()
		if waiting > 2000 {
			t.Errorf("%d calls of listeners wait", waiting)
		}
		close(free)
		synctest.Wait()
		if len(told) != maxTold+1 || !strings.Contains(fmt.Sprint(told[1]), "98976 more errors") {
			t.Errorf("%d errors were told, the second is %v", len(told), told[1])
		}
	})
}

func TestHandlerContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, nil)
		ended := make(chan struct{})
		s.On("e", func(ctx context.Context, m *Message) error { <-ctx.Done(); close(ended); return nil })
		conn.deliver(`2["e"]`)
		conn.lose()
		<-ended
	})
}

// The read path waits for room, but not for ever; acknowledgements wait with it.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, q := range []QueueOptions{{MaxEvents: 2}, {MaxBytes: 2*taskOverhead + 30}} {
			q.Timeout = 5 * time.Second
			s, f, conn := connected(t, &Options{Queue: q})
			var d diary
			d.watch(s)
			release := make(chan struct{})
			s.On("e", func(context.Context, *Message) error { <-release; return nil })
			events := func(from, to int) {
				for i := from; i <= to; i++ {
					conn.push(fmt.Sprintf(`2["e",%d]`, i))
				}
			}
			events(1, 1)
			synctest.Wait()
			events(2, 3)
			go events(4, 5) // one is being handled, two wait
			time.Sleep(4 * time.Second)
			close(release)
			synctest.Wait()
			d.expect(t, "e [1]; e [2]; e [3]; e [4]; e [5]")
			release = make(chan struct{})
			events(6, 6)
			synctest.Wait()
			events(7, 8)
			go events(9, 10)
			synctest.Wait()
			start := time.Now()
			for !conn.isEnded() {
				time.Sleep(time.Millisecond)
			}
			if got := time.Since(start); got != 5*time.Second {
				t.Errorf("closed after %v", got)
			}
			close(release)
			d.expect(t, "e [6]; e [7]; e [8]; disconnect event queue full")
			time.Sleep(2 * time.Second)
			if f.dialing() == nil {
				t.Error("does not connect again")
			}
			s.client.Close()
		}
	})
}

func TestTooManyEventsBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, &Options{Queue: QueueOptions{MaxEvents: 1}})
		c.Of("/").Open()
		conn := f.open()
		conn.deliver(`2["e"]`)
		if conn.isEnded() {
			t.Error("one is allowed")
		}
		conn.deliver(`2["e"]`)
		if !conn.isEnded() || c.State() != Reconnecting {
			t.Error("a server may send any number")
		}
	})
}

func TestDisconnectDropsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, nil)
		var d diary
		s.OnDisconnect(func(r Reason, err error) { d.add("disconnect") })
		s.On("e", func(ctx context.Context, m *Message) error {
			d.add("e")
			s.Disconnect()
			time.Sleep(time.Second)
			return nil
		})
		conn.deliver(`2["e"]`, `2["e"]`)
		time.Sleep(time.Minute)
		d.expect(t, "e; disconnect")
	})
}
