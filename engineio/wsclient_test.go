package engineio_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/gobwas/ws"
)

// wsClient is a WebSocket client that sends whatever bytes a test wants and queues
// the frames it receives.
type wsClient struct {
	s      *server
	conn   net.Conn
	header http.Header // of the 101 response
	frames *queue[ws.Frame]
	peer   *peer  // for sessions that begin here
	sid    string // likewise
}

const wsQuery = "EIO=4&transport=websocket"

const wsHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func upgradeRequest(target string, headers ...string) string {
	if !strings.HasPrefix(target, "/") {
		target = path + "?" + target
	}
	r := "GET " + target + " HTTP/1.1\r\nHost: example.test\r\n" + wsHeaders
	for _, h := range headers {
		r += h + "\r\n"
	}
	return r + "\r\n"
}

// refusedUpgrade asks for an upgrade and returns the HTTP response it gets instead.
func (s *server) refusedUpgrade(target string, headers ...string) response {
	s.t.Helper()
	r := s.startRaw(upgradeRequest(target, headers...), "GET").wait()
	if r.err != nil || r.status == http.StatusSwitchingProtocols {
		s.t.Fatalf("%s: got %v, want a refusal", target, r)
	}
	return r
}

// dialWS upgrades a connection; behind goes out together with the request.
func (s *server) dialWS(target, behind string, headers ...string) *wsClient {
	s.t.Helper()
	c, err := s.tryWS(target, behind, headers...)
	if err != nil {
		s.t.Fatalf("%s: %v", target, err)
	}
	return c
}

func (s *server) tryWS(target, behind string, headers ...string) (*wsClient, error) {
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	s.clients.Go(func() { _, _ = io.WriteString(conn, upgradeRequest(target, headers...)+behind) })
	br := bufio.NewReader(conn)
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(r.Body)
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %q", r.Status, body)
	}
	if got := r.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		s.t.Errorf("Sec-WebSocket-Accept: %q", got)
	}
	c := &wsClient{s: s, conn: conn, header: r.Header, frames: newQueue[ws.Frame]()}
	s.clients.Go(func() {
		defer conn.Close()
		for {
			f, err := readFrame(br)
			if err != nil {
				c.frames.close(err)
				return
			}
			if f.Header.Masked {
				s.t.Error("the server masked a frame")
			}
			c.frames.push(f)
		}
	})
	s.t.Cleanup(func() { _ = conn.Close() })
	return c, nil
}

// readFrame reads a frame of at most 16 MB.
func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	if h.Length > 16<<20 {
		return ws.Frame{}, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// ws opens a session by WebSocket. extra is added to the query.
func (s *server) ws(extra ...string) *wsClient {
	s.t.Helper()
	return s.wsWith(strings.Join(extra, ""))
}

func (s *server) wsWith(extra string, headers ...string) *wsClient {
	s.t.Helper()
	c := s.dialWS(wsQuery+extra, "", headers...)
	c.sid = sidOf(s.t, string(c.next().Payload))
	c.peer = s.peerOf(c.sid)
	return c
}

func (c *wsClient) next() ws.Frame {
	c.s.t.Helper()
	f, err := c.frames.pop(c.s.guard)
	if err != nil {
		c.s.t.Fatalf("no frame: %v", err)
	}
	return f
}

// expect checks the next frames, which must be whole text frames.
func (c *wsClient) expect(want ...string) {
	c.s.t.Helper()
	for _, w := range want {
		f := c.next()
		if f.Header.OpCode != ws.OpText || !f.Header.Fin || f.Header.Rsv != 0 || string(f.Payload) != w {
			c.s.t.Fatalf("got opcode %#x, rsv %d, fin %v, %.100q, want text %.100q",
				f.Header.OpCode, f.Header.Rsv, f.Header.Fin, f.Payload, w)
		}
	}
}

func (c *wsClient) expectBinary(want string) {
	c.s.t.Helper()
	f := c.next()
	if f.Header.OpCode != ws.OpBinary || !f.Header.Fin || string(f.Payload) != want {
		c.s.t.Fatalf("got opcode %#x, fin %v, %.100q, want binary %.100q", f.Header.OpCode, f.Header.Fin, f.Payload, want)
	}
}

const noCode = ws.StatusCode(0)

// expectClose skips data, then checks the close frame, whose code is noCode if it has
// none, and that the connection ends after it.
func (c *wsClient) expectClose(want ws.StatusCode) {
	c.s.t.Helper()
	for {
		f, err := c.frames.pop(c.s.guard)
		if err != nil {
			c.s.t.Fatalf("no close frame: %v", err)
		}
		if f.Header.OpCode != ws.OpClose {
			continue
		}
		code, _ := ws.ParseCloseFrameData(f.Payload)
		if code != want && (want != noCode || len(f.Payload) > 0) {
			c.s.t.Fatalf("close frame %d %q, want %d", code, f.Payload, want)
		}
		// As a browser does: answer, then wait for the server to hang up.
		_ = ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewCloseFrame(f.Payload)))
		c.expectEOF()
		return
	}
}

// expectEOF waits for the connection to end, whatever comes before.
func (c *wsClient) expectEOF() {
	c.s.t.Helper()
	for {
		if _, err := c.frames.pop(c.s.guard); err == errTimedOut {
			c.s.t.Fatal("the connection stays open")
		} else if err != nil {
			return
		}
	}
}

func (c *wsClient) send(texts ...string) {
	c.s.t.Helper()
	for _, text := range texts {
		c.sendFrame(ws.NewTextFrame([]byte(text)))
	}
}

func (c *wsClient) sendBinary(data string) {
	c.s.t.Helper()
	c.sendFrame(ws.NewBinaryFrame([]byte(data)))
}

// sendFrame masks the frame and sends it.
func (c *wsClient) sendFrame(f ws.Frame) {
	c.s.t.Helper()
	c.write(compile(ws.MaskFrame(f)))
}

func compile(f ws.Frame) string { return string(ws.MustCompileFrame(f)) }

// write sends bytes as they are. The server may have hung up: no error of ours.
func (c *wsClient) write(raw string) {
	_, _ = io.WriteString(c.conn, raw)
}

func (c *wsClient) close() { _ = c.conn.Close() }

// connect opens a WebSocket session without a goroutine.
func connect(s *server) (id string, conn net.Conn, br *bufio.Reader, err error) {
	if conn, err = s.dial(); err != nil {
		return "", nil, nil, err
	}
	if _, err = io.WriteString(conn, upgradeRequest(wsQuery)); err != nil {
		return "", conn, nil, err
	}
	br = bufio.NewReaderSize(conn, 512)
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		return "", conn, nil, err
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		return "", conn, nil, fmt.Errorf("%s", r.Status)
	}
	f, err := readFrame(br)
	if err != nil {
		return "", conn, nil, err
	}
	m := sidPattern.FindSubmatch(f.Payload)
	if m == nil {
		return "", conn, nil, fmt.Errorf("no sid in %q", f.Payload)
	}
	return string(m[1]), conn, br, nil
}
