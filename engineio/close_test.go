package engineio_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

// each runs a test once for every transport, in a bubble, with a way to open a session.
func eachTransport(t *testing.T, opts *engineio.Options, test func(t *testing.T, s *server, c client)) {
	t.Helper()
	for _, c := range []struct {
		name string
		open func(*server) client
	}{
		{"polling", func(s *server) client { return &pollingClient{poller: s.poll()} }},
		{"websocket", func(s *server) client { return &webSocketClient{s.ws()} }},
		{"streaming", func(s *server) client { return &streamingClient{s.streaming("")} }},
		{"events", func(s *server) client { return &streamingClient{s.streaming("", sse)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, s *server) { test(t, s, c.open(s)) })
		})
	}
}

// client is a session over any transport, with packets in text form.
type client interface {
	end() *peer          // the server's end
	sends(...string)     // packets
	receives() string    // the next packet
	arrived() bool       // whether one is there
	gone(t *testing.T)   // checks that the session can't be used any more
	hangUp(t *testing.T) // loses the connection
}

type pollingClient struct {
	*poller
	get     *pending
	packets []string
}

func (c *pollingClient) end() *peer         { return c.peer }
func (c *pollingClient) sends(ps ...string) { c.post(ps...) }

func (c *pollingClient) listen() {
	if c.get == nil && len(c.packets) == 0 {
		c.get = c.startGet()
	}
}

func (c *pollingClient) receives() string {
	c.t.Helper()
	c.listen()
	if len(c.packets) == 0 {
		r := c.get.wait()
		if r.err != nil || r.status != 200 {
			c.t.Fatalf("poll: %v", r)
		}
		c.packets, c.get = strings.Split(r.body, "\x1e"), nil
	}
	p := c.packets[0]
	c.packets = c.packets[1:]
	return p
}

func (c *pollingClient) arrived() bool {
	c.listen()
	synctest.Wait()
	return len(c.packets) > 0 || c.get.done.len() > 0
}

func (c *pollingClient) gone(t *testing.T) {
	t.Helper()
	if c.get != nil { // it was released by the end
		if r := c.get.wait(); r.status != 200 || r.body != "1" {
			t.Errorf("the pending GET got %v, want a close packet", r)
		}
		c.get = nil
	}
	c.expectGone()
}

func (c *pollingClient) hangUp(*testing.T) {
	c.listen()
	synctest.Wait()
	c.get.abort()
	c.get = nil
}

type webSocketClient struct{ *wsClient }

func (c *webSocketClient) end() *peer         { return c.peer }
func (c *webSocketClient) sends(ps ...string) { c.send(ps...) }
func (c *webSocketClient) receives() string   { return string(c.next().Payload) }
func (c *webSocketClient) arrived() bool      { synctest.Wait(); return c.frames.len() > 0 }
func (c *webSocketClient) gone(t *testing.T)  { c.expectEOF() }
func (c *webSocketClient) hangUp(*testing.T)  { c.close() }

type streamingClient struct{ *streamer }

func (c *streamingClient) end() *peer         { return c.poller.peer }
func (c *streamingClient) sends(ps ...string) { c.post(ps...) }
func (c *streamingClient) receives() string   { return c.next() }
func (c *streamingClient) arrived() bool      { synctest.Wait(); return c.packets.len() > 0 }
func (c *streamingClient) hangUp(*testing.T)  { c.stream.close() }
func (c *streamingClient) gone(t *testing.T) {
	t.Helper()
	p, err := c.packets.pop(c.stream.s.guard)
	if err == nil && p == "1" {
		p, err = c.packets.pop(c.stream.s.guard)
	}
	if err == nil || err == errTimedOut {
		t.Errorf("got %q, %v, want the end after one close packet at most", p, err)
	}
	c.poller.t.Helper()
	if r := c.poller.server.get(c.query()); r.status != 400 || r.body != unknownSession {
		t.Errorf("got %v, want an unknown session", r)
	}
}

func expectPackets(t *testing.T, c client, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := c.receives(); got != w {
			t.Fatalf("got packet %.60q, want %.60q", got, w)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		for range 4 {
			before := time.Now()
			expectPackets(t, c, "2")
			if got := time.Since(before); got != 25*time.Second {
				t.Errorf("ping after %v, want 25s", got)
			}
			time.Sleep(19 * time.Second)
			c.sends("3")
			synctest.Wait()
		}
		c.end().expectOpen()
	})
}

