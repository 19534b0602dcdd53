package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	// usualPayload is what servers take that don't announce it: Socket.IO 3, on Node.js and in Python.
	usualPayload = 1_000_000
	// mostPayload is the largest that is tried; beyond, only time and the server's memory would be measured.
	mostPayload = 4 << 20
)

// examinePayload sends as much as the server says that it takes, by POST and through a WebSocket.
func (x *exam) examinePayload(ctx context.Context, s *Step) {
	if x.open == nil {
		s.skip("there was no handshake")
		return
	}
	size, announced := x.open.MaxPayload, fmt.Sprintf("%d bytes, as announced,", x.open.MaxPayload)
	switch {
	case size == 0:
		size, announced = usualPayload, fmt.Sprintf("%d bytes, the usual limit (none is announced),", usualPayload)
	case size > mostPayload:
		announced = fmt.Sprintf("%d bytes of %d announced", mostPayload, size)
		size = mostPayload
	}
	var through []string
	if x.polling.works {
		if x.lost {
			s.evidence("POST: can't be judged without sticky sessions")
		} else if x.payloadByPost(ctx, s, size) {
			through = append(through, "POST")
		}
	}
	if x.websocket.works && x.payloadByWebSocket(ctx, s, size) {
		through = append(through, "WebSocket")
	}
	switch {
	case len(through) == 2:
		s.say("%s get through by POST and by WebSocket", announced)
	case len(through) == 1:
		s.say("%s get through by %s", announced, through[0])
	case !hasProblem(s):
		s.skip("no transport to try it with")
	}
}

func (x *exam) maxPayload() string {
	return x.option("maxHttpBufferSize", "Options.Engine.MaxPayload", "max_http_buffer_size")
}

// patience is the limit for a request of that size: a thousandth of a second for each 125 bytes is 1 Mbit/s.
func (x *exam) patience(size int) time.Duration {
	return x.opts.Timeout + time.Duration(size/125)*time.Millisecond
}

func (x *exam) payloadByPost(ctx context.Context, s *Step, size int) bool {
	one, _, err := x.openSession(ctx)
	if err != nil || one == nil {
		s.evidence("POST: there was no session to try it with")
		return false
	}
	defer x.end(ctx, one)
	tryWith := func(n int, h http.Header) (*answer, error) {
		// A connection of its own: who refuses a body may not read it, and the connection is then of no use.
		t := x.transport()
		t.DisableKeepAlives, t.ExpectContinueTimeout = true, x.opts.Timeout
		return x.do(ctx, ask{method: http.MethodPost, transport: "polling", sid: one.SID, body: large(n), header: h, limit: x.patience(n), client: x.client(t, one.client.Jar)})
	}
	try := func(n int) (*answer, error) { return tryWith(n, nil) }
	a, err := try(size)
	if err != nil && !isSilence(err) && ctx.Err() == nil {
		// Who refuses by the length alone may reset the connection before the answer is read. Asked first, it answers.
		s.evidence("POST of %d bytes: %v; again, with Expect: 100-continue", size, err)
		a, err = tryWith(size, http.Header{"Expect": {"100-continue"}})
	}
	passed := func(a *answer, err error) bool { return err == nil && a.status == http.StatusOK }
	if passed(a, err) {
		s.evidence("POST of %d bytes → 200 in %s", size, ms(a.took))
		return true
	}
	if err != nil {
		s.evidence("POST of %d bytes: %v", size, err)
	} else {
		a.target = fmt.Sprintf("of %d bytes", size)
		s.evidence("%v", a)
		if a.read().unknownSession() {
			s.warning("session-lost", "The POST came to a server that doesn't know the session.", "See sticky sessions.").consequence("sticky")
			return false
		}
	}
	low, high := 1, size // low gets through
	if b, err := try(low); !passed(b, err) {
		s.problem("post-failed", "After a large POST small ones fail, too.", "Look into the logs of the server and of what is in front of it.")
		return false
	}
	for high-low > size/100 && ctx.Err() == nil {
		middle := (low + high) / 2
		b, err := try(middle)
		if passed(b, err) {
			low = middle
		} else {
			high = middle
		}
	}
	s.evidence("POST of %d bytes → 200", low)
	if x.open.MaxPayload == 0 {
		s.say("POST up to about %d bytes; the server announces no limit", low)
		return true
	}
	text := fmt.Sprintf("The server takes %d bytes, but a POST gets through only up to about %d.", x.open.MaxPayload, low)
	if err == nil && a.status == http.StatusRequestEntityTooLarge {
		s.problem("payload-413", text+" A proxy refuses more (413).",
			"Raise the proxy's limit above the server's "+x.maxPayload()+", or lower that: clients then know the limit, and send less at a time.").
			config("nginx: client_max_body_size 2m;")
		return false
	}
	s.problem("payload-cut", text, "Something on the way breaks larger requests off: raise its limit, or lower the server's "+x.maxPayload()+".")
	return false
}

func (x *exam) payloadByWebSocket(ctx context.Context, s *Step, size int) bool {
	c, _, err := x.dialWebSocket(ctx, ask{}, nil)
	if err != nil || c == nil {
		s.evidence("WebSocket: it did not open again")
		return false
	}
	defer c.close()
	if _, err = c.next(ctx, x.opts.Timeout); err == nil {
		sent := make(chan error, 1)
		go func() { sent <- c.send(large(size)) }()
		select {
		case err = <-sent:
		case <-time.After(x.patience(size)):
			err = &silence{x.patience(size)}
		}
		if err == nil {
			// The answer to what is sent after it shows that it got through.
			err = x.alive(ctx, c, x.patience(size))
		}
	}
	if err != nil {
		s.evidence("message of %d bytes by WebSocket: %v", size, err)
		s.problem("websocket-payload", fmt.Sprintf("The server takes %d bytes, but a WebSocket doesn't survive a message of that size.", size),
			"Something on the way limits messages (API gateways do, at 32 or 128 kB): lower the server's "+x.maxPayload()+", and send large things in parts.")
		return false
	}
	s.evidence("message of %d bytes by WebSocket: the connection goes on", size)
	return true
}

// alive asks for an answer from behind everything that lies between: to a CONNECT if the server answers those, else to
// a ping of WebSocket.
func (x *exam) alive(ctx context.Context, c *wsConn, limit time.Duration) error {
	if len(x.joins) > 0 {
		if err := c.send(x.connectPacket()); err != nil {
			return plainError(err, limit)
		}
		for {
			m, err := c.next(ctx, limit)
			if err != nil {
				return err
			}
			if _, ok := x.readJoining(m); ok {
				return nil
			}
		}
	}
	if err := c.write(0x9, ""); err != nil {
		return plainError(err, limit)
	}
	select {
	case <-c.pongs:
		return nil
	case <-c.ended:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return &silence{limit}
	}
}
