package engineio_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// stream is a response of the streaming transport that is being read.
type stream struct {
	s       *server
	conn    net.Conn
	status  int
	header  http.Header
	packets *queue[string] // in text form; closed with io.EOF at a clean end
	raw     *queue[string] // chunks as they came
}

const streamQuery = "EIO=4&transport=streaming"

const sse = "Accept: text/event-stream"

// stream opens a streaming response and waits for its headers.
func (s *server) stream(target string, headers ...string) *stream {
	s.t.Helper()
	if !strings.HasPrefix(target, "/") {
		target = path + "?" + target
	}
	conn, err := s.dial()
	if err != nil {
		s.t.Fatal(err)
	}
	request := "GET " + target + " HTTP/1.1\r\nHost: example.test\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	s.clients.Go(func() { _, _ = io.WriteString(conn, request+"\r\n") })
	s.t.Cleanup(func() { _ = conn.Close() })
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("no response: %v", err)
	}
	st := &stream{s: s, conn: conn, status: r.StatusCode, header: r.Header, packets: newQueue[string](), raw: newQueue[string]()}
	s.clients.Go(func() {
		defer conn.Close()
		defer st.raw.close(io.EOF)
		st.packets.close(st.read(r))
	})
	return st
}

// read splits the body until its end, which is io.EOF if it is a clean one.
func (st *stream) read(r *http.Response) error {
	var splitter interface {
		Feed(chunk []byte, limit int, yield func([]byte) error) error
	} = new(frame.Records)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		splitter = new(frame.Events)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			st.raw.push(string(buf[:n]))
			if err := splitter.Feed(buf[:n], 0, func(b []byte) error { st.packets.push(string(b)); return nil }); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

func (st *stream) next() string {
	st.s.t.Helper()
	p, err := st.packets.pop(st.s.guard)
	if err != nil {
		st.s.t.Fatalf("no packet: %v", err)
	}
	return p
}

func (st *stream) expect(want ...string) {
	st.s.t.Helper()
	for _, w := range want {
		if got := st.next(); got != w {
			st.s.t.Fatalf("got packet %.100q, want %.100q", got, w)
		}
	}
}

// expectEnd checks that the response ends cleanly, without another packet.
func (st *stream) expectEnd() {
	st.s.t.Helper()
	if p, err := st.packets.pop(st.s.guard); err != io.EOF {
		st.s.t.Fatalf("got %.100q, %v, want the end of the response", p, err)
	}
}

func (st *stream) close() { _ = st.conn.Close() }

// streamer is a client on the streaming transport.
type streamer struct {
	*stream
	poller // for its POSTs
}

// streaming opens a session by streaming.
func (s *server) streaming(extra string, headers ...string) *streamer {
	s.t.Helper()
	st := s.stream(streamQuery+extra, headers...)
	open := st.next()
	sid := sidOf(s.t, open)
	return &streamer{st, poller{s, sid, open, s.peerOf(sid)}}
}

func (c *streamer) query() string { return streamQuery + "&sid=" + c.sid }

func (c *streamer) post(packets ...string) {
	c.poller.t.Helper()
	c.poller.start("POST", c.query(), strings.Join(packets, "\x1e")).expect(200, "ok")
}

// reopen opens the next response of the session.
func (c *streamer) reopen(headers ...string) {
	c.poller.t.Helper()
	c.stream = c.poller.server.stream(c.query(), headers...)
}
