package engineio_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio"
)

// What has been used against servers of this protocol, and what could be. Each test says
// after it that the server still serves others.

func (s *server) expectAlive() {
	s.t.Helper()
	p := s.poll()
	p.post("4alive")
	if s.onMessage == nil {
		p.peer.expectMessage("alive")
	}
}

// CVE-2020-36048: a POST of very many tiny packets.
func TestAttackManyTinyPackets(t *testing.T) {
	s := newServer(t, nil)
	var count atomic.Int64
	s.onMessage = func(p *peer, _ bool, data []byte) {
		if len(data) == 0 {
			count.Add(1)
		}
	}
	p := s.poll()
	flood := repeat("4\x1e", 499_999) + "4"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	// Delivered or refused as a whole, but answered, with memory in proportion.
	r := p.startPost(flood).wait()
	runtime.ReadMemStats(&after)
	switch {
	case r.status == 200 && count.Load() != 500_000:
		t.Errorf("%d of 500,000 packets were delivered", count.Load())
	case r.status != 200 && (r.status != 400 || count.Load() != 0):
		t.Errorf("%v, %d packets were delivered", r, count.Load())
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 50<<20 {
		t.Errorf("%d MB were allocated for 1 MB of packets", grown>>20)
	}

	// The same in the framing of protocol 3, where it was found.
	p = s.poll()
	p.startPost(repeat("2:40", 250_000)).wait()
	if _, err := p.peer.closed.pop(s.guard); err != nil {
		t.Errorf("the session did not end: %v", err)
	}

	// And over WebSocket: two-byte messages, eight bytes each on the wire.
	count.Store(0)
	c := s.ws()
	one := maskedText("4")
	for range 100 {
		c.write(repeat(one, 1000))
	}
	c.sendFrame(ws.NewPingFrame(nil))
	if f := c.next(); f.Header.OpCode != ws.OpPong || count.Load() != 100_000 {
		t.Errorf("opcode %#x after %d messages, want a pong after 100,000", f.Header.OpCode, count.Load())
	}
	s.expectAlive()
}

// CVE-2022-21676: a frame with reserved bits in the segment of the upgrade request, before
// anything listens.
func TestAttackReservedBitsInUpgradeHead(t *testing.T) {
	s := newServer(t, nil)
	for _, bits := range []byte{1, 2, 3, 4, 7} {
		f := ws.NewTextFrame([]byte("4x"))
		f.Header.Rsv = bits
		c := s.dialWS(wsQuery, compile(ws.MaskFrame(f)))
		sidOf(t, string(c.next().Payload))
		c.expectClose(1002)
		s.nextPeer().expectClosed(engineio.ReasonTransportError)
	}
	s.expectAlive()
}

// CVE-2022-41940: an upgrade that is refused, and a connection that is reset.
func TestAttackResetAfterInvalidUpgrade(t *testing.T) {
	s := newServer(t, nil)
	sid := s.poll().sid
	for _, request := range []string{
		upgradeRequest("EIO=4&transport=tobi"),
		upgradeRequest("EIO=3&transport=websocket"),
		upgradeRequest(wsQuery + "&sid=zzz"),
		upgradeRequest(pollingQuery),
		upgradeRequest(wsQuery),
		upgradeRequest(wsQuery + "&sid=" + sid),
		strings.Replace(upgradeRequest(wsQuery), "Upgrade: websocket", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", 1),
		strings.Replace(upgradeRequest(wsQuery), "Sec-WebSocket-Key", "X-Key", 1),
		"GET " + path + "?" + pollingQuery + "&sid=" + sid + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET " + path + "?" + streamQuery + " HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for range 5 {
			conn, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			_ = conn.(*net.TCPConn).SetLinger(0) // close with RST
			_ = conn.Close()
		}
	}
	s.expectAlive()
}

// A bad packet, and the connection is reset before the server has said what it thinks of it.
func TestAttackResetAfterBadPacket(t *testing.T) {
	s := newServer(t, nil)
	for _, last := range []string{maskedText("x"), compile(ws.NewTextFrame([]byte("4"))), maskedText("2")} {
		for range 100 {
			_, conn, _, err := connect(s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, last); err != nil {
				t.Fatal(err)
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}
	for range 300 {
		p := s.nextPeer()
		if _, err := p.closed.pop(s.guard); err != nil {
			t.Fatalf("a session did not end: %v", err)
		}
	}
	s.expectAlive()
}

// CVE-2023-31125: names that mean something to the language, and repeated parameters.
func TestAttackTransportNames(t *testing.T) {
	s := newServer(t, nil)
	for _, query := range []string{
		"EIO=4&transport=__proto__", "EIO=4&transport=constructor", "EIO=4&transport=hasOwnProperty",
		"EIO=4&transport=", "EIO=4&transport=polling&transport=websocket", "EIO=4&transport[]=polling",
		"EIO=4&transport=polling%00", "EIO=4&transport=websocket%20",
	} {
		if r := s.get(query); r.status != 400 || r.body != unknownTransport {
			t.Errorf("%s: %v, want 400 code 0", query, r)
		}
		if r := s.refusedUpgrade(query); r.status != 400 || r.body != "Transport unknown" {
			t.Errorf("upgrade, %s: %v, want 400", query, r)
		}
	}
	for _, sid := range []string{"__proto__", "constructor", "toString", "%00", "..%2f..", repeat("a", 100_000), "a&sid=b"} {
		if r := s.get(pollingQuery + "&sid=" + sid); r.status != 400 || r.body != unknownSession {
			t.Errorf("sid %.20s: %v, want 400 code 1", sid, r)
		}
		if r := s.refusedUpgrade(wsQuery + "&sid=" + sid); r.status != 400 {
			t.Errorf("upgrade, sid %.20s: %v, want 400", sid, r)
		}
	}
	s.expectAlive()
}

// CVE-2026-59725: a binary POST was never answered.
func TestAttackOctetStreamPost(t *testing.T) {
	s := newServer(t, nil)
	for _, contentType := range []string{"application/octet-stream", "application/octet-stream; x=y"} {
		p := s.poll()
		// The body is announced, and does not come.
		request := "POST " + path + "?" + p.query() + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\nContent-Length: 1000\r\n\r\n"
		s.startRaw(request, "POST").expect(400, "")
		if err := p.peer.expectClosed(engineio.ReasonTransportError); err == nil {
			t.Error("no error tells of the content type")
		}
	}
	s.expectAlive()
}

// A session of protocol 4 goes on as protocol 3.
func TestAttackProtocolSwitch(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	for _, eio := range []string{"EIO=3&", "EIO=5&", "", "EIO=&", "EIO=4&EIO=3&"} {
		query := eio + "transport=polling&sid=" + p.sid
		if eio == "EIO=4&EIO=3&" {
			continue // the first counts, always
		}
		if r := s.get(query); r.status != 400 || r.body != badRequest {
			t.Errorf("GET %s: %v, want 400 code 3", eio, r)
		}
		if r := s.do("POST", query, "4:4abc"); r.status != 400 || r.body != badRequest {
			t.Errorf("POST %s: %v, want 400 code 3", eio, r)
		}
		if r := s.refusedUpgrade(eio + "transport=websocket&sid=" + p.sid); r.status != 400 {
			t.Errorf("upgrade %s: %v, want 400", eio, r)
		}
	}
	p.post("4x")
	p.peer.expectMessage("x")
}

// A body without an end.
func TestAttackEndlessBody(t *testing.T) {
	s := newServer(t, &engineio.Options{MaxPayload: 10_000})
	p := s.poll()
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := "POST " + path + "?" + p.query() + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	chunk := "400\r\n" + repeat("x", 0x400) + "\r\n"
	sent := 0
	for ; sent < 100_000; sent++ { // 100 MB
		if _, err := io.WriteString(conn, chunk); err != nil {
			break
		}
	}
	if sent == 100_000 {
		t.Error("100 MB were taken")
	}
	p.post("4x")
	p.peer.expectMessage("x")
}

// A body that trickles in, or never comes: the handler must end, at the latest with the
// session.
func TestAttackSlowBody(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s.clients.Go(func() {
			_, _ = io.WriteString(conn, "POST "+path+"?"+p.query()+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
			for range 1000 {
				if _, err := io.WriteString(conn, "4"); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		})
		s.clients.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		start := time.Now()
		for {
			method, err := s.returned.pop(s.guard)
			if err != nil {
				t.Fatalf("the handler of the POST does not return: %v", err)
			}
			if method == "POST" {
				break
			}
		}
		if took := time.Since(start); took > 91*time.Second {
			t.Errorf("the handler returned after %v", took)
		}
		synctest.Wait()
		if p.peer.messages.len() > 0 {
			t.Error("half a body was delivered")
		}
		if s.engine.Sessions() > 0 {
			p.peer.expectClosed(engineio.ReasonPingTimeout)
		}
	})
}

// Ids that cannot be guessed and do not repeat.
func TestAttackGuessSessionID(t *testing.T) {
	count := 20_000
	if testing.Short() {
		count = 2_000
	}
	s := newServer(t, nil)
	seen := make(map[string]bool, count)
	var columns [20]map[byte]bool
	for range count {
		w := serveAs(s, "127.0.0.1:1", pollingQuery)
		sid := sidOf(t, w.Body.String())
		if seen[sid] || len(sid) != 20 {
			t.Fatalf("sid %q", sid)
		}
		seen[sid] = true
		for i := range columns {
			if columns[i] == nil {
				columns[i] = make(map[byte]bool)
			}
			columns[i][sid[i]] = true
		}
	}
	varied := 0
	for _, c := range columns {
		if len(c) == 64 {
			varied++
		}
	}
	if varied < 16 { // 96 bits
		t.Errorf("%d of 20 characters take all values, want 16", varied)
	}
}

// A frame that announces what it will never send.
func TestAttackAnnouncedLength(t *testing.T) {
	s := newServer(t, nil)
	for _, header := range []string{
		"\x82\xff\x3f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"\x82\xff\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00",
		"\x02\xff\x00\x00\x00\x00\x00\x0f\x42\x41\x00\x00\x00\x00", // a fragment of 1,000,001
	} {
		c := s.ws()
		c.write(header)
		c.expectClose(ws.StatusMessageTooBig)
		c.peer.expectClosed(engineio.ReasonTransportError)
	}
	// Within the limit, a header alone takes no memory.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		c := s.ws()
		c.write("\x82\xff\x00\x00\x00\x00\x00\x0f\x42\x40\x00\x00\x00\x00")
		c.sendNothing()
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 15<<20 {
		t.Errorf("%d MB were allocated for 20 headers", grown>>20)
	}
	s.expectAlive()
}

// sendNothing gives the server the time of a round trip on another connection.
func (c *wsClient) sendNothing() {
	c.s.t.Helper()
	other := c.s.ws()
	other.sendFrame(ws.NewPingFrame(nil))
	if f := other.next(); f.Header.OpCode != ws.OpPong {
		c.s.t.Errorf("got opcode %#x, want a pong", f.Header.OpCode)
	}
	other.close()
}

// Of ws: names that mean something to the language as extension parameters, and headers
// that are hard to parse.
func TestAttackHandshakeHeaders(t *testing.T) {
	for _, deflate := range []*engineio.Deflate{nil, {}} {
		s := newServer(t, &engineio.Options{Deflate: deflate})
		for _, header := range []string{
			"Sec-WebSocket-Extensions: constructor",
			"Sec-WebSocket-Extensions: __proto__; __proto__=1",
			"Sec-WebSocket-Extensions: permessage-deflate; constructor; hasOwnProperty=1",
			"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=999",
			"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"",
			"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover=1",
			"Sec-WebSocket-Extensions: " + repeat("a,", 50_000),
			"Sec-WebSocket-Extensions: " + repeat("permessage-deflate, ", 5_000),
			"Sec-WebSocket-Extensions: ;=,;=\"\\",
			"Sec-WebSocket-Protocol: " + repeat(" ", 100_000) + "x",
			"Sec-WebSocket-Protocol: " + repeat("a ", 100_000),
			"Sec-WebSocket-Protocol: " + repeat(",", 100_000),
			"Sec-WebSocket-Protocol: constructor",
		} {
			// The handshake succeeds without the extension or is refused.
			c, err := s.tryWS(wsQuery, "", header)
			if err != nil {
				if !strings.HasPrefix(err.Error(), "4") {
					t.Errorf("%.60s: %v", header, err)
				}
				continue
			}
			if got := c.header.Get("Sec-WebSocket-Protocol"); got != "" {
				t.Errorf("%.60s: subprotocol %.50q was chosen", header, got)
			}
			c.close()
		}
		s.expectAlive()
	}
}

// CVE-2024-37890: more headers than expected.
func TestAttackManyHeaders(t *testing.T) {
	s := newServer(t, nil)
	var headers []string
	for i := range 3000 {
		headers = append(headers, fmt.Sprintf("X-%d: y", i))
	}
	c := s.dialWS(wsQuery, "", headers...)
	sidOf(t, string(c.next().Payload))
	if n := len(s.nextPeer().Handshake().Header()); n < 3000 {
		t.Errorf("%d headers were kept", n)
	}
	for i := range 60_000 { // beyond the limit of net/http
		headers = append(headers, fmt.Sprintf("Z-%d: yyyyyyyyyyyy", i))
	}
	if r := s.get(pollingQuery, headers...); r.err == nil && r.status != 431 {
		t.Errorf("got %v, want 431", r)
	}
	s.expectAlive()
}

// CVE-2026-48779: a message of endless tiny fragments.
func TestAttackTinyFragments(t *testing.T) {
	s := newServer(t, nil)
	for _, payload := range []string{"", "x"} {
		c := s.ws()
		c.sendFrame(ws.NewFrame(ws.OpText, false, []byte("4")))
		many := repeat(compile(ws.MaskFrame(ws.NewFrame(ws.OpContinuation, false, []byte(payload)))), 1000)
		for range 2000 { // two million
			c.write(many)
			if c.peer.closed.len() > 0 {
				break
			}
		}
		if err := c.peer.expectClosed(engineio.ReasonTransportError); err == nil {
			t.Error("no error tells of the fragments")
		}
		c.expectEOF()
	}
	s.expectAlive()
}

// A frame in segments of one byte costs no more than its size.
func TestAttackOneByteSegments(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		c := s.ws()
		for _, size := range []int{5_000, 5_001} {
			raw := maskedText("4" + repeat("x", size))
			for i := range len(raw) {
				c.write(raw[i : i+1])
			}
			c.peer.expectMessage(repeat("x", size))
		}
	})
}

// Pings faster than the pongs are read.
func TestAttackPingFlood(t *testing.T) {
	s := newServer(t, nil)
	conn, err := s.dialAndIgnore()()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, upgradeRequest(wsQuery)); err != nil {
		t.Fatal(err)
	}
	p := s.nextPeer()
	flood := repeat(compile(ws.MaskFrame(ws.NewPingFrame([]byte(repeat("p", 125))))), 1000)
	for range 1000 { // 130 MB
		if _, err := io.WriteString(conn, flood); err != nil {
			break
		}
		if got := p.Buffered(); got > 2<<20 {
			t.Fatalf("%d bytes wait", got)
		}
	}
	if _, err := p.closed.pop(s.guard); err != nil {
		t.Errorf("the session did not end: %v", err)
	}
	s.expectAlive()
}

// A WebSocket that stops in the middle of a frame is subject to the heartbeat like any
// other.
func TestAttackStalledFrame(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		c := s.ws()
		raw := maskedText("4" + repeat("x", 5_000))
		c.write(raw[:1000])
		c.peer.expectClosed(engineio.ReasonPingTimeout)
		c.expectEOF()
	})
}

