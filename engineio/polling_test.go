package engineio_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"pgregory.net/rapid"
)

func TestPollingRoundTrip(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	p := s.poll()
	p.post("4hello", "4€ ü 𐍈", "bAQIDBA==", "4", "b", "bAQI")
	p.expectPoll("4hello\x1e4€ ü 𐍈\x1ebAQIDBA==\x1e4\x1eb\x1ebAQI=")
}

// The WriteTimeout of an http.Server counts from the request, also while that is held.
func TestPollingOutlastsWriteTimeout(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		s.http.WriteTimeout = 5 * time.Second
		p := s.poll()
		for range 2 {
			r := p.startGet()
			r.expectHeld()
			time.Sleep(2 * s.http.WriteTimeout)
			p.peer.sendText("late")
			r.expect(200, "4late")
		}
	})
}

func TestPollingPostResponse(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	r := p.startPost("4x").expect(200, "ok")
	for key, want := range map[string]string{
		"Content-Type": "text/html", "Content-Length": "2", "Cache-Control": "no-store", "Set-Cookie": "",
	} {
		if got := r.header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	p.peer.sendText("y")
	r = p.startGet().expect(200, "4y")
	for key, want := range map[string]string{
		"Content-Type": "text/plain; charset=UTF-8", "Content-Length": "2", "Cache-Control": "no-store",
	} {
		if got := r.header.Get(key); got != want {
			t.Errorf("GET, %s: %q, want %q", key, got, want)
		}
	}
}

func TestPollingInternetExplorer(t *testing.T) {
	s := newServer(t, nil)
	for _, ua := range []string{
		"Mozilla/4.0 (compatible;MSIE 8.0; Windows NT 6.0; Trident/4.0)",
		"Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko",
	} {
		if got := s.get(pollingQuery, "User-Agent: "+ua).header.Get("X-XSS-Protection"); got != "0" {
			t.Errorf("%s: X-XSS-Protection %q, want 0", ua, got)
		}
	}
}

func TestPollingKeepAlive(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	dials := 0
	transport := &http.Transport{DialContext: func(context.Context, string, string) (c net.Conn, err error) { dials++; return s.dial() }}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	do := func(method, query, body string) string {
		t.Helper()
		req, err := http.NewRequest(method, "http://example.test"+path+"?"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%d %q %v", r.StatusCode, b, err)
		}
		return string(b)
	}
	query := pollingQuery + "&sid=" + sidOf(t, do("GET", pollingQuery, ""))
	for i := range 50 {
		m := fmt.Sprintf("4message %d", i)
		if got := do("POST", query, m); got != "ok" {
			t.Fatal(got)
		}
		if got := do("GET", query, ""); got != m {
			t.Fatalf("got %q, want %q", got, m)
		}
	}
	if dials != 1 {
		t.Errorf("%d connections, want one", dials)
	}
}

func TestPollIsHeldUntilThereIsSomething(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		get := p.startGet()
		get.expectHeld()
		p.peer.sendText("now")
		get.expect(200, "4now")
		// Nothing is pending, so this waits, in one response with what follows.
		p.peer.sendText("a")
		p.peer.sendText("b", "c")
		p.expectPoll("4a\x1e4b\x1e4c")
	})
}

func TestShortPolling(t *testing.T) {
	s := newServer(t, &engineio.Options{ShortPolling: true})
	p := s.poll()
	p.expectPoll("6")
	p.expectPoll("6")
	p.peer.sendText("a", "b")
	p.expectPoll("4a\x1e4b")
	p.expectPoll("6")
}

func TestPollPacketCap(t *testing.T) {
	for _, c := range []struct{ max, want int }{{0, 16}, {3, 3}, {1, 1}} {
		s := newServer(t, &engineio.Options{MaxPollPackets: c.max})
		p := s.poll()
		const total = 40
		for i := range total {
			p.peer.sendText(fmt.Sprint(i))
		}
		next := 0
		for next < total {
			packets := strings.Split(p.startGet().wait().body, "\x1e")
			if want := min(c.want, total-next); len(packets) != want {
				t.Fatalf("MaxPollPackets %d: %d packets in a response, want %d", c.max, len(packets), want)
			}
			for _, packet := range packets {
				if packet != fmt.Sprint("4", next) {
					t.Fatalf("got %q, want 4%d", packet, next)
				}
				next++
			}
		}
	}
}

