package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sockeye-io/sockeye/test/interop/suite"
)

// limit ends a test that hangs. Nothing is measured with it.
const limit = time.Minute

// times are more patient than those of the official suites: a loaded machine answers a ping late.
var times = suite.Times{PingInterval: 300 * time.Millisecond, PingTimeout: 2 * time.Second, ConnectTimeout: 3 * time.Second}

// reply is the status and body of an HTTP response.
type reply struct {
	status int
	body   string
}

// endpoint is the URL of a server's path, for requests with a query.
type endpoint string

func (e endpoint) host() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(string(e), "http://"), "/")
	return host
}

func (e endpoint) path() string { return strings.TrimPrefix(string(e), "http://"+e.host()) }

func (e endpoint) do(ctx context.Context, method, query, body string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, string(e)+query, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, string(data)}, err
}

func (e endpoint) request(t *testing.T, method, query, body string) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	r, err := e.do(ctx, method, query, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, query, err)
	}
	return r
}

func (e endpoint) wantStatus(t *testing.T, method, query string, want int) {
	t.Helper()
	if got := e.request(t, method, query, ""); got.status != want {
		t.Errorf("%s %s: status %d (%q), want %d", method, query, got.status, got.body, want)
	}
}

// polling is a session over HTTP long-polling.
type polling struct {
	endpoint
	t     *testing.T
	query string
}

func (e endpoint) openPolling(t *testing.T) *polling {
	t.Helper()
	r := e.request(t, http.MethodGet, "?EIO=4&transport=polling", "")
	h := checkHandshake(t, r.body, []string{"websocket"})
	return &polling{e, t, "?EIO=4&transport=polling&sid=" + h.SID}
}

func (p *polling) sid() string { return p.query[strings.LastIndexByte(p.query, '=')+1:] }

func (p *polling) poll() reply {
	p.t.Helper()
	return p.request(p.t, http.MethodGet, p.query, "")
}

// wantPoll checks the answer to a poll, passing over a ping that came first.
func (p *polling) wantPoll(want string) {
	p.t.Helper()
	got := p.poll()
	if got.body == "2" && want != "2" {
		p.post("3")
		got = p.poll()
	}
	if got != (reply{http.StatusOK, want}) {
		p.t.Fatalf("poll: got %+v, want 200 %q", got, want)
	}
}

func (p *polling) post(body string) {
	p.t.Helper()
	if got := p.request(p.t, http.MethodPost, p.query, body); got != (reply{http.StatusOK, "ok"}) {
		p.t.Fatalf("post of %q: got %+v, want 200 \"ok\"", body, got)
	}
}

// wantClosed polls until the session is unknown to the server. Whatever the server still had to say comes before.
func (p *polling) wantClosed() {
	p.t.Helper()
	for {
		r := p.poll()
		if r.status == http.StatusBadRequest {
			return
		}
		if r.status != http.StatusOK {
			p.t.Fatalf("poll of a closing session: got %+v", r)
		}
	}
}

type handshake struct {
	SID          string
	Upgrades     []string
	PingInterval int
	PingTimeout  int
	MaxPayload   int
}

// checkHandshake checks an open packet: exactly the keys that the protocol names, with the values that were set.
func checkHandshake(t *testing.T, packet string, upgrades []string) handshake {
	t.Helper()
	data, ok := strings.CutPrefix(packet, "0")
	if !ok {
		t.Fatalf("handshake is %q", packet)
	}
	var keys map[string]json.RawMessage
	var h handshake
	if err := errors.Join(json.Unmarshal([]byte(data), &keys), json.Unmarshal([]byte(data), &h)); err != nil {
		t.Fatalf("handshake %q: %v", packet, err)
	}
	want := handshake{h.SID, upgrades, int(times.PingInterval.Milliseconds()), int(times.PingTimeout.Milliseconds()), 1000000}
	if len(keys) != 5 || h.SID == "" || h.Upgrades == nil || !slices.Equal(h.Upgrades, want.Upgrades) ||
		h.PingInterval != want.PingInterval || h.PingTimeout != want.PingTimeout || h.MaxPayload != want.MaxPayload {
		t.Fatalf("handshake is %s, want %+v", data, want)
	}
	return h
}

// socket is a WebSocket connection.
type socket struct {
	t    *testing.T
	conn net.Conn
	rw   io.ReadWriter
}

func (e endpoint) dial(t *testing.T, query string) (*socket, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, br, _, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(string(e), "http")+query)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	s := &socket{t: t, conn: conn, rw: conn}
	if br != nil {
		// The first frames came with the answer to the handshake.
		s.rw = struct {
			io.Reader
			io.Writer
		}{br, conn}
	}
	return s, nil
}

func (e endpoint) openSocket(t *testing.T) *socket {
	t.Helper()
	s, err := e.dial(t, "?EIO=4&transport=websocket")
	if err != nil {
		t.Fatal(err)
	}
	checkHandshake(t, s.read(), []string{})
	return s
}

// refused checks that a WebSocket connection is not established, or closed at once.
func (e endpoint) refused(t *testing.T, query string) {
	t.Helper()
	s, err := e.dial(t, query)
	var status ws.StatusError
	if errors.As(err, &status) {
		return
	}
	if err != nil {
		t.Fatalf("dial %s: %v, want an answer with an HTTP status", query, err)
	}
	s.wantClosed()
}

// next returns the next frame that is not a control frame.
func (s *socket) next() ([]byte, ws.OpCode, error) { return wsutil.ReadServerData(s.rw) }

// read returns the next text message.
func (s *socket) read() string {
	s.t.Helper()
	data, op, err := s.next()
	if err != nil {
		s.t.Fatalf("read: %v", err)
	}
	if op != ws.OpText {
		s.t.Fatalf("read: got binary % x, want text", data)
	}
	return string(data)
}

// want checks the next messages, strings for text and []byte for binary; pings of the server are passed over.
func (s *socket) want(messages ...any) {
	s.t.Helper()
	for _, m := range messages {
		data, op, err := s.next()
		for err == nil && op == ws.OpText && string(data) == "2" && m != "2" {
			s.send("3")
			data, op, err = s.next()
		}
		if err != nil {
			s.t.Fatalf("waiting for %q: %v", m, err)
		}
		switch m := m.(type) {
		case string:
			if op != ws.OpText || string(data) != m {
				s.t.Fatalf("got %q (%v), want %q", data, op, m)
			}
		case []byte:
			if op != ws.OpBinary || !bytes.Equal(data, m) {
				s.t.Fatalf("got % x (%v), want binary % x", data, op, m)
			}
		default:
			panic(fmt.Sprintf("want of a %T", m))
		}
	}
}

// send writes one message for each argument, a string as text and []byte as binary.
func (s *socket) send(messages ...any) {
	s.t.Helper()
	for _, m := range messages {
		var err error
		switch m := m.(type) {
		case string:
			err = wsutil.WriteClientText(s.conn, []byte(m))
		case []byte:
			err = wsutil.WriteClientBinary(s.conn, m)
		default:
			panic(fmt.Sprintf("send of a %T", m))
		}
		if err != nil {
			s.t.Fatalf("send of %q: %v", m, err)
		}
	}
}

// wantClosed reads until the connection ends. That it is still open at the limit is the failure.
func (s *socket) wantClosed() {
	s.t.Helper()
	for {
		_, _, err := s.next()
		if err == nil {
			continue
		}
		if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			s.t.Fatal("the connection was not closed")
		}
		return
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
