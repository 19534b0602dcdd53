package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// call is EmitWithAck on a goroutine.
func call(ctx context.Context, e interface {
	EmitWithAck(ctx context.Context, name string, args ...any) (*Ack, error)
}, name string) chan ackResult {
	result := make(chan ackResult, 1)
	go func() {
		a, err := e.EmitWithAck(ctx, name)
		result <- ackResult{a, err}
	}()
	synctest.Wait()
	return result
}

func TestAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, nil)
		a, b := call(t.Context(), s, "a"), call(t.Context(), s, "b")
		conn.expect(`20["a"]`, `21["b"]`)
		conn.deliver(`31["for b"]`, `30["for a"]`, `30["again"]`, `399[]`, `3[]`)
		for _, test := range []struct {
			result chan ackResult
			want   string
		}{{a, "for a"}, {b, "for b"}} {
			r := <-test.result
			var text string
			if r.err != nil || r.ack.Bind(&text) != nil || text != test.want {
				t.Errorf("acknowledgement is %q: %v", text, r.err)
			}
		}
		if s.acks != nil {
			t.Error("acknowledgements are still expected")
		}
	})
}

func TestAckTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, &Options{AckTimeout: 10 * time.Second})
		deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		for _, test := range []struct {
			result chan ackResult
			after  time.Duration
		}{
			{call(t.Context(), s.Timeout(time.Second), "e"), time.Second},
			{call(deadline, s.Timeout(5*time.Second), "e"), 5 * time.Second},
			{call(t.Context(), s, "e"), 10 * time.Second},
			{call(deadline, s, "e"), 20 * time.Second},
		} {
			r := <-test.result
			timeout, ok := errors.AsType[*AckTimeoutError](r.err)
			if !ok || !timeout.Timeout() || timeout.Event != "e" || !errors.Is(r.err, context.DeadlineExceeded) {
				t.Errorf("error is %v", r.err)
			}
			if got := time.Since(began); got != test.after {
				t.Errorf("after %v, want %v", got, test.after)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := call(ctx, s, "e")
		cancel()
		if r := <-r; r.err != context.Canceled {
			t.Errorf("error is %v", r.err)
		}
		if r := <-call(ctx, s, "e"); r.err != context.Canceled {
			t.Errorf("error is %v", r.err)
		}
		if s.acks != nil {
			t.Error("acknowledgements are still expected")
		}
		if sent := conn.packets(); len(sent) != 5 {
			t.Errorf("sent %q", sent)
		}
	})
}

func TestAcksAndTheEndOfTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, conn := connected(t, nil)
		sent := call(t.Context(), s, "sent")
		conn.expect(`20["sent"]`)
		conn.breakSilently()
		kept := call(t.Context(), s, "kept")
		gone := call(t.Context(), s.Timeout(time.Second), "gone")
		s.Emit("plain")
		conn.tell("transport close", nil)
		if r := <-sent; r.err != ErrDisconnected {
			t.Errorf("error is %v", r.err)
		}
		if r := <-gone; !errors.Is(r.err, context.DeadlineExceeded) {
			t.Errorf("error is %v", r.err)
		}
		time.Sleep(2 * time.Second)
		conn = f.open()
		conn.deliver(`0{"sid":"a"}`)
		conn.expect(`0`, `21["kept"]`, `2["plain"]`)
		conn.deliver(`30["late"]`, `31["ok"]`)
		if r := <-kept; r.err != nil {
			t.Error(r.err)
		}
		volatile := call(t.Context(), s.Volatile(), "now")
		conn.expect(`23["now"]`)
		conn.deliver(`33[]`)
		if r := <-volatile; r.err != nil {
			t.Error(r.err)
		}
		s.Disconnect()
		if r := <-call(t.Context(), s.Volatile(), "now"); r.err != ErrDisconnected {
			t.Errorf("error is %v", r.err)
		}
	})
}

func TestPendingAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, conn := connected(t, &Options{AckTimeout: 10 * time.Second})
		emit := func(name string) *Pending {
			p, err := s.EmitForAck(name)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		a, b, c := emit("a"), emit("b"), emit("c")
		conn.expect(`20["a"]`, `21["b"]`, `22["c"]`)
		conn.deliver(`31["for b"]`, `30["for a"]`)
		for p, want := range map[*Pending]string{a: "for a", b: "for b"} {
			for range 2 { // the second call gets the same
				ack, err := p.Wait(t.Context())
				var text string
				if err != nil || ack.Bind(&text) != nil || text != want {
					t.Errorf("acknowledgement is %q: %v", text, err)
				}
			}
		}

		// The time runs from when the event was emitted.
		time.Sleep(9 * time.Second)
		began := time.Now()
		if _, err := c.Wait(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		// What has come is not lost to who looks late.
		late := emit("late")
		conn.deliver(`33["ok"]`)
		time.Sleep(time.Minute)
		if _, err := late.Wait(t.Context()); err != nil {
			t.Error(err)
		}

		lost := emit("lost")
		conn.lose()
		kept, dropped := emit("kept"), emit("dropped")
		if _, err := lost.Wait(t.Context()); err != ErrDisconnected {
			t.Errorf("error is %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := dropped.Wait(ctx); err != context.Canceled {
			t.Errorf("error is %v", err)
		}
		time.Sleep(2 * time.Second)
		conn = f.open()
		conn.deliver(`0{"sid":"a"}`)
		conn.expect(`0`, `25["kept"]`)
		conn.deliver(`35[]`)
		if _, err := kept.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if s.acks != nil {
			t.Error("acknowledgements are still expected")
		}
		if p, err := s.EmitForAck("connect"); p != nil || !errors.Is(err, ErrReservedEvent) {
			t.Errorf("a reserved event gives %v, %v", p, err)
		}
	})
}

func TestTooManyAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := connected(t, &Options{MaxPendingAcks: 1})
		call(t.Context(), s, "one")
		if r := <-call(t.Context(), s, "two"); r.err != ErrTooManyAcks {
			t.Errorf("error is %v", r.err)
		}
	})
}

// A handler waits for an acknowledgement that comes behind other events.
func TestHandlerMayCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, nil)
		var d diary
		s.On("e", func(ctx context.Context, m *Message) error {
			a, err := s.EmitWithAck(ctx, "call")
			d.add("%v %v", a != nil, err)
			return nil
		})
		s.On("other", func(ctx context.Context, m *Message) error { d.add("other"); return nil })
		conn.deliver(`2["e"]`, `2["other"]`)
		conn.expect(`20["call"]`)
		conn.deliver(`30[]`)
		d.expect(t, "true <nil>; other")
	})
}