// A response stays within what the handshake announced, except for a single message
// that is larger.
func TestPollByteCap(t *testing.T) {
	s := newServer(t, &engineio.Options{MaxPayload: 100, CompressionThreshold: -1})
	p := s.poll()
	p.peer.sendText(repeat("a", 60), repeat("b", 36))
	p.peer.sendText(repeat("c", 60), repeat("d", 38))
	p.peer.sendText(repeat("e", 500))
	if err := p.peer.Send(binaryMessage(repeat("\x00", 60)), binaryMessage(repeat("\x00", 60))); err != nil {
		t.Fatal(err)
	}
	binary := "b" + repeat("A", 80)
	for _, want := range []string{
		"4" + repeat("a", 60) + "\x1e4" + repeat("b", 36),
		"4" + repeat("c", 60), "4" + repeat("d", 38), "4" + repeat("e", 500), binary, binary,
	} {
		r := p.startGet().wait()
		if r.body != want {
			t.Fatalf("got %d bytes %.70q, want %d bytes %.70q", len(r.body), r.body, len(want), want)
		}
	}
}

func TestPostTooLarge(t *testing.T) {
	s := newServer(t, &engineio.Options{MaxPayload: 1000})
	p := s.poll()
	chunked := func(n int) string {
		return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, "4"+repeat("a", n-1))
	}
	p.startPost("4"+repeat("a", 1000)).expect(413, "")
	p.startPost(chunked(1001), "Transfer-Encoding: chunked").expect(413, "")
	// The client says more than it sends: refused before it has sent anything.
	s.startRaw("POST "+path+"?"+p.query()+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", "POST").expect(413, "")
	// The session survives, and exactly the limit passes.
	p.startPost("4"+repeat("b", 999)).expect(200, "ok")
	p.startPost(chunked(1000), "Transfer-Encoding: chunked").expect(200, "ok")
	p.peer.expectMessage(repeat("b", 999), repeat("a", 999))
}

func TestPostStopsAtBadPacket(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		for _, bad := range []string{"x", "", "9", "b!"} {
			p := s.poll()
			get := p.startGet()
			get.expectHeld()
			// Node says 200 here; the protocol suite wants 400.
			if r := p.startPost("4before\x1e" + bad + "\x1e4after").wait(); r.status != 400 {
				t.Errorf("%q: %v, want 400", bad, r)
			}
			p.peer.expectMessage("before")
			p.peer.expectClosed(engineio.ReasonParseError)
			get.expect(200, "1")
			synctest.Wait()
			if p.peer.messages.len() > 0 {
				t.Errorf("%q: a message after the bad packet was delivered", bad)
			}
			p.expectGone()
		}
	})
}

func TestPostOfNothing(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	p.startPost("").wait()
	p.peer.expectClosed(engineio.ReasonParseError)
}

// Packet types that mean nothing here are ignored, as in Node.
func TestPollingIgnoresStrayPackets(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	p.post("6", "5", "0", "3", "3probe", "4x")
	p.peer.expectMessage("x")
	p.peer.expectOpen()
	if got := p.peer.Transport(); got != "polling" {
		t.Errorf("transport %q after a stray upgrade packet", got)
	}
}

func TestPollingCompression(t *testing.T) {
	long := repeat("compressible ", 200)
	for _, c := range []struct {
		name      string
		threshold int
		accept    string
		message   *engineio.Message
		gzip      bool
	}{
		{"default threshold, long", 0, "gzip, deflate", textMessage(long), true},
		{"default threshold, short", 0, "gzip, deflate", textMessage("short"), false},
		{"at the threshold", 11, "gzip", textMessage("0123456789"), true},
		{"under the threshold", 12, "gzip", textMessage("0123456789"), false},
		{"off", -1, "gzip", textMessage(long), false},
		{"not accepted", 0, "br", textMessage(long), false},
		{"refused", 0, "gzip;q=0, identity", textMessage(long), false},
		{"with a weight", 0, "br;q=1.0, GZIP;q=0.8", textMessage(long), true},
		{"anything", 0, "*", textMessage(long), true},
		{"no header", 0, "", textMessage(long), false},
		{"message says no", 0, "gzip", textMessage(long).DisableCompression(), false},
		{"binary", 0, "gzip", binaryMessage(long), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, &engineio.Options{CompressionThreshold: c.threshold})
			p := s.poll()
			if err := p.peer.Send(c.message); err != nil {
				t.Fatal(err)
			}
			var headers []string
			if c.accept != "" {
				headers = append(headers, "Accept-Encoding: "+c.accept)
			}
			r := p.startGet(headers...).wait()
			if got := r.header.Get("Content-Encoding") == "gzip"; got != c.gzip {
				t.Fatalf("Content-Encoding %q, want gzip: %v", r.header.Get("Content-Encoding"), c.gzip)
			}
			if c.gzip {
				z, err := gzip.NewReader(strings.NewReader(r.body))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.body) >= len(body) && len(body) > 100 {
					t.Errorf("%d bytes became %d", len(body), len(r.body))
				}
				r.body = string(body)
			}
			if len(r.body) < c.message.Len() {
				t.Errorf("got %.50q", r.body)
			}
		})
	}
}

