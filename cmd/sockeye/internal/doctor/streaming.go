package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// examineStreaming opens a stream for a session on polling and has the server say something on it. When nothing comes,
// the session is ended: the response ends with it, and what something had held back arrives.
func (x *exam) examineStreaming(ctx context.Context, s *Step) {
	if !x.streaming {
		s.skip("the server doesn't offer it; only Sockeye's does")
		return
	}
	if !x.polling.works {
		s.skip("can't be judged while polling doesn't work")
		return
	}
	one, a, err := x.openSession(ctx)
	if err != nil || one == nil {
		s.evidence("handshake: %s", seen(a, err))
		s.skip("there was no session to try it with")
		return
	}
	defer x.end(ctx, one)
	st := x.stream(ctx, one)
	defer st.close()
	if a, err := x.do(ctx, ask{method: http.MethodPost, transport: "streaming", sid: one.SID, body: "2probe", client: one.client}); err != nil || a.status != http.StatusOK {
		s.evidence("POST for streaming: %s", seen(a, err))
		if err == nil && a.read().unknownSession() {
			s.warning("streaming-lost", "The stream came to a server that doesn't know the session.", "See sticky sessions below.").consequence("sticky")
			return
		}
		// A stream that was not let through isn't known to the server, which then refuses the POST.
		if refusal := st.refusal(x.opts.Timeout); refusal != "" {
			s.problem("streaming-refused", "A request for a stream is refused: "+refusal+".", "Have everything in front of the server pass "+x.path+" on.")
			return
		}
		x.judgeHeld(ctx, s, one, st)
		return
	}
	if st.wait("3probe", x.streamWait()) && !st.ends(0) {
		s.evidence("a record came after %s, while the response was open", ms(st.first()))
		s.say("works, a record arrives while the response is open")
		return
	}
	if refusal := st.refusal(0); refusal != "" {
		s.problem("streaming-refused", "A request for a stream is refused: "+refusal+".", "Have everything in front of the server pass "+x.path+" on.")
		return
	}
	x.judgeHeld(ctx, s, one, st)
}

// streamWait is how long to wait on a stream. The server gives an upgrade 10 s, and then ends the stream: what had been
// held back would come then, and look as if it hadn't been.
func (x *exam) streamWait() time.Duration { return min(x.opts.Timeout, 4*time.Second) }

func (x *exam) judgeHeld(ctx context.Context, s *Step, one *session, st *stream) {
	s.evidence("nothing came on the stream within %v", x.streamWait())
	x.closeSession(ctx, one.client, one.SID)
	text := "Nothing comes through a stream: something between here and the server holds responses back until they are complete."
	if st.ends(x.opts.Timeout) && strings.Contains(st.text(), "3probe") {
		s.evidence("the record arrived when the response ended: it was held back until then")
	} else {
		s.evidence("nothing came after the end of the session either")
	}
	s.problem("buffered", text,
		"Turn buffering of responses off in the proxy, and compression of them. Clients notice by themselves and take another transport.").
		config("nginx, in the location of the Socket.IO server:", "    proxy_buffering off;", "    gzip off;",
			"and remove proxy_ignore_headers X-Accel-Buffering, if it is there")
}

// stream is a response that is read while it is open.
type stream struct {
	cancel  context.CancelFunc
	done    chan struct{}
	changed chan struct{} // capacity 1

	mu     sync.Mutex
	got    strings.Builder
	status int
	err    error
	begun  time.Time
	delay  time.Duration // until the first byte
}

func (x *exam) stream(ctx context.Context, one *session) *stream {
	ctx, cancel := context.WithCancel(ctx)
	st := &stream{cancel: cancel, done: make(chan struct{}), changed: make(chan struct{}, 1), begun: time.Now()}
	go func() {
		defer close(st.done)
		err := x.follow(ctx, one, st)
		st.mu.Lock()
		st.err = err
		st.mu.Unlock()
	}()
	// The server must know the stream before it can be told to say something on it: wait for its header, which comes at
	// once where nothing is held back.
	st.header(x.streamWait() / 2)
	return st
}

func (x *exam) follow(ctx context.Context, one *session, st *stream) error {
	req, err := x.request(ctx, ask{transport: "streaming", sid: one.SID})
	if err != nil {
		return err
	}
	res, err := one.client.Do(req)
	if err != nil {
		return plainError(err, 0)
	}
	defer res.Body.Close()
	st.add("", res.StatusCode)
	buf := make([]byte, 4096)
	for {
		n, err := res.Body.Read(buf)
		if n > 0 {
			st.add(string(buf[:n]), res.StatusCode)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return plainError(err, 0)
		}
	}
}

func (st *stream) add(text string, status int) {
	st.mu.Lock()
	if st.got.Len() == 0 && text != "" {
		st.delay = time.Since(st.begun)
	}
	if st.got.Len() < maxBody {
		st.got.WriteString(text)
	}
	st.status = status
	st.mu.Unlock()
	select {
	case st.changed <- struct{}{}:
	default:
	}
}

func (st *stream) text() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.got.String()
}

func (st *stream) first() time.Duration {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.delay
}

// until waits for the condition, the end of the stream or the limit.
func (st *stream) until(ok func() bool, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for !ok() {
		select {
		case <-st.changed:
		case <-st.done:
			return ok()
		case <-timer.C:
			return false
		}
	}
	return true
}

func (st *stream) header(limit time.Duration) {
	st.until(func() bool {
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.status != 0
	}, limit)
}

func (st *stream) wait(text string, limit time.Duration) bool {
	return st.until(func() bool { return strings.Contains(st.text(), text) }, limit)
}

// ends waits for the end of the stream.
func (st *stream) ends(limit time.Duration) bool {
	select {
	case <-st.done:
		return true
	default:
	}
	select {
	case <-st.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// refusal is the status with which the stream was refused, if it was.
func (st *stream) refusal(limit time.Duration) string {
	st.header(limit)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.status != 0 && st.status != http.StatusOK {
		return fmt.Sprintf("%d %s", st.status, excerpt(st.got.String()))
	}
	return ""
}

func (st *stream) close() {
	st.cancel()
	<-st.done
}
