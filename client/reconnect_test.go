package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
)

var errNetwork = errors.New("no network")

// untilDial returns how long it takes until the client dials.
func untilDial(f *fakeServer) time.Duration {
	start := time.Now()
	for n := f.dialCount(); f.dialCount() == n; {
		time.Sleep(time.Millisecond)
	}
	return time.Since(start).Truncate(time.Millisecond)
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, &Options{Reconnect: ReconnectOptions{Jitter: -1}})
		var d diary
		d.states(c)
		var errs diary
		s := c.Of("/")
		errs.watch(s)
		s.Open()
		f.dialing().result <- errNetwork
		for _, want := range []int{1, 2, 4, 5, 5} {
			if got := untilDial(f); got != time.Duration(want)*time.Second {
				t.Errorf("waited %v, want %d s", got, want)
			}
			f.fail(errNetwork)
		}
		time.Sleep(5 * time.Second)
		conn := f.open()
		conn.deliver(`0{"sid":"a"}`)
		if c.State() != Connected {
			t.Error(c.State())
		}
		conn.lose()
		if got := untilDial(f); got != time.Second {
			t.Errorf("waited %v after a success", got)
		}
		f.fail(errNetwork)
		c.Close()
		d.expect(t, "connecting(0); reconnecting(1); reconnecting(2); reconnecting(3); reconnecting(4); reconnecting(5); "+
			"reconnecting(6); connected(6); reconnecting(1); reconnecting(2); closed(0)")
		errs.expect(t, strings.Repeat("refused no network; ", 6)+"connect; disconnect transport close; refused no network")
	})
}

func TestJitter(t *testing.T) {
	r := &ReconnectOptions{Delay: time.Second, MaxDelay: 5 * time.Second, Jitter: 0.5}
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := r.delay(1)
		low, high = min(low, d), max(high, d)
	}
	if low < time.Second || low > 1200*time.Millisecond || high > 3*time.Second || high < 2800*time.Millisecond {
		t.Errorf("delays are %v to %v", low, high)
	}
	if d := r.delay(1000); d != 5*time.Second {
		t.Errorf("delay is %v", d)
	}
}

func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, r := range []ReconnectOptions{{Disabled: true}, {Attempts: 2}} {
			c, f := newFake(t, &Options{Reconnect: r})
			s := c.Of("/")
			result := make(chan error, 1)
			go func() { result <- s.Connect(t.Context()) }()
			for range 1 + r.Attempts {
				f.fail(errNetwork)
				time.Sleep(5 * time.Second)
			}
			if err := <-result; err != errNetwork {
				t.Errorf("%+v: error is %v", r, err)
			}
			if s.Active() || c.State() != Closed || f.dialing() != nil {
				t.Errorf("%+v: active %v, state %v", r, s.Active(), c.State())
			}
			s.Open()
			f.open().lose()
			if active := s.Active(); active == r.Disabled {
				t.Errorf("%+v: after a loss: active %v", r, active)
			}
			c.Close()
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		c.Of("/").Open()
		refused := &engine.RefusedError{Status: http.StatusServiceUnavailable, RetryAfter: time.Minute}
		f.fail(fmt.Errorf("dial: %w", &engine.DialError{Attempts: []engine.Attempt{{Err: errNetwork}, {Err: refused}}}))
		if got := untilDial(f); got != time.Minute {
			t.Errorf("waited %v", got)
		}
		f.fail(&engine.RefusedError{RetryAfter: 999_999 * time.Second})
		if got := untilDial(f); got != time.Hour {
			t.Errorf("a server that asks for eleven days was left alone for %v", got)
		}
	})
}

func TestRetryNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		c.RetryNow()
		c.Of("/").Open()
		c.RetryNow()
		f.fail(&engine.RefusedError{RetryAfter: time.Hour})
		c.RetryNow()
		c.RetryNow()
		if f.dialing() == nil {
			t.Error("still waits")
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		s := c.Of("/")
		go func() { f.open().lose() }()
		if err := s.connect(t.Context(), true); !errors.Is(err, ErrDisconnected) {
			t.Errorf("error of a connection that is lost at once is %v", err)
		}
		s.Disconnect()
		start := time.Now()
		err := s.connect(t.Context(), true)
		if !errors.Is(err, errConnectTimeout) || time.Since(start) != 20*time.Second {
			t.Errorf("error after %v is %v", time.Since(start), err)
		}
		if n := f.dialCount(); n != 2 || !s.Active() {
			t.Errorf("%d attempts, active %v", n, s.Active())
		}
	})
}

func TestConnectUntilContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		s := c.Of("/")
		connect := func(d time.Duration) chan error {
			result := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), d)
			go func() { defer cancel(); result <- s.Connect(ctx) }()
			synctest.Wait()
			return result
		}
		long, short := connect(3*time.Second), connect(time.Second)
		if err := <-short; !errors.Is(err, context.DeadlineExceeded) || !s.Active() {
			t.Errorf("error is %v, active %v although somebody else waits", err, s.Active())
		}
		f.fail(errNetwork)
		if err := <-long; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errNetwork) || s.Active() {
			t.Errorf("error is %v, active %v", err, s.Active())
		}
		s.Open()
		<-connect(time.Second)
		if !s.Active() {
			t.Error("not open any more although it was opened")
		}
		waiting := connect(time.Hour)
		f.open().deliver(`0{"sid":"a"}`)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		if err := <-connect(time.Hour); err != nil {
			t.Error(err)
		}
		s.Disconnect()
		waiting = connect(time.Hour)
		s.Disconnect()
		if err := <-waiting; err != ErrDisconnected {
			t.Errorf("error is %v", err)
		}
		waiting = connect(time.Hour)
		c.Close()
		if err := <-waiting; err != ErrClosed {
			t.Errorf("error is %v", err)
		}
		if err := <-connect(time.Hour); err != ErrClosed {
			t.Errorf("error is %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Connect(ctx); err != context.Canceled {
			t.Errorf("error is %v", err)
		}
	})
}