func TestPingTimeout(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		before := time.Now()
		expectPackets(t, c, "2")
		if err := c.end().expectClosed(engineio.ReasonPingTimeout); err != nil {
			t.Errorf("error %v", err)
		}
		if got := time.Since(before); got != 45*time.Second {
			t.Errorf("timed out after %v, want 45s", got)
		}
		c.gone(t)
		if n := s.engine.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// While a large message arrives the pong may be stuck behind it: other packets
// extend the wait, once.
func TestPingTimeoutExtendedOnce(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		expectPackets(t, c, "2")
		start := time.Now()
		for range 5 {
			time.Sleep(7 * time.Second)
			c.sends("4busy")
			c.end().expectMessage("busy")
		}
		c.end().expectClosed(engineio.ReasonPingTimeout)
		if got := time.Since(start); got != 40*time.Second {
			t.Errorf("timed out %v after the ping, want 40s", got)
		}
	})
}

// A pong that was not asked for does not put off the next ping.
func TestUnaskedPong(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		before := time.Now()
		for range 4 {
			time.Sleep(5 * time.Second)
			c.sends("3")
		}
		expectPackets(t, c, "2")
		if got := time.Since(before); got != 25*time.Second {
			t.Errorf("ping after %v, want 25s", got)
		}
	})
}

func TestClientPings(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		c.sends("2")
		if err := c.end().expectClosed(engineio.ReasonTransportError); err == nil {
			t.Error("no error tells of the heartbeat's direction")
		}
		c.gone(t)
	})
}

func TestHeartbeatOptions(t *testing.T) {
	opts := &engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	eachTransport(t, opts, func(t *testing.T, s *server, c client) {
		before := time.Now()
		expectPackets(t, c, "2")
		c.end().expectClosed(engineio.ReasonPingTimeout)
		if got := time.Since(before); got != 500*time.Millisecond {
			t.Errorf("timed out after %v, want 500ms", got)
		}
	})
}

// A polling session whose client never comes back ends after interval and timeout.
func TestAttackSessionThatNeverPolls(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		p.peer.sendText("for nobody")
		before := time.Now()
		p.peer.expectClosed(engineio.ReasonPingTimeout)
		if got := time.Since(before); got != 45*time.Second {
			t.Errorf("ended after %v, want 45s", got)
		}
	})
}

func TestServerCloses(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		if c.arrived() { // starts a GET
			t.Fatal("something arrived")
		}
		c.end().Close()
		c.gone(t)
		if err := c.end().expectClosed(engineio.ReasonForcedClose); err != nil {
			t.Errorf("error %v", err)
		}
		if err := c.end().Send(textMessage("late")); !errors.Is(err, engineio.ErrClosed) {
			t.Errorf("Send after Close: %v, want ErrClosed", err)
		}
		c.end().Close() // again
		c.end().Abort()
		synctest.Wait()
	})
}

// Graceful close: what was sent before arrives before the end.
func TestCloseFlushes(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		for i := range 50 {
			c.end().sendText(repeat("x", i*500))
		}
		c.end().Close()
		if err := c.end().Send(textMessage("late")); !errors.Is(err, engineio.ErrClosed) {
			t.Errorf("Send after Close: %v, want ErrClosed", err)
		}
		for i := range 50 {
			expectPackets(t, c, "4"+repeat("x", i*500))
		}
		if p, ok := c.(*pollingClient); ok {
			expectPackets(t, p, "1")
		}
		c.end().expectClosed(engineio.ReasonForcedClose)
		c.gone(t)
	})
}

// Abort does not wait, for anything.
func TestAbort(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		c.arrived()
		before := time.Now()
		c.end().Abort()
		c.end().expectClosed(engineio.ReasonForcedClose)
		c.gone(t)
		if got := time.Since(before); got != 0 {
			t.Errorf("took %v", got)
		}
	})
}

func TestAbortDiscards(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		p.peer.sendText("lost")
		p.peer.Abort()
		p.peer.expectClosed(engineio.ReasonForcedClose)
		p.expectGone()
	})
}

// Without a pending GET the close packet waits for the next one, up to 30 s.
func TestPollingCloseWaitsForPoll(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		p.peer.Close()
		time.Sleep(29 * time.Second)
		p.peer.expectOpen()
		// Node puts a noop before it.
		if r := p.startGet().wait(); r.status != 200 || strings.TrimPrefix(r.body, "6\x1e") != "1" {
			t.Errorf("got %v, want the close packet", r)
		}
		p.peer.expectClosed(engineio.ReasonForcedClose)
		p.expectGone()

		p = s.poll()
		before := time.Now()
		p.peer.Close()
		p.peer.expectClosed(engineio.ReasonForcedClose)
		if got := time.Since(before); got != 30*time.Second {
			t.Errorf("given up after %v, want 30s", got)
		}
		p.expectGone()
	})
}

