package engineio_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/engineio/frame"
)

func TestStreamingHandshake(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []struct{ name, header, contentType, raw string }{
		{"records", "Accept: */*", "text/plain; charset=UTF-8", "%s\x1e"},
		{"events", sse, "text/event-stream; charset=utf-8", "data: %s\n\n"},
		{"events among others", "Accept: text/html, text/event-stream;q=0.9", "text/event-stream; charset=utf-8", "data: %s\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := s.stream(streamQuery, c.header)
			open := st.next()
			p := s.nextPeer()
			if want := openPacket(p.ID(), `["websocket"]`, 25000, 20000, 1000000); open != want {
				t.Errorf("got %s, want %s", open, want)
			}
			if raw, _ := st.raw.pop(s.guard); raw != fmt.Sprintf(c.raw, open) {
				t.Errorf("on the wire: %q", raw)
			}
			if st.status != 200 || p.Transport() != "streaming" {
				t.Errorf("status %d, transport %q", st.status, p.Transport())
			}
			for key, want := range map[string]string{
				"Content-Type":      c.contentType,
				"X-Accel-Buffering": "no",
				"Cache-Control":     "no-store, no-transform",
				"Content-Encoding":  "",
				"Content-Length":    "",
			} {
				if got := st.header.Get(key); got != want {
					t.Errorf("%s: %q, want %q", key, got, want)
				}
			}
		})
	}
}

func TestStreamingRoundTrip(t *testing.T) {
	for _, header := range []string{"Accept: */*", sse} {
		s := newServer(t, nil)
		s.onMessage = echo
		c := s.streaming("", header)
		packets := []string{"4hello", "4€ ü 𐍈", "bAQIDBA==", "4", "b", "4a\nb\n\nc\n", "4a\r\nb", "4\r", "4%0A", "4100%\r", "4\x00", "4data: x\n\n"}
		c.post(packets...)
		c.expect(packets...)
		for range 3 {
			c.post("4again")
			c.expect("4again")
		}
	}
}

// Each message is on the wire as soon as it is sent.
func TestStreamingDoesNotWait(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		c := s.streaming("")
		for i := range 10 {
			before := time.Now()
			c.poller.peer.sendText(fmt.Sprint(i))
			c.expect(fmt.Sprint("4", i))
			if got := time.Since(before); got != 0 {
				t.Errorf("took %v", got)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestStreamOutlivesWriteTimeout(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		s.http.WriteTimeout = 5 * time.Second
		c := s.streaming("")
		time.Sleep(20 * time.Second)
		c.poller.peer.sendText("late")
		c.expect("4late")
		c.poller.peer.expectOpen()
	})
}

// A response that has grown large ends with a noop; the next one goes on where it ended.
func TestStreamRotationBySize(t *testing.T) {
	for _, header := range []string{"Accept: */*", sse} {
		inBubble(t, &engineio.Options{StreamMaxBytes: 1000, CompressionThreshold: -1}, func(t *testing.T, s *server) {
			c := s.streaming("", header)
			const total = 60
			responses := 1
			next := 0
			for sent := 0; next < total; {
				if sent < total {
					for range 3 {
						c.poller.peer.sendText(fmt.Sprint(sent, repeat("x", 97)))
						sent++
					}
				}
				synctest.Wait()
				for c.packets.len() > 0 {
					packet := c.next()
					if packet == "6" {
						c.expectEnd()
						responses++
						c.reopen(header)
						synctest.Wait()
						continue
					}
					if want := fmt.Sprint("4", next, repeat("x", 97)); packet != want {
						t.Fatalf("got %.20q, want %.20q", packet, want)
					}
					next++
				}
			}
			if responses < 5 || responses > 8 {
				t.Errorf("%d responses carried 6 kB, want about one for each kB", responses)
			}
		})
	}
}

// The same for a client that does not wait for the end after the noop.
func TestStreamReopenAtOnce(t *testing.T) {
	s := newServer(t, &engineio.Options{StreamMaxBytes: 1000})
	c := s.streaming("")
	for i := range 300 {
		m := fmt.Sprint(i, repeat("x", 1000))
		c.poller.peer.sendText(m)
		c.expect("4"+m, "6")
		before := c.stream
		c.reopen()
		before.expectEnd()
	}
}

func TestStreamRotationByAge(t *testing.T) {
	inBubble(t, &engineio.Options{StreamMaxAge: 10 * time.Second}, func(t *testing.T, s *server) {
		c := s.streaming("")
		before := time.Now()
		time.Sleep(9 * time.Second)
		c.poller.peer.sendText("a")
		c.expect("4a", "6")
		c.expectEnd()
		if got := time.Since(before); got != 10*time.Second {
			t.Errorf("ended after %v, want 10s", got)
		}
		// What is sent in between waits.
		c.poller.peer.sendText("b")
		c.poller.peer.sendText("c")
		time.Sleep(time.Second)
		c.reopen()
		c.expect("4b", "4c")
		time.Sleep(9 * time.Second)
		c.poller.peer.sendText("d")
		c.expect("4d", "6")
		c.expectEnd()
		c.poller.peer.expectOpen()
	})
}

// The heartbeat reaches a client whose response has just ended, in the next one.
func TestStreamHeartbeatAcrossRotation(t *testing.T) {
	inBubble(t, &engineio.Options{StreamMaxAge: 24 * time.Second}, func(t *testing.T, s *server) {
		c := s.streaming("")
		c.expect("6")
		c.expectEnd()
		time.Sleep(2 * time.Second)
		c.reopen()
		c.expect("2")
		c.post("3")
		time.Sleep(40 * time.Second)
		c.poller.peer.expectOpen()
	})
}

func TestStreamClientDoesNotComeBack(t *testing.T) {
	inBubble(t, &engineio.Options{StreamMaxAge: 10 * time.Second}, func(t *testing.T, s *server) {
		c := s.streaming("")
		before := time.Now()
		c.poller.peer.expectClosed(engineio.ReasonPingTimeout)
		if got := time.Since(before); got != 45*time.Second {
			t.Errorf("ended after %v, want 45s", got)
		}
	})
}

func TestOverlappingStreams(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		c := s.streaming("")
		synctest.Wait()
		if r := s.get(c.query()); r.status != 400 {
			t.Errorf("second response: %v, want 400", r)
		}
		c.expect("1")
		c.expectEnd()
		c.poller.peer.expectClosed(engineio.ReasonTransportError)
	})
}

