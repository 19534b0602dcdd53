package client

import (
	"context"
	"errors"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
)

var connectWithOnce = regexp.MustCompile(`^0\{"once":"([A-Za-z0-9_-]{22})"\}$`)

// join answers the CONNECT of a client with retries and returns the name it gives itself.
func join(t *testing.T, conn *fakeConn) string {
	t.Helper()
	sent := conn.packets()
	if len(sent) != 1 {
		t.Fatalf("client sent %q", sent)
	}
	m := connectWithOnce.FindStringSubmatch(sent[0])
	if m == nil {
		t.Fatalf("client sent %q", sent)
	}
	conn.deliver(`0{"sid":"a"}`)
	return m[1]
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, &Options{Retries: 2, AckTimeout: 10 * time.Second})
		s := c.Of("/")
		var d diary
		d.watch(s)
		s.Open()
		s.Emit("one", "x")
		s.Emit("two", []byte{1}, []byte{2})
		three := call(t.Context(), s, "three")
		flushed := make(chan error, 1)
		go func() { flushed <- s.Flush(t.Context()) }()
		conn := f.open()
		name := join(t, conn)
		conn.expect(`20["one","x"]`)
		time.Sleep(10 * time.Second)
		conn.expect(`20["one","x"]`)
		conn.deliver(`30[]`, `30[]`)
		conn.expect(`52-1["two",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, `01`, `02`)
		conn.deliver(`32[]`, `31[]`) // one was not sent yet
		conn.expect(`22["three"]`)
		conn.lose()
		time.Sleep(2 * time.Second)
		conn = f.open()
		if again := join(t, conn); again != name {
			t.Errorf("calls itself %q, then %q", name, again)
		}
		conn.expect(`22["three"]`)
		if len(flushed) > 0 {
			t.Error("flushed too soon")
		}
		conn.deliver(`32["done"]`)
		if r := <-three; r.err != nil || string(r.ack.Raw(0)) != `"done"` {
			t.Errorf("%v", r.err)
		}
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		s.Emit("four")
		conn.expect(`23["four"]`)
		d.expect(t, "connect; disconnect transport close; connect")
	})
}

func TestRetriesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, &Options{Retries: 1, AckTimeout: time.Second})
		s := c.Of("/")
		var d diary
		s.OnError(func(err error) { d.add("%v", err) })
		s.Open()
		s.Emit("one")
		two := call(t.Context(), s.Timeout(5*time.Second), "two")
		conn := f.open()
		join(t, conn)
		time.Sleep(2 * time.Second)
		conn.expect(`20["one"]`, `20["one"]`, `21["two"]`)
		d.expect(t, `client: event "one" was not acknowledged in 2 tries: client: no acknowledgement of event "one" in time`)
		time.Sleep(4 * time.Second)
		conn.expect()
		conn.lose()
		time.Sleep(2 * time.Second)
		conn = f.open()
		join(t, conn)
		conn.expect(`21["two"]`)
		conn.lose()
		r := <-two
		e, ok := errors.AsType[*NotAcknowledgedError](r.err)
		if !ok || e.Event != "two" || e.Tries != 2 || !errors.Is(e, ErrDisconnected) {
			t.Errorf("error is %v", r.err)
		}
		d.expect(t, "")
	})
}

func TestRetryIsGivenUpByItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := retrying(t, &Options{Retries: 5})
		ctx, cancel := context.WithCancel(t.Context())
		one, two, three := call(ctx, s, "one"), call(ctx, s, "two"), call(t.Context(), s, "three")
		cancel()
		for _, r := range []chan ackResult{one, two} {
			if r := <-r; r.err != context.Canceled {
				t.Errorf("error is %v", r.err)
			}
		}
		sent := conn.packets()
		if sent[0] != `20["one"]` || sent[len(sent)-1] != `22["three"]` {
			t.Errorf("sent %q", sent)
		}
		conn.deliver(`30["late"]`, `32[]`)
		if r := <-three; r.err != nil {
			t.Error(r.err)
		}
	})
}

// retrying returns a connected socket with retries.
func retrying(t *testing.T, opts *Options) (*Socket, *fakeServer, *fakeConn) {
	t.Helper()
	c, f := newFake(t, opts)
	s := c.Of("/")
	s.Open()
	conn := f.open()
	join(t, conn)
	return s, f, conn
}

// An acknowledgement that comes after its time, while the next try is not made yet, is as good as any.
func TestRetryAcknowledgedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := retrying(t, &Options{Retries: 1, AckTimeout: time.Second})
		r := call(t.Context(), s, "e")
		conn.setExpired() // so that the next try waits
		time.Sleep(time.Second)
		conn.expect(`20["e"]`)
		conn.deliver(`30[]`)
		if r := <-r; r.err != nil {
			t.Error(r.err)
		}
	})
}

func TestRetriesWithinLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := retrying(t, &Options{Retries: 1, Buffer: BufferOptions{MaxEvents: 2}})
		if err := errors.Join(s.Emit("one"), s.Emit("two")); err != nil {
			t.Error(err)
		}
		if err := s.Emit("three"); err != ErrBufferFull {
			t.Errorf("error is %v", err)
		}
		if err := s.Volatile().Emit("now"); err != nil {
			t.Error(err)
		}
		volatile := call(t.Context(), s.Volatile(), "now")
		conn.expect(`20["one"]`, `2["now"]`, `24503599627370498["now"]`)
		conn.deliver(`34503599627370498[]`)
		if r := <-volatile; r.err != nil {
			t.Error(r.err)
		}

		s, _, conn = retrying(t, &Options{Retries: 1, Buffer: BufferOptions{MaxEvents: 2, Policy: DropOldest}})
		var d diary
		s.OnError(func(err error) { d.add("%v", err) })
		if err := errors.Join(s.Emit("one"), s.Emit("two"), s.Emit("three")); err != nil {
			t.Error(err)
		}
		d.expect(t, `client: event "two" was dropped: client: buffer is full`)
		conn.deliver(`30[]`)
		conn.expect(`20["one"]`, `22["three"]`)

		c, _ := newFake(t, &Options{Retries: 1, Buffer: BufferOptions{Policy: NoBuffer}})
		if err := c.Of("/").Emit("e"); err != ErrDisconnected {
			t.Errorf("error is %v", err)
		}
	})
}

func TestRetryThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := retrying(t, &Options{Retries: 1, AckTimeout: time.Second})
		conn.limit = 20
		var d diary
		s.OnError(func(err error) { d.add("%v", err) })
		s.Emit("large", "12345678901234567890")
		large := call(t.Context(), s, "a name that is too long")
		var tooLarge *engine.TooLargeError
		if r := <-large; !errors.As(r.err, &tooLarge) {
			t.Errorf("error is %v", r.err)
		}
		s.Emit("small")
		conn.expect(`22["small"]`)
		d.expect(t, `client: event "large" was dropped: engine: message of 34 bytes; the server takes 20`)
		conn.deliver(`32[]`)
		conn.setFull(true)
		s.Emit("later")
		conn.expect()
		conn.setFull(false)
		time.Sleep(time.Second)
		conn.expect(`23["later"]`)
		conn.breakSilently()
		conn.deliver(`33[]`)
		s.Emit("kept")
		if r := &s.retries; len(r.list) != 1 || r.flying {
			t.Errorf("%d events, flying: %v", len(r.list), r.flying)
		}
	})
}

// A timer that has run out in the moment in which its try ended counts for nothing.
func TestRetryTimerThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := retrying(t, &Options{Retries: 1, AckTimeout: time.Second})
		s.Emit("one")
		s.client.mu.Lock()
		one := s.retries.list[0]
		s.client.mu.Unlock()
		conn.deliver(`30[]`)
		s.retryTimeout(one, 1)
		s.Emit("two")
		s.retryTimeout(one, 1)
		conn.expect(`20["one"]`, `21["two"]`)
		time.Sleep(time.Second)
		s.client.mu.Lock()
		two := s.retries.list[0]
		s.client.mu.Unlock()
		s.retryTimeout(two, 1)
		conn.expect(`21["two"]`)
	})
}