func TestClientCloses(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		get := p.startGet()
		get.expectHeld()
		p.post("4last words", "1", "4too late")
		get.expect(200, "6")
		p.peer.expectMessage("last words")
		if err := p.peer.expectClosed(engineio.ReasonTransportClose); err != nil {
			t.Errorf("error %v", err)
		}
		if p.peer.messages.len() > 0 {
			t.Error("a message behind the close packet was delivered")
		}
		p.expectGone()

		c := s.streaming("")
		c.post("4bye", "1")
		c.expect("6")
		c.expectEnd()
		c.poller.peer.expectMessage("bye")
		c.poller.peer.expectClosed(engineio.ReasonTransportClose)
	})
}

func TestConnectionLost(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		c.hangUp(t)
		want := engineio.ReasonTransportError
		if _, ok := c.(*webSocketClient); ok {
			want = engineio.ReasonTransportClose
		}
		if err := c.end().expectClosed(want); err == nil && want == engineio.ReasonTransportError {
			t.Error("no error tells what was lost")
		}
		if n := s.engine.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// Calls from within the receiver, which runs on the read path, must not deadlock.
func TestCloseWithinMessage(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"close": func(p *peer) { p.sendText("bye"); p.Close() },
		"abort": func(p *peer) { p.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, nil, func(t *testing.T, s *server, c client) {
				s.onMessage = func(p *peer, _ bool, data []byte) {
					p.messages.push(message{data: string(data)})
					end(p)
				}
				c.sends("4go")
				c.end().expectMessage("go")
				if name == "close" {
					expectPackets(t, c, "4bye")
					if p, ok := c.(*pollingClient); ok {
						expectPackets(t, p, "1")
					}
				}
				c.end().expectClosed(engineio.ReasonForcedClose)
				c.gone(t)
			})
		})
	}
}

func TestNothingAfterAbort(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		s.onMessage = func(p *peer, _ bool, data []byte) {
			p.messages.push(message{data: string(data)})
			p.Abort()
		}
		p := s.poll()
		p.startPost("4a\x1e4b\x1e4c").wait()
		p.peer.expectClosed(engineio.ReasonForcedClose)
		if n := p.peer.messages.len(); n != 1 {
			t.Errorf("%d messages were delivered, want the one before Abort", n)
		}
		c := s.ws()
		c.write(maskedText("4a") + maskedText("4b"))
		c.peer.expectClosed(engineio.ReasonForcedClose)
		synctest.Wait()
		if n := c.peer.messages.len(); n != 1 {
			t.Errorf("websocket: %d messages were delivered, want the one before Abort", n)
		}
	})
}

// The accept function may turn a session away.
func TestEndWhileAccepting(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"close": func(p *peer) { p.sendText("no room"); p.Close() },
		"abort": func(p *peer) { p.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *server) {
				s.onAccept = end
				r := s.get(pollingQuery)
				if name == "close" {
					query := pollingQuery + "&sid=" + sidOf(t, r.body)
					// The close packet comes alone: the stock client forgets what stands before it.
					if r = s.get(query); r.body != "4no room" {
						t.Errorf("polling: %v", r)
					}
					if r = s.get(query); r.body != "1" {
						t.Errorf("polling: %v", r)
					}
				}
				s.nextPeer().expectClosed(engineio.ReasonForcedClose)

				c := s.dialWS(wsQuery, "")
				if name == "close" {
					sidOf(t, string(c.next().Payload))
					c.expect("4no room")
				}
				c.expectEOF()
				s.nextPeer().expectClosed(engineio.ReasonForcedClose)

				st := s.stream(streamQuery)
				if name == "close" {
					sidOf(t, st.next())
					st.expect("4no room", "1")
					st.expectEnd()
				}
				s.nextPeer().expectClosed(engineio.ReasonForcedClose)
				if n := s.engine.Sessions(); n != 0 {
					t.Errorf("%d sessions are left", n)
				}
			})
		})
	}
}

