package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// wsConn is a WebSocket. Its messages come through a channel, since the body of a 101 response has no deadlines.
type wsConn struct {
	conn     io.ReadWriteCloser
	messages chan string
	pongs    chan struct{}
	ended    chan struct{}
	err      error // why it ended; set before ended is closed

	mu     sync.Mutex // for writing
	closed chan struct{}
	once   sync.Once
	done   func()
}

// errClosedByServer is the end by a close frame.
type errClosedByServer struct{ code ws.StatusCode }

func (e errClosedByServer) Error() string {
	if e.code == 0 || e.code == ws.StatusNoStatusRcvd {
		return "the server closed the WebSocket"
	}
	return fmt.Sprintf("the server closed the WebSocket with code %d", e.code)
}

// acceptKey is what a server makes of Sec-WebSocket-Key (RFC 6455, 1.3).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// dialWebSocket asks for a WebSocket over HTTP/1.1. Anything but 101 comes back as the answer that it is, without an
// error.
func (x *exam) dialWebSocket(ctx context.Context, q ask, jar http.CookieJar) (*wsConn, *answer, error) {
	q.transport = "websocket"
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	key := base64.StdEncoding.EncodeToString(nonce)
	header := http.Header{
		"Connection":            {"Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-WebSocket-Version": {"13"},
		"Sec-WebSocket-Key":     {key},
	}
	for name, values := range q.header {
		header[name] = values
	}
	q.header = header
	t := x.transport()
	client := x.client(t, jar)
	// The context ends with the connection: cancelling it closes the body. The limit is for the handshake only.
	ctx, cancel := context.WithCancel(ctx)
	done := func() {
		cancel()
		t.CloseIdleConnections()
	}
	req, err := x.request(ctx, q)
	if err != nil {
		done()
		return nil, nil, err
	}
	limit := time.AfterFunc(x.opts.Timeout, cancel)
	a := &answer{method: "WebSocket", target: x.target(req.URL), sent: time.Now()}
	res, err := client.Do(req)
	if !limit.Stop() && err != nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		done()
		return nil, nil, plainError(err, x.opts.Timeout)
	}
	a.status, a.header, a.proto, a.at = res.StatusCode, res.Header, res.Proto, time.Now()
	a.took = a.at.Sub(a.sent)
	x.note(res.Header)
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer done()
		defer res.Body.Close()
		limit := time.AfterFunc(x.opts.Timeout, cancel)
		defer limit.Stop()
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxBody))
		a.body = string(body)
		return nil, a, nil
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		done()
		return nil, a, errors.New("the 101 can't be written to")
	}
	if got := res.Header.Get("Sec-WebSocket-Accept"); got != acceptKey(key) {
		conn.Close()
		done()
		return nil, a, errors.New("a 101 whose Sec-WebSocket-Accept is wrong: not a WebSocket server")
	}
	c := &wsConn{
		conn: conn, done: done,
		messages: make(chan string, 64), pongs: make(chan struct{}, 1),
		ended: make(chan struct{}), closed: make(chan struct{}),
	}
	go c.run()
	return c, a, nil
}

// run reads until the end.
func (c *wsConn) run() {
	defer close(c.ended)
	r := wsutil.Reader{Source: c.conn, State: ws.StateClientSide, MaxFrameSize: 1 << 20, MaxMessageSize: 1 << 20, OnIntermediate: c.control}
	for {
		h, err := r.NextFrame()
		if err != nil {
			c.err = plainError(err, 0)
			return
		}
		if h.OpCode.IsControl() {
			if err := c.control(h, &r); err != nil {
				c.err = err
				return
			}
			continue
		}
		data, err := io.ReadAll(&r)
		if err != nil {
			c.err = plainError(err, 0)
			return
		}
		if h.OpCode == ws.OpBinary {
			data = append([]byte("b"), data...)
		}
		select {
		case c.messages <- string(data):
		case <-c.closed:
			return
		}
	}
}

func (c *wsConn) control(h ws.Header, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		return c.write(ws.OpPong, string(data))
	case ws.OpPong:
		select {
		case c.pongs <- struct{}{}:
		default:
		}
	case ws.OpClose:
		code, _ := ws.ParseCloseFrameDataUnsafe(data)
		return errClosedByServer{code}
	}
	return nil
}

func (c *wsConn) write(op ws.OpCode, text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return wsutil.WriteClientMessage(c.conn, op, []byte(text))
}

func (c *wsConn) send(text string) error { return c.write(ws.OpText, text) }

// next returns the next message. Pings of Engine.IO are answered on the way.
func (c *wsConn) next(ctx context.Context, limit time.Duration) (string, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case m := <-c.messages:
			if m == "2" {
				if err := c.send("3"); err != nil {
					return "", plainError(err, limit)
				}
				continue
			}
			return m, nil
		case <-c.ended:
			select {
			case m := <-c.messages: // it came before the end
				return m, nil
			default:
				return "", c.err
			}
		case <-timer.C:
			return "", &silence{limit}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// close ends the connection. It may be called more than once.
func (c *wsConn) close() {
	c.once.Do(func() {
		close(c.closed)
		// A peer that reads nothing any more could keep a close frame from leaving.
		limit := time.AfterFunc(time.Second, func() { c.conn.Close() })
		_ = c.write(ws.OpClose, string(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
		limit.Stop()
		c.conn.Close()
		c.done()
		<-c.ended
	})
}
