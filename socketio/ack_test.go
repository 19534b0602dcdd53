package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// ackID returns the id in a frame such as 42/ns,17["ev"].
func ackID(t *testing.T, frame, event string) string {
	t.Helper()
	id, ok := strings.CutSuffix(strings.TrimPrefix(frame, "42"), event)
	if !ok || id == "" {
		t.Fatalf("received %q, want %s with an id", frame, event)
	}
	return id
}

func TestAckFromClient(t *testing.T) {
	_, peers, s := crowd(t, nil, 1)
	type result struct {
		ack *socketio.Ack
		err error
	}
	results := make(chan result, 1)
	go func() {
		ack, err := s[0].EmitWithAck(context.Background(), "ask", 1)
		results <- result{ack, err}
	}()
	p := peers[0]
	id := ackID(t, p.next(), `["ask",1]`)
	p.send("43" + id + `["yes",{"n":2}]`)
	p.send("43" + id + `["again"]`)
	r := receive(t, results)
	var yes string
	var n struct{ N int }
	if r.err != nil || r.ack.Bind(&yes, &n) != nil || yes != "yes" || n.N != 2 {
		t.Errorf("%v %v %q %v", r.ack, r.err, yes, n)
	}
}

func TestHandlerMayWaitForAnAck(t *testing.T) {
	st := serve(t, nil)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("go", func(ctx context.Context, m *socketio.Message) error {
			ack, err := s.EmitWithAck(ctx, "ask")
			if err != nil {
				return err
			}
			return m.Ack(ack.Raw(0))
		})
	})
	p := st.join()
	p.send(`421["go"]`)
	id := ackID(t, p.next(), `["ask"]`)
	p.send(`42["other"]`)
	p.send("43" + id + `["answer"]`)
	p.expect(`431["answer"]`)
}

func TestAckToClient(t *testing.T) {
	st := serve(t, nil)
	errs := make(chan error, 3)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.OnError(func(err error) { errs <- err })
		s.On("twice", func(_ context.Context, m *socketio.Message) error {
			if !m.WantsAck() {
				t.Error("no ack is wanted")
			}
			if err := m.Ack("one", []int{2}); err != nil {
				t.Error(err)
			}
			return m.Ack("two")
		})
		s.On("coded", func(context.Context, *socketio.Message) error { return event.Errorf("full", "room %d is full", 7) })
		s.On("secret", func(context.Context, *socketio.Message) error { return errors.New("hunter2") })
		s.On("panic", func(context.Context, *socketio.Message) error { panic("boom") })
		s.On("none", func(context.Context, *socketio.Message) error { return nil })
	})
	p := st.join()
	p.send(`420["twice"]`)
	p.expect(`430["one",[2]]`)
	if err := receive(t, errs); !errors.Is(err, event.ErrAcked) {
		t.Errorf("second ack: %v", err)
	}
	p.send(`421["coded"]`)
	p.expect(`431[{"error":{"code":"full","message":"room 7 is full"}}]`)
	receive(t, errs)
	p.send(`422["secret"]`)
	p.expect(`432[{"error":{"code":"internal","message":"internal error"}}]`)
	receive(t, errs)
	p.send(`423["none"]`)
	p.send(`424["panic"]`)
	p.expect(`434[{"error":{"code":"internal","message":"internal error"}}]`)
	err := receive(t, errs)
	if pe, ok := errors.AsType[*socketio.PanicError](err); !ok || pe.Value != "boom" || !strings.Contains(string(pe.Stack), "ack_test.go") {
		t.Errorf("panic came as %v", err)
	}
	p.send(`425["twice"]`) // the socket lives on
	p.expect(`435["one",[2]]`)
}

func TestPendingAcksFailAtOnceOnDisconnect(t *testing.T) {
	for _, recovery := range []*socketio.RecoveryOptions{nil, {}} {
		_, peers, s := crowd(t, &socketio.Options{Recovery: recovery}, 1)
		errs := make(chan error, 1)
		go func() {
			_, err := s[0].EmitWithAck(context.Background(), "ask")
			errs <- err
		}()
		peers[0].next()
		peers[0].close()
		if err := receive(t, errs); err != socketio.ErrDisconnected {
			t.Errorf("error is %v", err)
		}
		if _, err := s[0].EmitWithAck(context.Background(), "ask"); err != socketio.ErrDisconnected {
			t.Errorf("error is %v", err)
		}
	}
}

func TestAckTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{AckTimeout: 7 * time.Second})
		sockets := make(chan *socketio.Socket, 1)
		st.io.OnConnection(func(s *socketio.Socket) { sockets <- s })
		p := st.join()
		s := <-sockets
		for name, tc := range map[string]struct {
			call func() error
			want time.Duration
		}{
			"default": {func() error { _, err := s.EmitWithAck(t.Context(), "x"); return err }, 7 * time.Second},
			"timeout": {func() error { _, err := s.Timeout(2*time.Second).EmitWithAck(t.Context(), "x"); return err }, 2 * time.Second},
			"context": {func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second)
				defer cancel()
				_, err := s.EmitWithAck(ctx, "x")
				return err
			}, 11 * time.Second},
			"many": {func() error { _, err := st.io.Timeout(3*time.Second).EmitWithAck(t.Context(), "x"); return err }, 3 * time.Second},
		} {
			start := time.Now()
			err := tc.call()
			if e, ok := errors.AsType[*socketio.AckTimeoutError](err); !ok || !e.Timeout() || e.Expected != 1 || e.Received != 0 {
				t.Errorf("%s: %v", name, err)
			}
			if d := time.Since(start); d != tc.want {
				t.Errorf("%s took %v, want %v", name, d, tc.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		if _, err := s.EmitWithAck(ctx, "x"); err != context.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		p.close()
		stop()
	})
}

