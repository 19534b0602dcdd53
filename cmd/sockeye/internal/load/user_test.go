package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/event"
)

// A fakeServer answers without a network, in fake time.
type fakeServer struct {
	mu      sync.Mutex
	dialing time.Duration
	refuse  func(attempt int) error
	answer  func(since time.Duration) time.Duration // how long an acknowledgement takes; negative: it never comes
	start   time.Time
	emits   []string // "client@time name args"
	conns   []*fakeConn
	dials   int
	// echo is what is sent back to the client before an acknowledgement.
	echo func(c *fakeConn, name string, args []any)
}

type fakeConn struct {
	s      *fakeServer
	u      *user
	closed chan struct{}
	once   sync.Once
}

func (s *fakeServer) dial(ctx context.Context, u *user, _ *scope) (session, error) {
	s.mu.Lock()
	s.dials++
	n := s.dials
	s.mu.Unlock()
	select {
	case <-time.After(s.dialing):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.refuse != nil {
		if err := s.refuse(n); err != nil {
			return nil, err
		}
	}
	c := &fakeConn{s: s, u: u, closed: make(chan struct{})}
	s.mu.Lock()
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	return c, nil
}

func (c *fakeConn) note(name string, args []any) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.emits = append(c.s.emits, fmt.Sprintf("%d@%v %s %s", c.u.id, time.Since(c.s.start), name, args))
}

func (c *fakeConn) Emit(name string, args ...any) error {
	c.note(name, args)
	if c.s.echo != nil {
		c.s.echo(c, name, args)
	}
	return nil
}

func (c *fakeConn) EmitWithAck(ctx context.Context, name string, args ...any) (*event.Ack, error) {
	c.note(name, args)
	if c.s.echo != nil {
		c.s.echo(c, name, args)
	}
	d := time.Duration(0)
	if c.s.answer != nil {
		d = c.s.answer(time.Since(c.s.start))
	}
	if d < 0 {
		d = 1000 * time.Hour
	}
	select {
	case <-time.After(d):
		return event.NewAck(jsontext.Value(`[{"id":5}]`), nil), nil
	case <-c.closed:
		return nil, errNotConnected
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *fakeConn) Transport() string { return "fake" }
func (c *fakeConn) Close()            { c.once.Do(func() { close(c.closed) }) }

func (c *fakeConn) deliver(name, data string) {
	c.u.message(event.NewMessage(name, jsontext.Value(data), nil, nil))
}

// play runs a plan given as YAML against the server, in fake time.
func play(t *testing.T, s *fakeServer, text string) *Result {
	t.Helper()
	p, err := ParsePlan([]byte(text), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	p.URL = "http://fake"
	if err := p.complete(); err != nil {
		t.Fatal(err)
	}
	s.start = time.Now()
	return run(t.Context(), p, nil, s.dial)
}

func TestLatencyCountsFromWhenItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The server hangs once, for five seconds, and answers in 10 ms otherwise.
		s := &fakeServer{answer: func(since time.Duration) time.Duration {
			if since >= 2*time.Second && since < 2*time.Second+time.Millisecond {
				return 5 * time.Second
			}
			return 10 * time.Millisecond
		}}
		r := play(t, s, `
clients: 1
duration: 9500ms
steps: [{loop: {every: 1s, together: true, steps: [{emit: e, ack: true}]}}]`)
		ack, service := r.Latency["ack"], r.Latency["service"]
		// Due at 0 … 9 s. The third takes 5 s; those of 3 … 6 s begin when it is over, and are late by 4 … 1 s.
		if r.Counts.Sent != 10 || r.Counts.Acked != 10 || r.Counts.Late != 5 {
			t.Errorf("counts are %+v", r.Counts)
		}
		if ack.Max < 4990 || ack.Max > 5020 || ack.P50 < 10 || ack.stat("p60") < 1000 || ack.stat("p70") < 2000 {
			t.Errorf("ack is %+v, p60 %v", ack, ack.stat("p60"))
		}
		if service.P90 > 11 { // one of ten is slow: this is what others would report
			t.Errorf("service is %+v", service)
		}
		if r.Closed {
			t.Error("it has a schedule")
		}
	})
}

func TestScheduleOfSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{dialing: time.Second, answer: func(time.Duration) time.Duration { return 100 * time.Millisecond }}
		r := play(t, s, `
clients: 2
ramp: 10s
duration: 20s
steps:
  - connect
  - join: "room-${client}"
  - loop:
      times: 2
      every: 3s
      together: true
      steps:
        - emit: a
          args: ["${n}"]
        - think: 1s
        - loop: {times: 2, steps: [{emit: b, args: ["${n}"], ack: true}]}
  - emit: end
  - disconnect`)
		var first []string
		for _, e := range s.emits {
			if e[0] == '0' {
				first = append(first, e)
			}
		}
		want := []string{
			`0@1s join ["room-0"]`,
			`0@1.1s a [0]`, `0@2.1s b [0]`, `0@2.2s b [1]`,
			`0@4.1s a [1]`, `0@5.1s b [0]`, `0@5.2s b [1]`,
			`0@5.3s end []`,
		}
		for i := range want {
			if i >= len(first) || first[i] != want[i] {
				t.Fatalf("got %q, want %q", first, want)
			}
		}
		if c := r.Counts; c.Connects != 2 || c.ConnectedEnd != 0 || c.Turns != 12 || c.Errors != 0 || c.Late != 0 || c.Acked != 10 {
			t.Errorf("counts are %+v", c)
		}
		// The second client was due at 5 s and is through after 5.3 s: then everything is.
		if r.Seconds < 10.2 || r.Seconds > 10.4 {
			t.Errorf("it took %v s", r.Seconds)
		}
		if c := r.Latency["connect"]; c.Min < 999 || c.Max > 1001 {
			t.Errorf("connect is %+v", c)
		}
	})
}

func TestExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.echo = func(c *fakeConn, name string, args []any) {
			n := string(args[0].(jsontext.Value))
			switch name {
			case "before": // overtakes the acknowledgement
				c.deliver("seen", `["seen","noise"]`)
				c.deliver("seen", `["seen",`+n+`]`)
			case "after":
				go func() {
					time.Sleep(300 * time.Millisecond)
					c.deliver("seen", `["seen","noise"]`)
					c.deliver("seen", `["seen",`+n+`]`)
				}()
			}
		}
		r := play(t, s, `
clients: 1
duration: 10s
steps:
  - loop:
      times: 3
      every: 2s
      together: true
      steps:
        - {emit: before, args: ["${n}"], ack: true, save: {id: /0/id}}
        - {expect: seen, match: ["${n}"], timeout: 1s}
        - {emit: after, args: ["x${saved.id}-${n}"]}
        - {expect: seen, name: later, match: ["x${saved.id}-${n}"], timeout: 1s}
  - {emit: never, args: [1]}
  - {expect: unseen, timeout: 1500ms}
  - disconnect`)
		c := r.Counts
		if c.Turns != 3 || c.Expects != 7 || c.Lost != 1 || c.Errors != 1 || c.Received != 12 {
			t.Errorf("counts are %+v, errors %+v", c, r.Errors)
		}
		for _, st := range r.Steps {
			if st.Step == "expect later" && (st.Count != 3 || st.Min < 299 || st.Max > 301) {
				t.Errorf("%s is %+v", st.Step, st.Latency)
			}
		}
		if len(r.Errors) != 1 || r.Errors[0].During != "expect" || r.Errors[0].Kind != "unseen: not received in time" {
			t.Errorf("errors are %+v", r.Errors)
		}
	})
}

func TestAnswersThatDoNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{answer: func(since time.Duration) time.Duration {
			if since > 5*time.Second {
				return -1
			}
			return 0
		}}
		r := play(t, s, `
clients: 1
duration: 9500ms
fail-if: [lost>0]
steps: [{loop: {every: 1s, together: true, steps: [{emit: e, ack: true, timeout: 2s}]}}]`)
		// 0 … 5 s are answered but for the last, which is due at the same moment; then one every 2 s is tried and lost.
		if c := r.Counts; c.Lost < 1 || c.Unfinished != 0 || c.Acked != 6 || c.Lost+c.Acked != c.Sent {
			t.Errorf("counts are %+v", c)
		}
		if len(r.Errors) != 1 || r.Errors[0].During != "ack" || r.Errors[0].Kind != "e: timeout" || !r.Failed() {
			t.Errorf("errors are %+v, checks %+v", r.Errors, r.Checks)
		}
	})
}