// A response may be complete for the client before the server's handler has returned:
// the next GET, on another connection, is no overlap.
func TestPollAgainAtOnce(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	for i := range 300 {
		m := fmt.Sprint(i, repeat("x", 20_000)) // beyond the buffer of net/http
		p.peer.sendText(m)
		p.expectPoll("4" + m)
	}
}

func TestOverlappingPolls(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		first := p.startGet()
		first.expectHeld()
		p.startGet().expect(400, "")
		first.expect(200, "1")
		if err := p.peer.expectClosed(engineio.ReasonTransportError); err == nil {
			t.Error("no error tells of the overlap")
		}
		p.expectGone()
	})
}

func TestOverlappingPosts(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		first := s.startRaw("POST "+path+"?"+p.query()+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4half", "POST")
		first.expectHeld()
		p.startPost("4second").expect(400, "")
		if err := p.peer.expectClosed(engineio.ReasonTransportError); err == nil {
			t.Error("no error tells of the overlap")
		}
		if p.peer.messages.len() > 0 {
			t.Error("the overlapping POST was delivered")
		}
		first.abort()
		p.expectGone()
	})
}

func TestAbortedPoll(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		get := p.startGet()
		get.expectHeld()
		get.abort()
		if err := p.peer.expectClosed(engineio.ReasonTransportError); err == nil {
			t.Error("no error tells of the aborted request")
		}
		p.expectGone()
	})
}

func TestAbortedPost(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		post := s.startRaw("POST "+path+"?"+p.query()+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4half", "POST")
		post.expectHeld()
		post.abort()
		if err := p.peer.expectClosed(engineio.ReasonTransportError); err == nil {
			t.Error("no error tells of the aborted request")
		}
		if p.peer.messages.len() > 0 {
			t.Error("half a body was delivered")
		}
	})
}

// Whatever the sizes, what is sent arrives once, in order, both ways.
func TestPollingOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, &engineio.Options{MaxPayload: 4096, MaxPollPackets: 5, CompressionThreshold: -1})
		rapid.Check(withoutDeadline{t}, func(rt *rapid.T) {
			p := s.poll()
			var want, up []string
			var got []string
			for range rapid.IntRange(1, 20).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"send", "post", "poll"}).Draw(rt, "step") {
				case "send":
					m := fmt.Sprint(len(want), repeat("x", rapid.IntRange(0, 3000).Draw(rt, "size")))
					want = append(want, "4"+m)
					p.peer.sendText(m)
				case "post":
					var body []string
					for range rapid.IntRange(1, 10).Draw(rt, "packets") {
						m := fmt.Sprint(len(up))
						up = append(up, m)
						body = append(body, "4"+m)
					}
					p.post(body...)
				case "poll":
					if len(got) < len(want) {
						got = append(got, strings.Split(p.startGet().wait().body, "\x1e")...)
					}
				}
			}
			for len(got) < len(want) {
				got = append(got, strings.Split(p.startGet().wait().body, "\x1e")...)
			}
			if strings.Join(got, "|") != strings.Join(want, "|") {
				rt.Fatalf("got %.300q, want %.300q", got, want)
			}
			p.peer.expectMessage(up...)
			p.post("1")
			p.peer.expectClosed(engineio.ReasonTransportClose)
		})
	})
}

func TestVolatileOnPolling(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		if p.peer.SendVolatile(textMessage("nobody listens")) {
			t.Error("a volatile message was taken without a pending GET")
		}
		get := p.startGet()
		get.expectHeld()
		if !p.peer.SendVolatile(textMessage("a")) {
			t.Error("a volatile message was refused with a pending GET")
		}
		if p.peer.SendVolatile(textMessage("b")) {
			t.Error("a second volatile message was taken while the first is on its way")
		}
		get.expect(200, "4a")
		p.peer.sendText("c")
		p.expectPoll("4c")
		if n := s.engine.Stats().VolatileDropped; n != 2 {
			t.Errorf("Stats().VolatileDropped = %d, want 2", n)
		}
	})
}

func TestPollLargeBinary(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	c := s.ws()
	data := bytes.Repeat([]byte{0, 1, 2, 255}, 100_000)
	c.sendBinary(string(data))
	c.expectBinary(string(data))
}