func TestTooManyPendingAcks(t *testing.T) {
	_, peers, s := crowd(t, &socketio.Options{Limits: socketio.Limits{MaxPendingAcks: 2}}, 1)
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := s[0].EmitWithAck(context.Background(), "ask")
			errs <- err
		}()
	}
	a, b := ackID(t, peers[0].next(), `["ask"]`), ackID(t, peers[0].next(), `["ask"]`)
	if _, err := s[0].EmitWithAck(context.Background(), "ask"); err != socketio.ErrTooManyAcks {
		t.Errorf("third: %v", err)
	}
	for _, id := range []string{a, b} {
		peers[0].send("43" + id + "[]")
		if err := receive(t, errs); err != nil {
			t.Error(err)
		}
	}
}

func TestAcksFromMany(t *testing.T) {
	st, peers, s := crowd(t, nil, 4)
	for _, s := range s[:3] {
		s.Join("room")
	}
	type result struct {
		acks []*socketio.Ack
		err  error
	}
	call := func(b socketio.Broadcast) chan result {
		c := make(chan result, 1)
		go func() {
			acks, err := b.EmitWithAck(context.Background(), "ask")
			c <- result{acks, err}
		}()
		return c
	}
	c := call(st.io.To("room"))
	for i, p := range peers[:3] {
		p.send(fmt.Sprintf("43%s[%d]", ackID(t, p.next(), `["ask"]`), i))
	}
	r := receive(t, c)
	sum := 0
	for _, a := range r.acks {
		var n int
		a.Bind(&n)
		sum += n
	}
	if r.err != nil || len(r.acks) != 3 || sum != 3 {
		t.Errorf("%d acks, sum %d, %v", len(r.acks), sum, r.err)
	}

	if r := receive(t, call(st.io.To("nobody"))); r.err != nil || len(r.acks) != 0 {
		t.Errorf("nobody: %d acks, %v", len(r.acks), r.err)
	}

	// One answers, one goes away, one is silent.
	c = call(st.io.To("room").Timeout(200 * time.Millisecond))
	id := ackID(t, peers[0].next(), `["ask"]`)
	peers[0].send("43" + id + "[1]")
	peers[1].close()
	r = receive(t, c)
	e, ok := errors.AsType[*socketio.AckTimeoutError](r.err)
	if !ok || len(r.acks) != 1 || e.Expected != 3 || e.Received != 1 || e.Disconnected != 1 || !e.Timeout() {
		t.Errorf("%d acks, %v", len(r.acks), r.err)
	}

	// All that are left answer or go away: nobody waits for the timeout.
	c = call(st.io.To("room").Timeout(time.Hour))
	peers[2].next()
	id = ackID(t, peers[2].next(), `["ask"]`)
	peers[2].send("43" + id + "[1]")
	peers[0].next()
	peers[0].close()
	r = receive(t, c)
	if !errors.Is(r.err, socketio.ErrDisconnected) || len(r.acks) != 1 {
		t.Errorf("%d acks, %v", len(r.acks), r.err)
	}
}

func TestTypedEventsAndCalls(t *testing.T) {
	type pair struct{ A, B int }
	add := event.NewCall[pair, int]("add")
	say := event.New[string]("say")
	st := serve(t, nil)
	st.io.OnConnection(func(s *socketio.Socket) {
		add.On(s, func(_ context.Context, p pair) (int, error) { return p.A + p.B, nil })
		say.On(s, func(ctx context.Context, text string) error {
			s, ok := socketio.FromContext(ctx)
			if !ok {
				return errors.New("no socket in the context")
			}
			return say.Emit(s.Namespace(), text)
		})
		s.On("double", func(ctx context.Context, m *socketio.Message) error {
			sum, err := add.Call(ctx, s, pair{4, 5})
			if err != nil {
				return err
			}
			return m.Ack(sum)
		})
		s.On("all", func(ctx context.Context, m *socketio.Message) error {
			sums, err := add.CallAll(ctx, st.io.To(s.ID()), pair{1, 1})
			if err != nil {
				return err
			}
			return m.Ack(sums)
		})
	})
	p := st.join()
	p.send(`420["add",{"A":1,"B":2}]`)
	p.expect(`430[3]`)
	p.send(`42["say","hi"]`)
	p.expect(`42["say","hi"]`)
	p.send(`421["double"]`)
	id := ackID(t, p.next(), `["add",{"A":4,"B":5}]`)
	p.send("43" + id + "[9]")
	p.expect(`431[9]`)
	p.send(`422["all"]`)
	id = ackID(t, p.next(), `["add",{"A":1,"B":1}]`)
	p.send("43" + id + "[2]")
	p.expect(`432[[2]]`)
}