func TestGraceForAnswersUnderWay(t *testing.T) {
	for _, c := range []struct {
		takes      time.Duration
		acked      int64
		unfinished int64
	}{{2 * time.Second, 1, 0}, {8 * time.Second, 0, 1}} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeServer{answer: func(time.Duration) time.Duration { return c.takes }}
			r := play(t, s, "clients: 1\nduration: 1s\nsteps: [{emit: e, ack: true, timeout: 1m}]")
			if r.Counts.Acked != c.acked || r.Counts.Unfinished != c.unfinished || r.Counts.Errors != 0 {
				t.Errorf("counts are %+v", r.Counts)
			}
			if want := min(1+defaultGrace.Seconds(), c.takes.Seconds()); r.Seconds < want-0.1 || r.Seconds > want+0.1 {
				t.Errorf("it took %v s, want %v", r.Seconds, want)
			}
		})
	}
}

func TestRefusedClients(t *testing.T) {
	refused := errors.New("no")
	synctest.Test(t, func(t *testing.T) {
		r := play(t, &fakeServer{refuse: func(int) error { return refused }}, "clients: 5\nduration: 1m")
		if r.Counts.Errors != 5 || r.Counts.Connects != 0 || r.Seconds > 1 {
			t.Errorf("counts are %+v after %v s", r.Counts, r.Seconds)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{refuse: func(attempt int) error {
			if attempt <= 10 {
				return refused
			}
			return nil
		}}
		r := play(t, s, "clients: 5\nduration: 1m\nreconnect: true")
		if r.Counts.Errors != 10 || r.Counts.Connects != 5 || r.Counts.ConnectedEnd != 5 {
			t.Errorf("counts are %+v after %v s", r.Counts, r.Seconds)
		}
	})
}

func TestOnlySoManyConnectAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := play(t, &fakeServer{dialing: time.Second}, "clients: 6\nconnecting: 2\nduration: 10s")
		// Two each second: the waiting counts.
		if l := r.Latency["connect"]; l.Count != 6 || l.Min < 999 || l.Max < 2999 || l.Max > 3003 {
			t.Errorf("connect is %+v", l)
		}
	})
}

func TestLostConnections(t *testing.T) {
	const loop = "\nduration: 20s\nsteps: [{loop: {every: 1s, together: true, steps: [%s{emit: e, ack: true}]}}]"
	cut := func(s *fakeServer) {
		time.AfterFunc(5500*time.Millisecond, func() {
			s.mu.Lock()
			conns := s.conns
			s.mu.Unlock()
			for _, c := range conns {
				c.u.lost("transport close", nil)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		cut(s)
		r := play(t, s, "clients: 3"+fmt.Sprintf(loop, ""))
		if c := r.Counts; c.Disconnects != 3 || c.ConnectedEnd != 0 || c.Sent != 18 || r.Seconds > 6 || r.errorsOf("disconnect") != 3 {
			t.Errorf("they are gone: %+v after %v s", c, r.Seconds)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		cut(s)
		r := play(t, s, "clients: 3"+fmt.Sprintf(loop, "connect, "))
		if c := r.Counts; c.Disconnects != 3 || c.Connects != 3 || c.Reconnects != 3 || c.ConnectedEnd != 3 || c.Sent < 57 || c.Errors != 3 {
			t.Errorf("they connect in the next turn: %+v", c)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		cut(s)
		time.AfterFunc(8500*time.Millisecond, func() {
			for _, c := range s.conns {
				c.u.back()
			}
		})
		r := play(t, s, "clients: 3\nreconnect: true"+fmt.Sprintf(loop, ""))
		if c := r.Counts; c.Disconnects != 3 || c.Reconnects != 3 || c.ConnectedEnd != 3 {
			t.Errorf("the client connects again: %+v", c)
		}
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := ParsePlan([]byte("clients: 100\nramp: 1m\nduration: 1h"), noFiles)
		if err != nil {
			t.Fatal(err)
		}
		p.URL = "http://fake"
		if err := p.complete(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30500*time.Millisecond)
		defer cancel()
		s := &fakeServer{}
		r := run(ctx, p, nil, s.dial)
		if !r.Interrupted || r.Counts.Connects != 51 || r.Seconds < 30 || r.Seconds > 31 || len(r.Series) < 4 {
			t.Errorf("%d connects in %v s, %d samples", r.Counts.Connects, r.Seconds, len(r.Series))
		}
		for _, c := range s.conns {
			select {
			case <-c.closed:
			default:
				t.Error("a connection was left open")
			}
		}
	})
}