// One response at a time, also when what there is to say is more than it may carry.
func TestStreamLargeMessages(t *testing.T) {
	for _, header := range []string{"Accept: */*", sse} {
		s := newServer(t, &engineio.Options{MaxPayload: 3 << 20, StreamMaxBytes: 1 << 20, Outbox: engineio.OutboxOptions{MaxBytes: -1}})
		s.onMessage = echo
		c := s.streaming("", header)
		big := repeat("0123456789", 200_000)
		for range 3 {
			c.post("4"+big, "4small")
			for _, want := range []string{"4" + big, "4small"} {
				got := c.next()
				for got == "6" {
					c.expectEnd()
					c.reopen(header)
					got = c.next()
				}
				if got != want {
					t.Fatalf("got %d bytes %.20q, want %d", len(got), got, len(want))
				}
			}
		}
	}
}

func TestStreamingToWebSocket(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		c := s.streaming("")
		peer := c.poller.peer
		w := s.dialWS(wsQuery+"&sid="+c.sid, "")
		w.send("2probe")
		w.expect("3probe")
		// The probe ends the response, or at least the upgrade does.
		peer.sendText("a")
		var got []string
		for len(got) == 0 {
			switch packet := c.next(); packet {
			case "6":
				c.expectEnd()
				c.reopen()
			default:
				got = append(got, packet)
			}
		}
		if got[0] != "4a" {
			t.Errorf("during the upgrade: %q, want 4a", got)
		}
		w.send("5")
		synctest.Wait()
		peer.expectTransport("websocket")
		for {
			packet, err := c.packets.pop(s.guard)
			if err == io.EOF {
				break
			}
			if err != nil || packet != "6" {
				t.Fatalf("after the upgrade: %q, %v, want the end of the response", packet, err)
			}
		}
		peer.sendText("b")
		w.expect("4b")
		w.send("4c")
		peer.expectMessage("c")
		if r := s.get(c.query()); r.status != 400 || r.body != badRequest {
			t.Errorf("streaming after the upgrade: %v", r)
		}
	})
}

// streamUpgrade moves a polling session to streaming, up to the probe.
func (p *poller) streamProbe(headers ...string) *stream {
	p.t.Helper()
	st := p.stream(streamQuery+"&sid="+p.sid, headers...)
	p.startStreamPost("2probe").expect(200, "ok")
	st.expect("3probe")
	return st
}

