package engineio

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/sockeye-io/sockeye/internal/rawconn"
)

// webSocket carries each packet as a frame of its own. Frames are read by one
// goroutine, in wsread.go, and written by whoever flushes, in wswrite.go.
type webSocket struct {
	session *Session
	conn    net.Conn
	raw     syscall.RawConn // for reading and writing without blocking; nil over TLS and in memory
	deflate bool            // permessage-deflate was agreed on
	watched atomic.Bool     // in the list of Server.eof
	in      wsInput
}

func (*webSocket) name() string { return websocketName }

func (c *webSocket) ready() bool { return true }

// serveWebSocket answers an upgrade request: a handshake if s is nil, else the
// wish of s to be upgraded.
func (srv *Server) serveWebSocket(w http.ResponseWriter, q *request, s *Session) {
	if q.transport != websocketName || r1UpgradeBroken(q.Request) {
		if q.transport == websocketName {
			srv.refuse(w, q, badRequest("TRANSPORT_HANDSHAKE_ERROR"))
			return
		}
		srv.closeForeignUpgrade(w, q)
		return
	}
	if s != nil {
		srv.joinWebSocket(w, q, s)
		return
	}
	c := &webSocket{}
	s, refusal := srv.open(q, c, func(s *Session) {
		c.session = s
		s.flush = flushWriting // nothing may precede the open packet
	})
	if refusal != nil {
		srv.refuse(w, q, refusal)
		return
	}
	header := w.Header()
	srv.handshakeHeaders(header, q.Request, s)
	up, err := srv.upgradeConn(w, q, header)
	if err != nil {
		s.finish(ReasonTransportError, err, endAbort)
		return
	}
	alive := c.attach(up)
	up.response = append(up.response, s.openPacket("[]").frame()...)
	if srv.opts.InitialMessage != nil {
		up.response = append(up.response, NewMessage(false, srv.opts.InitialMessage).frame()...)
	}
	if !alive {
		up.response = append(up.response, ws.CompiledClose...)
	}
	if _, err := c.conn.Write(up.response); err != nil || !alive {
		s.finish(ReasonTransportError, err, endAbort)
		_ = c.conn.Close()
		return
	}
	// What the accept function sent goes out now.
	go c.serve(up.early, true)
}

// joinWebSocket lets the connection compete for an existing session.
func (srv *Server) joinWebSocket(w http.ResponseWriter, q *request, s *Session) {
	c := &webSocket{session: s}
	up, err := srv.upgradeConn(w, q, w.Header())
	if err != nil {
		return
	}
	c.attach(up)
	if _, err := c.conn.Write(up.response); err != nil {
		_ = c.conn.Close()
		return
	}
	if !s.beginUpgrade(c) {
		// As in the Node server; the session is not disturbed.
		_, _ = c.conn.Write(ws.CompiledClose)
		_ = c.conn.Close()
		return
	}
	go c.serve(up.early, false)
}

// closeForeignUpgrade answers an upgrade with transport=polling as the Node
// server does: the WebSocket is opened and closed.
func (srv *Server) closeForeignUpgrade(w http.ResponseWriter, q *request) {
	up, err := srv.upgradeConn(w, q, w.Header())
	if err != nil {
		return
	}
	_, _ = up.conn.Write(append(up.response, ws.CompiledClose...))
	_ = up.conn.Close()
}

// upgraded is a connection that has become a WebSocket, but for the response,
// which is left to the caller so that it leaves in one write with the first
// frame.
type upgraded struct {
	conn     net.Conn
	response []byte
	early    []byte // frames that came in behind the request
	deflate  bool
}

// r1UpgradeBroken reports whether the request lacks what RFC 6455 section 4.1
// demands, which is better said in HTTP than after hijacking.
func r1UpgradeBroken(r *http.Request) bool {
	return r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || len(r.Header.Get("Sec-Websocket-Key")) != 24 ||
		r.Header.Get("Sec-Websocket-Version") != "13"
}

func (srv *Server) upgradeConn(w http.ResponseWriter, q *request, header http.Header) (*upgraded, error) {
	up := &upgraded{}
	upgrader := ws.HTTPUpgrader{Header: header}
	extension := wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}}
	if srv.opts.Deflate != nil {
		upgrader.Negotiate = func(o httphead.Option) (httphead.Option, error) {
			accepted, err := extension.Negotiate(o)
			if err != nil {
				return httphead.Option{}, nil // an offer that makes no sense is declined (RFC 7692, section 5)
			}
			return accepted, nil
		}
	}
	hijacker := &responseCapture{ResponseWriter: w}
	conn, rw, _, err := upgrader.Upgrade(q.Request, hijacker)
	if conn == nil {
		return nil, err
	}
	up.conn = conn
	up.response = hijacker.response.Bytes()
	if err != nil {
		_, _ = conn.Write(up.response) // the refusal
		_ = conn.Close()
		return nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n) // n bytes are there
		up.early = bytes.Clone(early)
	}
	_, up.deflate = extension.Accepted()
	return up, nil
}

// responseCapture hands the connection over, and keeps what is written as
// response.
type responseCapture struct {
	http.ResponseWriter
	response bytes.Buffer
}

func (c *responseCapture) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return conn, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(&c.response, 512)), nil
}

// attach reports whether the session is still alive; if it ended before it had
// a connection, nobody else will close this one.
func (c *webSocket) attach(up *upgraded) bool {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	c.conn = up.conn
	c.deflate = up.deflate
	c.raw = rawconn.Of(up.conn)
	return s.state != stateClosed
}