// A client that reads nothing cannot keep a handler, a goroutine or a connection beyond the
// end of its session, whoever is blocked in a write to it.
func TestAttackReadNothing(t *testing.T) {
	for _, transport := range []string{"websocket", "wss", "polling", "streaming"} {
		for name, end := range map[string]func(*peer){
			"abort":        (*peer).Abort,
			"close":        (*peer).Close,
			"ping timeout": func(*peer) {},
		} {
			t.Run(transport+", "+name, func(t *testing.T) {
				inBubble(t, &engineio.Options{Outbox: engineio.OutboxOptions{MaxBytes: -1}}, func(t *testing.T, s *server) {
					readNothing(t, s, transport, end)
				})
			})
		}
	}
}

func readNothing(t *testing.T, s *server, transport string, end func(*peer)) {
	server, client := net.Pipe()
	gone := make(chan struct{})
	watched := &watchedConn{Conn: server, closed: gone}
	var served net.Conn = watched
	var conn net.Conn = client
	if transport == "wss" {
		web := httptest.NewUnstartedServer(nil)
		web.StartTLS() // for its certificate
		config := web.TLS.Clone()
		web.Close()
		served = tls.Server(watched, config)
		conn = tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	}
	ln := &pipeListener{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	ln.conns <- served
	go func() { _ = s.http.Serve(ln) }()
	t.Cleanup(func() { _ = client.Close(); _ = ln.Close() })

	var p *peer
	switch transport {
	case "polling":
		poll := s.poll()
		p = poll.peer
		_, err := io.WriteString(conn, "GET "+path+"?"+poll.query()+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
	case "streaming":
		_, err := io.WriteString(conn, "GET "+path+"?"+streamQuery+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		p = s.nextPeer()
	default:
		if _, err := io.WriteString(conn, upgradeRequest(wsQuery)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		p = s.nextPeer()
	}
	synctest.Wait()
	for range 10 {
		_ = p.Send(textMessage(repeat("x", 100_000)))
	}
	synctest.Wait() // a write is blocked now
	done := make(chan struct{})
	go func() { defer close(done); end(p) }()
	synctest.Wait()
	select {
	case <-done:
	default:
		t.Error("the call that ends the session waits for the client")
	}
	// Ping timeout, and then what a polite server waits for the client.
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	if p.closed.len() == 0 {
		t.Error("the session did not end")
	}
	select {
	case <-gone:
	default:
		t.Error("the connection is still open")
		_ = client.Close()
	}
}

// watchedConn tells when it is closed.
type watchedConn struct {
	net.Conn
	closed chan struct{}
	done   atomic.Bool
}

func (c *watchedConn) Close() error {
	if c.done.CompareAndSwap(false, true) {
		close(c.closed)
	}
	return c.Conn.Close()
}

// Connections that ask for an upgrade of somebody else's session and then do nothing.
func TestAttackIdleCandidates(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		var candidates []*wsClient
		for range 20 {
			candidates = append(candidates, s.dialWS(wsQuery+"&sid="+p.sid, ""))
		}
		time.Sleep(15 * time.Second) // longer than the upgrade may take
		for _, c := range candidates {
			c.expectEOF()
		}
		p.post("4x")
		p.peer.expectMessage("x")
	})
}

// Candidates whose session ends are not left behind.
func TestAttackCandidateOfDyingSession(t *testing.T) {
	inBubble(t, &engineio.Options{UpgradeTimeout: time.Hour}, func(t *testing.T, s *server) {
		p := s.poll()
		c := p.probe()
		st := s.poll("&streaming=1").streamProbe()
		time.Sleep(50 * time.Second) // both sessions have timed out
		synctest.Wait()
		if n := s.engine.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		c.expectEOF()
		if _, err := st.packets.pop(time.Second); err == errTimedOut {
			t.Error("the candidate's response stays open")
		}
	})
}
