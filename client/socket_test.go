package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
)

// connected returns a socket of "/" that is connected to a fake server.
func connected(t *testing.T, opts *Options) (*Socket, *fakeServer, *fakeConn) {
	t.Helper()
	c, f := newFake(t, opts)
	s := c.Of("/")
	s.Open()
	conn := f.open()
	conn.packets()
	conn.deliver(`0{"sid":"a"}`)
	if !s.Connected() {
		t.Fatal("not connected")
	}
	return s, f, conn
}

func TestOrderOfConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		s := c.Of("")
		var d diary
		d.watch(s)
		s.Emit("one", 1)
		s.Open()
		s.Volatile().Emit("lost")
		s.Emit("two", []byte{1, 2})
		conn := f.open()
		conn.expect(`0`)
		s.Emit("three")
		conn.deliver(`2["early",1]`) // by a middleware
		d.expect(t, "")
		s.OnConnect(func() { s.Emit("five") })
		conn.deliver(`0{"sid":"a"}`)
		s.Emit("four")
		conn.expect(`2["one",1]`, `51-["two",{"_placeholder":true,"num":0}]`, `0102`, `2["three"]`, `2["five"]`, `2["four"]`)
		d.expect(t, "early [1]; connect")
		if s.ID() != "a" || s.Recovered() || !s.Active() {
			t.Error(s.ID(), s.Recovered(), s.Active())
		}
		s.Disconnect()
		d.expect(t, "disconnect io client disconnect")
		conn.expect(`1`)
		if !conn.isEnded() || c.State() != Closed || s.Active() || s.ID() != "" {
			t.Error("something is left of the connection")
		}
	})
}

func TestReasonsAfterWhichItReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			end    func(*Socket, *fakeConn)
			reason Reason
			again  bool
		}{
			{func(s *Socket, c *fakeConn) { c.deliver(`1`) }, ReasonServerDisconnect, false},
			{func(s *Socket, c *fakeConn) { s.Disconnect() }, ReasonClientDisconnect, false},
			{func(s *Socket, c *fakeConn) { c.end(engine.ReasonPingTimeout, nil) }, ReasonPingTimeout, true},
			{func(s *Socket, c *fakeConn) { c.end(engine.ReasonTransportClose, nil) }, ReasonTransportClose, true},
			{func(s *Socket, c *fakeConn) { c.end(engine.ReasonTransportError, nil) }, ReasonTransportError, true},
			{func(s *Socket, c *fakeConn) { c.end(engine.ReasonParseError, nil) }, ReasonParseError, true},
			{func(s *Socket, c *fakeConn) { c.deliver(`9`) }, ReasonParseError, true},
		} {
			s, f, conn := connected(t, nil)
			var d diary
			d.watch(s)
			test.end(s, conn)
			d.expect(t, "disconnect "+string(test.reason))
			if !conn.isEnded() {
				t.Errorf("%s: connection is still open", test.reason)
			}
			time.Sleep(2 * time.Second)
			if again := f.dialing() != nil; again != test.again || s.Active() != test.again {
				t.Errorf("%s: connects again: %v, active: %v", test.reason, again, s.Active())
			}
			s.client.Close()
		}
	})
}

func TestConnectErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ packet, message, data string }{
			{`4{"message":"no","data":{"code":7}}`, "no", `{"code":7}`},
			{`4{"message":"no"}`, "no", ``},
			{`4"no"`, "no", ``},
			{`4{"message":{}}`, "no reason given", ``},
			{`4`, "no reason given", ``},
		} {
			c, f := newFake(t, nil)
			s := c.Of("/")
			result := make(chan error, 1)
			go func() { result <- s.Connect(t.Context()) }()
			conn := f.open()
			conn.deliver(test.packet)
			e, ok := errors.AsType[*ConnectError](<-result)
			if !ok || e.Message != test.message || string(e.Data) != test.data {
				t.Errorf("%s: error is %+v", test.packet, e)
			}
			if s.Active() || !conn.isEnded() || c.State() != Closed {
				t.Errorf("%s: active %v, state %v", test.packet, s.Active(), c.State())
			}
			c.Close()
		}
	})
}

func TestConnectErrorBind(t *testing.T) {
	e := &ConnectError{Data: []byte(`{"code":7}`)}
	var data struct{ Code int }
	if err := e.Bind(&data); err != nil || data.Code != 7 {
		t.Error(data, err)
	}
	if err := new(ConnectError).Bind(&data); err == nil {
		t.Error("no error without data")
	}
}

func TestServerV2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }
		for _, opts := range []*Options{nil, {Auth: auth}} { // it does not wait until it is asked
			c, f := newFake(t, opts)
			result := make(chan error, 1)
			go func() { result <- c.Of("/").connect(t.Context(), true) }()
			f.open().deliver(`0`)
			if err := <-result; err != ErrServerV2 {
				t.Errorf("error is %v", err)
			}
			c.Close()
		}
	})
}

func TestSeveralNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		a, b := c.Of("/a"), c.Of("b")
		if c.Of("/b") != b || b.Namespace() != "/b" || b.Client() != c {
			t.Error("another socket for the same namespace")
		}
		a.Open()
		conn := f.open()
		conn.expect(`0/a,`)
		b.Open()
		conn.expect(`0/b,`)
		conn.deliver(`0/b,{"sid":"1"}`)
		b.Emit("e")
		a.Emit("e")
		conn.deliver(`0/a,{"sid":"2"}`)
		conn.expect(`2/b,["e"]`, `2/a,["e"]`)
		a.Disconnect()
		conn.expect(`1/a,`)
		if conn.isEnded() || !b.Connected() {
			t.Error("connection does not outlive one namespace")
		}
		a.Open()
		conn.expect(`0/a,`)
		// The server had sent the same when it saw neither.
		conn.deliver(`1/a,`, `0/a,{"sid":"3"}`)
		if !a.Connected() {
			t.Error("goodbye to the old session ended the new one")
		}
		conn.deliver(`1/a,`)
		if a.Active() {
			t.Error("still active")
		}
		b.Disconnect()
		if !conn.isEnded() {
			t.Error("nobody needs the connection")
		}
	})
}

// A server answers one CONNECT after the other: a second one while it thinks would be a violation.
func TestLeaveWhileJoining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		other, s := c.Of("/other"), c.Of("/")
		var d diary
		d.watch(s)
		other.Open()
		s.Open()
		conn := f.open()
		conn.expect(`0/other,`, `0`)
		s.Disconnect()
		conn.expect()
		s.Open()
		conn.expect()
		conn.deliver(`2["for nobody"]`, `0{"sid":"1"}`)
		conn.expect(`1`, `0`)
		s.Disconnect()
		conn.deliver(`0{"sid":"2"}`)
		conn.expect(`1`)
		s.Open()
		conn.expect(`0`)
		s.Disconnect()
		s.Open()
		conn.deliver(`4"no"`)
		conn.expect(`0`)
		d.expect(t, "")
		conn.deliver(`0{"sid":"3"}`)
		d.expect(t, "connect")
	})
}

func TestLateConnectionIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, old := connected(t, nil)
		var d diary
		d.watch(s)
		old.breakSilently()
		s.Emit("kept")
		old.tell(engine.ReasonTransportClose, nil)
		time.Sleep(2 * time.Second)
		conn := f.open()
		conn.deliver(`0{"sid":"b"}`)
		old.deliver(`2["late"]`, `1`, `9`)
		old.receiver.Closed(engine.ReasonTransportError, nil)
		conn.expect(`0`, `2["kept"]`)
		d.expect(t, "disconnect transport close; connect")
		if !s.Connected() {
			t.Error("not connected")
		}
	})
}

func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, &Options{Auth: func(context.Context) (any, error) { return map[string]int{"token": 1}, nil }})
		s := c.Of("/")
		s.Open()
		conn := f.open()
		conn.expect(`0{"token":1}`)
		conn.deliver(`0{"sid":"a","pid":"p"}`)
		next := func(connect string) {
			t.Helper()
			conn.lose()
			time.Sleep(2 * time.Second)
			conn = f.open()
			conn.expect(connect)
		}
		next(`0{"pid":"p","token":1}`)
		conn.deliver(`0{"sid":"a","pid":"p"}`)
		if !s.Recovered() {
			t.Error("not recovered")
		}
		// Neither a name nor what asks for an answer is an offset.
		conn.deliver(`2["e","x","o1"]`, `2["e"]`, `27["e","no"]`, `2["e",1]`)
		next(`0{"pid":"p","offset":"o1","token":1}`)
		conn.deliver(`0{"sid":"b","pid":"q"}`)
		if s.Recovered() {
			t.Error("recovered by another session")
		}
		s.SetAuth(nil)
		next(`0{"pid":"q"}`)
		conn.deliver(`2["held","o2"]`, `0{"sid":"b","pid":"q"}`)
		s.SetAuth(func(context.Context) (any, error) { return struct{}{}, nil })
		next(`0{"pid":"q","offset":"o2"}`)
		conn.deliver(`0{"sid":"b","pid":"q"}`, `1`)
		s.Open()
		f.open().expect(`0{}`)
	})
}

func TestEventsThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, conn := connected(t, nil)
		var d diary
		d.watch(s)
		if err := s.Emit("disconnect"); !errors.Is(err, ErrReservedEvent) {
			t.Errorf("error is %v", err)
		}
		if err := s.Emit("e", make(chan int)); err == nil {
			t.Error("a channel was encoded")
		}
		conn.limit = 20
		var tooLarge *engine.TooLargeError
		if err := s.Emit("e", "12345678901234567890"); !errors.As(err, &tooLarge) {
			t.Errorf("error is %v", err)
		}
		if _, err := s.EmitWithAck(t.Context(), "e", "12345678901234567890"); !errors.As(err, &tooLarge) || s.acks != nil {
			t.Errorf("error is %v, %d acknowledgements expected", err, len(s.acks))
		}
		conn.setFull(true)
		if err := s.Emit("e"); err != ErrBufferFull {
			t.Errorf("error is %v", err)
		}
		conn.lose()
		// Before the connection it is not known what the server takes.
		s.Emit("large", "12345678901234567890")
		s.Emit("small")
		result := make(chan error, 1)
		go func() {
			_, err := s.EmitWithAck(t.Context(), "large", "12345678901234567890")
			result <- err
		}()
		time.Sleep(2 * time.Second)
		conn = f.open()
		conn.limit = 20
		conn.deliver(`0{"sid":"a"}`)
		conn.expect(`0`, `2["small"]`)
		if err := <-result; !errors.As(err, &tooLarge) {
			t.Errorf("error is %v", err)
		}
		d.expect(t, `disconnect transport close; error client: event "large" was dropped: engine: message of 33 bytes; the server takes 20; connect`)
	})
}

func TestOutboxFullWhileSendingTheBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFake(t, nil)
		s := c.Of("/")
		s.Emit("one")
		s.Open()
		conn := f.open()
		conn.expect(`0`)
		conn.setFull(true)
		conn.deliver(`0{"sid":"a"}`)
		s.Emit("two")
		s.Volatile().Emit("lost")
		if _, err := s.Volatile().EmitWithAck(t.Context(), "lost"); err != ErrDisconnected {
			t.Errorf("error is %v", err)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- s.Flush(t.Context()) }()
		synctest.Wait()
		conn.expect()
		conn.setFull(false)
		s.Emit("three")
		conn.expect(`2["one"]`, `2["two"]`, `2["three"]`)
		if err := <-flushed; err != nil {
			t.Error(err)
		}
	})
}

func TestExpiredConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, conn := connected(t, nil)
		conn.setExpired()
		s.Emit("one")
		s.Emit("two")
		conn.expect()
		conn.end(engine.ReasonPingTimeout, nil)
		time.Sleep(2 * time.Second)
		conn = f.open()
		conn.deliver(`0{"sid":"a"}`)
		conn.expect(`0`, `2["one"]`, `2["two"]`)
	})
}

func TestBufferLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		emit := func(opts BufferOptions, size int) (errs []error, d *diary) {
			c, _ := newFake(t, &Options{Buffer: opts})
			s := c.Of("/")
			d = new(diary)
			d.watch(s)
			for range 3 {
				errs = append(errs, s.Emit("e", make([]byte, size)))
			}
			return errs, d
		}
		for _, opts := range []BufferOptions{{MaxEvents: 2}, {MaxBytes: 500}} {
			errs, _ := emit(opts, 50)
			if errs[0] != nil || errs[1] != nil || errs[2] != ErrBufferFull {
				t.Errorf("%+v: errors are %v", opts, errs)
			}
		}
		errs, d := emit(BufferOptions{MaxEvents: 2, Policy: DropOldest}, 0)
		if errs[2] != nil {
			t.Error(errs)
		}
		d.expect(t, `error client: event "e" was dropped: client: buffer is full`)
		if errs, _ = emit(BufferOptions{MaxBytes: 1}, 50); errs[0] != nil {
			t.Error("an event larger than the buffer did not get it alone:", errs)
		}
		if errs, _ = emit(BufferOptions{Policy: NoBuffer}, 0); errs[0] != ErrDisconnected {
			t.Error(errs)
		}
	})
}

func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, conn := connected(t, nil)
		if err := s.Flush(t.Context()); err != nil {
			t.Errorf("nothing to flush: %v", err)
		}
		s.Emit("one")
		conn.setFull(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Flush(ctx); err != context.DeadlineExceeded {
			t.Errorf("error is %v", err)
		}
		conn.lose()
		if err := s.Flush(t.Context()); err != ErrDisconnected {
			t.Errorf("error is %v", err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Errorf("told twice: %v", err)
		}
		s.Emit("two")
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := s.Flush(ctx); err != context.DeadlineExceeded || len(s.flushers) > 0 {
			t.Errorf("error is %v", err)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- s.Flush(t.Context()) }()
		time.Sleep(2 * time.Second)
		f.open().deliver(`0{"sid":"a"}`)
		if err := <-flushed; err != nil {
			t.Error(err)
		}
	})
}