func TestEngineCloses(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		c.arrived()
		before := time.Now()
		if err := s.engine.Close(); err != nil {
			t.Fatal(err)
		}
		c.end().expectClosed(engineio.ReasonServerShutdown)
		if got := time.Since(before); got != 0 {
			t.Errorf("took %v", got)
		}
		for _, query := range []string{pollingQuery, streamQuery} {
			if r := s.get(query); r.status != 503 || r.header.Get("Retry-After") == "" {
				t.Errorf("handshake after Close: %v, Retry-After %q, want 503", r, r.header.Get("Retry-After"))
			}
		}
		if r := s.refusedUpgrade(wsQuery); r.status != 503 {
			t.Errorf("handshake after Close: %v, want 503", r)
		}
		if err := s.engine.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Close at any moment of a handshake must leave no session behind and no panic.
func TestCloseDuringHandshakes(t *testing.T) {
	for range 20 {
		s := newServer(t, nil)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				<-start
				s.get(pollingQuery)
			})
			wg.Go(func() {
				<-start
				if c, err := s.tryWS(wsQuery, ""); err == nil {
					c.expectEOF()
				}
			})
		}
		close(start)
		_ = s.engine.Close()
		wg.Wait()
		for s.accepted.len() > 0 {
			s.nextPeer().expectClosed(engineio.ReasonServerShutdown)
		}
		if n := s.engine.Sessions(); n != 0 {
			t.Fatalf("%d sessions are left", n)
		}
	}
}

// The same within the accept function, where it is certain to meet a session that is
// not complete yet.
func TestCloseWhileAccepting(t *testing.T) {
	for _, transport := range []string{"polling", "websocket", "streaming"} {
		t.Run(transport, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *server) {
				s.onAccept = func(*peer) {
					done := make(chan struct{})
					go func() { defer close(done); _ = s.engine.Close() }()
					<-done
				}
				switch transport {
				case "polling":
					s.get(pollingQuery)
				case "streaming":
					s.get(streamQuery)
				case "websocket":
					if c, err := s.tryWS(wsQuery, ""); err == nil {
						c.expectEOF()
					}
				}
				s.nextPeer().expectClosed(engineio.ReasonServerShutdown)
			})
		})
	}
}

func TestClosedOnce(t *testing.T) {
	s := newServer(t, nil)
	for range 30 {
		c := s.ws()
		var wg sync.WaitGroup
		for _, end := range []func(){
			c.close, c.peer.Close, c.peer.Abort,
			func() { c.write(maskedText("x")) },
			func() { _ = c.peer.Send(textMessage("x")) },
		} {
			wg.Go(end)
		}
		wg.Wait()
		if _, err := c.peer.closed.pop(s.guard); err != nil {
			t.Fatal(err)
		}
	}
	// peer.Closed complains if it is called twice.
	if n := s.engine.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestHeaderHooks(t *testing.T) {
	s := newServer(t, &engineio.Options{
		Headers:        func(h http.Header, r *http.Request) { h.Set("X-Each", r.Method) },
		InitialHeaders: func(h http.Header, r *http.Request) { h.Set("X-First", "yes") },
	})
	check := func(what string, h http.Header, each, first string) {
		t.Helper()
		if h.Get("X-Each") != each || h.Get("X-First") != first {
			t.Errorf("%s: X-Each %q, X-First %q, want %q, %q", what, h.Get("X-Each"), h.Get("X-First"), each, first)
		}
	}
	r := s.get(pollingQuery)
	check("handshake", r.header, "GET", "yes")
	p := s.nextPeer()
	p.sendText("x")
	query := pollingQuery + "&sid=" + p.ID()
	check("poll", s.get(query).header, "GET", "")
	check("post", s.do("POST", query, "4x").header, "POST", "")
	check("refusal", s.get("EIO=4&transport=tobi").header, "GET", "")
	check("refused upgrade", s.refusedUpgrade("EIO=4&transport=tobi").header, "GET", "")
	check("websocket", s.ws().header, "GET", "yes")
	check("upgrade", s.dialWS(wsQuery+"&sid="+p.ID(), "").header, "GET", "")
	check("streaming", s.streaming("").header, "GET", "yes")
}

// Probe finds out before the heartbeat does.
func TestProbe(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		c := s.ws()
		answer := make(chan bool, 2)
		for range 2 {
			go func() { answer <- c.peer.Probe(time.Second) }()
		}
		for range 2 { // the second began after the first ping was sent
			c.expect("2")
			synctest.Wait()
			c.send("3")
		}
		if first, second := <-answer, <-answer; !first || !second {
			t.Error("the peer has answered")
		}
		// The answer to a ping of before is none.
		c.expect("2")
		go func() { answer <- c.peer.Probe(time.Second) }()
		synctest.Wait()
		c.send("3")
		c.expect("2")
		if <-answer {
			t.Error("the peer has not answered")
		}
		c.peer.expectClosed(engineio.ReasonPingTimeout)
		if c.peer.Probe(time.Hour) {
			t.Error("the session has ended")
		}
	})
}