func (p *poller) startStreamPost(body string) *pending {
	p.t.Helper()
	return p.start("POST", streamQuery+"&sid="+p.sid, body)
}

func TestPollingToStreaming(t *testing.T) {
	for _, header := range []string{"Accept: */*", sse} {
		inBubble(t, nil, func(t *testing.T, s *server) {
			p := s.poll("&streaming=1")
			upgraded := newQueue[string]()
			p.peer.OnUpgrade(upgraded.push)
			get := p.startGet()
			get.expectHeld()
			st := p.streamProbe(header)
			get.expect(200, "6")
			p.peer.expectTransport("polling")
			p.peer.sendText("by polling")
			p.expectPoll("4by polling")
			p.post("4up by polling")
			p.peer.expectMessage("up by polling")
			p.peer.sendText("waits")
			p.startStreamPost("5\x1e4up by streaming").expect(200, "ok")
			st.expect("4waits")
			p.peer.expectMessage("up by streaming")
			p.peer.expectTransport("streaming")
			if name, err := upgraded.pop(s.guard); name != "streaming" {
				t.Errorf("OnUpgrade: %q, %v", name, err)
			}
			p.peer.sendText("more")
			st.expect("4more")
			p.startGet().expect(400, badRequest)
			p.startPost("4x").expect(400, badRequest)
			// And on to WebSocket.
			w := s.dialWS(wsQuery+"&sid="+p.sid, "")
			w.send("2probe")
			w.expect("3probe")
			w.send("5")
			p.peer.sendText("end")
			w.expect("4end")
		})
	}
}

func TestPollingToStreamingGoesWrong(t *testing.T) {
	t.Run("timeout", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, s *server) {
			p := s.poll("&streaming=1")
			before := time.Now()
			st := p.streamProbe()
			if _, err := st.packets.pop(s.guard); err == errTimedOut {
				t.Fatal("the candidate stays open")
			}
			if got := time.Since(before); got != 10*time.Second {
				t.Errorf("given up after %v, want 10s", got)
			}
			p.post("4x")
			p.peer.expectMessage("x")
			p.peer.sendText("y")
			p.expectPoll("4y")
		})
	})
	t.Run("stream aborted", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, s *server) {
			p := s.poll("&streaming=1")
			st := p.streamProbe()
			st.close()
			synctest.Wait()
			if r := p.startStreamPost("5").wait(); r.status != 400 {
				t.Errorf("completing it all the same: %v, want 400", r)
			}
			p.peer.sendText("y")
			p.expectPoll("4y")
			p.peer.expectTransport("polling")
			st = p.streamProbe() // it may try again
			p.startStreamPost("5").expect(200, "ok")
			p.peer.sendText("z")
			st.expect("4z")
		})
	})
	t.Run("complete without probe", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, s *server) {
			p := s.poll("&streaming=1")
			st := p.stream(streamQuery + "&sid=" + p.sid)
			synctest.Wait()
			p.startStreamPost("5").wait()
			if _, err := st.packets.pop(s.guard); err == errTimedOut {
				t.Fatal("the candidate stays open")
			}
			p.peer.expectTransport("polling")
			p.peer.sendText("y")
			p.expectPoll("4y")
		})
	})
	t.Run("post without stream", func(t *testing.T) {
		s := newServer(t, nil)
		p := s.poll("&streaming=1")
		p.startStreamPost("2probe").expect(400, badRequest)
		p.post("4x")
		p.peer.expectMessage("x")
	})
	t.Run("websocket at the same time", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, s *server) {
			p := s.poll("&streaming=1")
			st := p.streamProbe()
			s.dialWS(wsQuery+"&sid="+p.sid, "").expectClose(noCode)
			p.startStreamPost("5").expect(200, "ok")
			p.peer.sendText("y")
			st.expect("4y")
		})
	})
	t.Run("no upgrades", func(t *testing.T) {
		s := newServer(t, &engineio.Options{NoUpgrades: true})
		p := s.poll("&streaming=1")
		if r := s.get(streamQuery + "&sid=" + p.sid); r.status != 400 || r.body != badRequest {
			t.Errorf("got %v, want 400", r)
		}
	})
}