// TestConnectSaysWhereItIs: the end of the context does not hide what the attempt under way has come to.
func TestConnectSaysWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect := func(s *Socket) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return s.Connect(ctx)
		}
		expect := func(err error, want string) {
			t.Helper()
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("error is %v, without %q", err, want)
			}
		}
		c, f := newFake(t, nil)
		s := c.Of("/chat")
		expect(connect(s), "has not answered yet")

		time.AfterFunc(time.Second/2, func() {
			c.record(engine.Attempt{Transport: "websocket", Phase: "connect", Err: errNetwork, At: time.Now()})
		})
		err := connect(s)
		expect(err, "websocket: ")
		if !errors.Is(err, errNetwork) {
			t.Errorf("%v does not match the error of the transport", err)
		}
		time.Sleep(time.Second)
		expect(connect(s), "has not answered yet") // the failure before is not this one's

		go f.open()
		expect(connect(s), `connected over fake, but the server has not let namespace "/chat" in or refused it yet`)

		s.SetAuth(func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		go f.open()
		expect(connect(s), "Auth has not returned yet")
	})
}

func TestAuthIsAskedEveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c, f := newFake(t, &Options{Reconnect: ReconnectOptions{Jitter: -1}, Auth: func(ctx context.Context) (any, error) {
			n++
			deadline, _ := ctx.Deadline()
			if time.Until(deadline) != 20*time.Second {
				t.Errorf("deadline is in %v", time.Until(deadline))
			}
			switch n {
			case 2:
				return nil, errNetwork
			case 3:
				panic("at the wrong moment")
			case 4:
				return []int{1}, nil
			case 5:
				return (*struct{})(nil), nil
			case 6:
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return map[string]int{"n": n}, nil
		}})
		s := c.Of("/")
		var d diary
		d.watch(s)
		s.Open()
		conn := f.open()
		conn.expect(`0{"n":1}`)
		conn.deliver(`0{"sid":"a"}`)
		conn.lose()
		time.Sleep(2 * time.Second)
		conn = f.open()
		conn.expect()
		d.expect(t, "connect; disconnect transport close; refused client: auth: no network")
		time.Sleep(2 * time.Second)
		d.expect(t, "refused client: auth: client: panic in handler: at the wrong moment")
		c.RetryNow()
		d.expect(t, "refused client: auth: []int does not encode as a JSON object")
		conn.expect()
		time.Sleep(5 * time.Second)
		conn.expect(`0`)
		conn.lose()
		time.Sleep(2 * time.Second)
		conn = f.open()
		conn.lose() // while it is asked
		time.Sleep(5 * time.Second)
		f.open().expect(`0{"n":7}`)
		lost := "refused client: transport close before the server answered: client: disconnected"
		d.expect(t, lost+"; "+lost)
	})
}

func TestAuthTimeoutAndLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, &Options{
			ConnectTimeout: time.Second,
			Reconnect:      ReconnectOptions{Attempts: 1},
			Auth:           func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
		})
		s := c.Of("/")
		result := make(chan error, 1)
		go func() { result <- s.Connect(t.Context()) }()
		conn := f.open()
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		if s.Active() || !conn.isEnded() || c.State() != Closed {
			t.Errorf("active %v, state %v", s.Active(), c.State())
		}
	})
}

func TestReconnectionIsGivenUpWhenNobodyWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		s := c.Of("/")
		s.Open()
		f.dialing()
		s.Disconnect()
		if c.State() != Closed {
			t.Error(c.State())
		}
		s.Open()
		f.fail(errNetwork)
		s.Disconnect()
		time.Sleep(time.Minute)
		if f.dialing() != nil {
			t.Error("goes on")
		}
	})
}

// A connection that comes about when nobody wants it any more, and the next one is being made already, is closed unused.
func TestConnectionThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		late := make(chan struct{})
		old := &fakeConn{t: t, accepted: make(chan struct{})}
		c.dial = func(ctx context.Context, accept func(conn) engine.Receiver) error {
			<-late
			old.receiver = accept(old)
			close(old.accepted)
			return nil
		}
		s := c.Of("/")
		s.Open()
		synctest.Wait()
		s.Disconnect()
		c.dial = f.dial
		s.Open()
		good := f.open()
		close(late)
		old.expect()
		if !old.isEnded() {
			t.Error("is open")
		}
		old.push(`0{"sid":"late"}`)
		good.deliver(`0{"sid":"a"}`)
		if s.ID() != "a" || c.State() != Connected {
			t.Errorf("id %q, state %v", s.ID(), c.State())
		}
	})
}

// A connection may end before its dial has returned.
func TestConnectionThatEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newFake(t, nil)
		n := 0
		c.dial = func(ctx context.Context, accept func(conn) engine.Receiver) error {
			n++
			short := &fakeConn{t: t, accepted: make(chan struct{})}
			short.receiver = accept(short)
			close(short.accepted)
			if n == 1 {
				short.end(engine.ReasonTransportClose, nil)
				return nil
			}
			return errNetwork // though it was accepted
		}
		c.Of("/").Open()
		time.Sleep(100 * time.Second)
		if c.State() != Reconnecting || n < 10 {
			t.Errorf("state %v after %d attempts", c.State(), n)
		}
	})
}
