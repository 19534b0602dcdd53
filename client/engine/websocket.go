package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
	"github.com/sockeye-io/sockeye/internal/rawconn"
)

// webSocket carries packets as WebSocket messages: text with the type in front,
// binary messages as they are.
type webSocket struct {
	conn     *Conn
	requests *requests // until it is open
	net      net.Conn  // nil if the HTTP client does not tell
	raw      syscall.RawConn
	stream   io.ReadWriteCloser // what is read and written: net, or the body of the response
	killed   atomic.Bool
	in       wsInput
}

func (*webSocket) name() string { return WebSocket }

func (*webSocket) limits() (packets, bytes int) { return 0, 0 }

func (*webSocket) size(m Message) int {
	if m.Binary {
		return len(m.Data)
	}
	return 1 + len(m.Data)
}

// open makes the WebSocket and returns the handshake that comes over it.
func (w *webSocket) open(ctx context.Context, extra map[string]string) (handshake, error) {
	resp, err := w.connect(ctx, "", extra) //nolint:bodyclose // it is the connection
	if err != nil {
		return handshake{}, err
	}
	packet, err := w.first(ctx)
	if err != nil {
		return handshake{}, err
	}
	h, err := parseHandshake(packet)
	if err == errNoHandshake {
		err = notEngineIO(resp, "a WebSocket is there, but its first message is not Engine.IO's")
	}
	return h, err
}

// connect makes the WebSocket.
func (w *webSocket) connect(ctx context.Context, sid string, extra map[string]string) (*http.Response, error) {
	r := w.requests
	w.requests = nil
	var conn net.Conn
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { conn = info.Conn },
	})
	req := r.new(traced, http.MethodGet, WebSocket, sid, extra, nil)
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	h := req.Header
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", key)
	resp, err := r.do(req, http.StatusSwitchingProtocols)
	if err != nil {
		return nil, err
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		_ = resp.Body.Close()
		return nil, errors.New("engine: the HTTP client does not hand out the connection of a response 101")
	}
	w.stream = stream
	if resp.ProtoMajor == 1 && conn != nil {
		w.net = conn
	}
	return resp, checkSwitch(resp.Header, key)
}

// checkSwitch checks the response as RFC 6455, section 4.1, demands.
func checkSwitch(h http.Header, key string) error {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	switch {
	case !strings.EqualFold(h.Get("Upgrade"), "websocket"), !hasToken(h["Connection"], "upgrade"):
		return fmt.Errorf("engine: the response switches to %q, not to websocket", h.Get("Upgrade"))
	case strings.TrimSpace(h.Get("Sec-WebSocket-Accept")) != base64.StdEncoding.EncodeToString(sum[:]):
		return errors.New("engine: Sec-WebSocket-Accept does not fit: the response is not to this request")
	case h.Get("Sec-WebSocket-Extensions") != "":
		return fmt.Errorf("engine: the server uses an extension that was not offered: %s", h.Get("Sec-WebSocket-Extensions"))
	case h.Get("Sec-WebSocket-Protocol") != "":
		return fmt.Errorf("engine: the server uses a subprotocol that was not offered: %s", h.Get("Sec-WebSocket-Protocol"))
	}
	return nil
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// first reads the first message, which must be text. What comes behind it is kept
// for serve. ctx bounds it.
func (w *webSocket) first(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, w.kill)
	w.in.opening = true
	b := readBuffers.Get().(*readBuffer)
	defer readBuffers.Put(b)
	for {
		n, err := w.stream.Read(b.bytes[:])
		if w.in.opening {
			if broken := w.feed(b, b.bytes[:n]); broken != nil {
				err = broken
			}
		} else {
			w.keep(b.bytes[:n])
		}
		if !w.in.opening && n < readSize && err == nil {
			break
		}
		if err != nil {
			stop()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			} else if err == io.EOF || err == errPeerClosed {
				err = errors.New("engine: the WebSocket was closed before it said anything")
			}
			return nil, err
		}
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	// The response's body has nothing left that it read ahead: it filled a buffer
	// less than full. From now on its connection will do.
	if w.net != nil {
		w.net = take(w.net)
		w.stream = w.net
		w.raw = rawconn.Of(w.net)
	}
	text := w.in.text
	w.in.text = nil
	return text, nil
}

// probe makes the WebSocket for a session that has another transport, and returns
// when the server has answered over it.
func (w *webSocket) probe(ctx context.Context) error {
	if _, err := w.connect(ctx, w.conn.id, nil); err != nil { //nolint:bodyclose // it is the connection
		return err
	}
	stop := context.AfterFunc(ctx, w.kill)
	err := w.write([]frame.Packet{{Type: frame.Ping, Data: []byte("probe")}}, false)
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	answer, err := w.first(ctx)
	if err == nil && string(answer) != "3probe" {
		err = fmt.Errorf("engine: the probe was answered with %q", excerpt(answer))
	}
	return err
}

// serve reads until the connection ends.
//
// Handling a message takes more than the 2 KB of stack that a goroutine begins
// with, and a stack that has grown to 4 KB never shrinks to 2 again. So a reader
// that has done the work of the first messages or a heartbeat leaves waiting for
// more to a new goroutine.
func (w *webSocket) serve() {
	err := w.read()
	if err == errStackGrown {
		go w.serve()
		return
	}
	w.goodbye(err)
	w.conn.settle()
	_ = w.stream.Close()
	w.conn.lost(w, err)
	w.conn.leave()
}

func (w *webSocket) drop() {
	if w.stream != nil {
		_ = w.stream.Close()
	}
}

// kill wakes whoever reads or writes; the reader then closes the connection.
// Closing from here could wait for the reader, which may be the caller.
func (w *webSocket) kill() {
	if w.stream == nil || w.killed.Swap(true) {
		return
	}
	if w.raw != nil {
		_ = w.net.SetDeadline(time.Unix(1, 0)) // it has deadlines
		return
	}
	if over, ok := w.stream.(interface{ NetConn() net.Conn }); ok {
		_ = over.NetConn().Close() // TLS would wait to say goodbye
		return
	}
	_ = w.stream.Close()
}