// Streaming and polling over HTTP/2, where responses have no connection of their own.
func TestHTTP2(t *testing.T) {
	s := &server{t: t, guard: realGuard, accepted: newQueue[*peer](), errors: newQueue[*engineio.ConnectionError]()}
	s.onMessage = echo
	s.engine = engineio.NewServer(s.options(nil), s.accept)
	web := httptest.NewUnstartedServer(s.engine)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	defer s.engine.Close()
	do := func(method, query, body, accept string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(s.within(), method, web.URL+path+"?"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		r, err := web.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if r.ProtoMajor != 2 {
			t.Fatalf("protocol %s", r.Proto)
		}
		return r
	}
	text := func(r *http.Response) string {
		t.Helper()
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	t.Run("polling", func(t *testing.T) {
		query := pollingQuery + "&sid=" + sidOf(t, text(do("GET", pollingQuery, "", "*/*")))
		s.nextPeer()
		for i := range 5 {
			get := make(chan string, 1)
			go func() { get <- text(do("GET", query, "", "*/*")) }()
			m := fmt.Sprint("4", i)
			if got := text(do("POST", query, m, "*/*")); got != "ok" {
				t.Fatal(got)
			}
			if got := <-get; got != m {
				t.Fatalf("got %q, want %q", got, m)
			}
		}
	})
	t.Run("streaming", func(t *testing.T) {
		r := do("GET", streamQuery, "", "*/*")
		packets := newQueue[string]()
		done := make(chan struct{})
		go func() {
			defer close(done)
			var records frame.Records
			buf := make([]byte, 4096)
			for {
				n, err := r.Body.Read(buf)
				_ = records.Feed(buf[:n], 0, func(b []byte) error { packets.push(string(b)); return nil })
				if err != nil {
					return
				}
			}
		}()
		open, err := packets.pop(s.guard)
		if err != nil {
			t.Fatal(err)
		}
		p := s.nextPeer()
		query := streamQuery + "&sid=" + sidOf(t, open)
		for i := range 5 {
			m := fmt.Sprint("4", i)
			if got := text(do("POST", query, m, "*/*")); got != "ok" {
				t.Fatal(got)
			}
			if got, err := packets.pop(s.guard); got != m {
				t.Fatalf("got %q, %v, want %q", got, err, m)
			}
		}
		r.Body.Close() // resets the stream, not the connection
		<-done
		p.expectClosed(engineio.ReasonTransportError)
	})
	t.Run("events", func(t *testing.T) {
		r := do("GET", streamQuery, "", "text/event-stream")
		defer r.Body.Close()
		buf := make([]byte, 1000)
		n, err := r.Body.Read(buf)
		if err != nil || !bytes.HasPrefix(buf[:n], []byte("data: 0{")) {
			t.Errorf("got %q, %v", buf[:n], err)
		}
	})
}

// Rotation as a state machine: whatever the sizes, pauses and moments at which the
// client comes back, nothing is lost, repeated or out of order.
func TestStreamStateMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, &engineio.Options{StreamMaxBytes: 2000, StreamMaxAge: 7 * time.Second})
		rapid.Check(withoutDeadline{t}, func(rt *rapid.T) {
			header := rapid.SampledFrom([]string{"Accept: */*", sse}).Draw(rt, "form")
			c := s.streaming("", header)
			p := c.poller.peer
			sent, got := 0, 0
			open := true
			collect := func() {
				synctest.Wait()
				for open && c.packets.len() > 0 {
					switch packet := c.next(); {
					case packet == "6":
						c.expectEnd()
						open = false
					case packet == "2":
						c.post("3")
					case strings.HasPrefix(packet, fmt.Sprintf("4%d:", got)):
						got++
					default:
						rt.Fatalf("got %.40q, want message %d", packet, got)
					}
				}
			}
			rt.Repeat(map[string]func(*rapid.T){
				"send": func(rt *rapid.T) {
					for range rapid.IntRange(1, 4).Draw(rt, "messages") {
						filler := rapid.SampledFrom([]string{"x", "\n", "\r", "%"}).Draw(rt, "filler")
						p.sendText(fmt.Sprint(sent, ":", repeat(filler, rapid.IntRange(0, 1500).Draw(rt, "size"))))
						sent++
					}
				},
				"collect": func(*rapid.T) { collect() },
				"wait": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 5000).Draw(rt, "ms")) * time.Millisecond)
				},
				"reopen": func(rt *rapid.T) {
					collect()
					if open {
						rt.Skip("it is open")
					}
					c.reopen(header)
					open = true
				},
				"": func(*rapid.T) { p.expectOpen() },
			})
			for got < sent {
				collect()
				if !open {
					c.reopen(header)
					open = true
				}
			}
			p.Abort()
			synctest.Wait()
		})
	})
}
