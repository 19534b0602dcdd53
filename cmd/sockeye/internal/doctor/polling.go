package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"
)

// session is one on polling, opened by the examination, with connections and cookies of its own as a client has.
type session struct {
	handshake
	client *http.Client
	done   func()
}

// openSession makes a handshake. The answer is nil only with an error; the session is nil without a handshake in it.
func (x *exam) openSession(ctx context.Context) (*session, *answer, error) {
	jar, _ := cookiejar.New(nil) // fails for no input
	client, done := x.kept(jar)
	a, err := x.do(ctx, ask{transport: "polling", client: client})
	if err != nil {
		done()
		return nil, nil, err
	}
	r := a.read()
	if r.kind != opened {
		done()
		return nil, a, nil
	}
	x.learn(r.open)
	return &session{r.open, client, done}, a, nil
}

// end closes the session.
func (x *exam) end(ctx context.Context, s *session) {
	x.closeSession(ctx, s.client, s.SID)
	s.done()
}

func (x *exam) post(ctx context.Context, s *session, body string) (*answer, error) {
	return x.do(ctx, ask{method: http.MethodPost, transport: "polling", sid: s.SID, body: body, client: s.client})
}

func (x *exam) poll(ctx context.Context, s *session, limit time.Duration) (*answer, error) {
	return x.do(ctx, ask{transport: "polling", sid: s.SID, client: s.client, limit: limit})
}

// examinePolling does what a client on long-polling does: a handshake, a GET that waits, a POST meanwhile, and the
// answer in the GET.
func (x *exam) examinePolling(ctx context.Context, s *Step) {
	x.polling.tried = true
	one, a, err := x.openSession(ctx)
	if err != nil {
		s.evidence("handshake: %v", err)
		s.problem("polling-handshake", "The handshake fails now and then: "+err.Error()+".", "Look into the logs of the server and of what is in front of it.")
		return
	}
	if one == nil {
		x.refusedHandshake(s, a)
		return
	}
	defer x.end(ctx, one)
	x.cookies = append(x.cookies, (&http.Response{Header: a.header}).Cookies()...)
	s.evidence("%s %s → %d over %s in %s", a.method, a.target, a.status, a.proto, ms(a.took))
	if !x.notCached(ctx, s, one) {
		return
	}

	type result struct {
		a   *answer
		err error
	}
	got := make(chan result, 1)
	pollCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		a, err := x.poll(pollCtx, one, 2*x.opts.Timeout)
		got <- result{a, err}
	}()
	b, err := x.post(ctx, one, x.connectPacket())
	if !x.posted(s, b, err) {
		cancel()
		<-got
		return
	}
	r := <-got
	if r.err != nil && isSilence(r.err) {
		// The POST was taken and the GET is held, which is all that polling is: the server has nothing to say.
		s.evidence("GET: held for %v, without an answer to the CONNECT", 2*x.opts.Timeout)
		s.say("GET and POST work")
		x.polling.works = true
		x.joinErrors = append(x.joinErrors, "polling: no answer")
		return
	}
	if !x.polled(s, r.a, r.err) {
		return
	}
	x.polling.works = true
	s.say("GET and POST work; a message there and back took %s", ms(r.a.at.Sub(b.sent)))
	x.readAnswers(ctx, one, r.a)
}

// readAnswers looks for the answer to the CONNECT among the packets of a response and the next.
func (x *exam) readAnswers(ctx context.Context, one *session, a *answer) {
	for range 3 {
		for p := range strings.SplitSeq(a.body, "\x1e") {
			if j, ok := x.readJoining(p); ok {
				j.over = "polling"
				x.joins = append(x.joins, j)
				return
			}
			if p == "1" {
				x.joinErrors = append(x.joinErrors, "polling: the server closed the session")
				return
			}
		}
		var err error
		if a, err = x.poll(ctx, one, 0); err != nil || a.status != http.StatusOK {
			break
		}
	}
	x.joinErrors = append(x.joinErrors, "polling: no answer")
}

// refusedHandshake says why there is no session.
func (x *exam) refusedHandshake(s *Step, a *answer) {
	r := a.read()
	s.evidence("%v", a)
	switch {
	case r.unknownTransport():
		s.warning("polling-disabled", "The server has polling turned off.",
			`Stock clients begin with polling and then fail: give them transports: ["websocket"]. Or allow polling at the server.`)
	case a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable:
		s.problem("overloaded", fmt.Sprintf("The server takes no new sessions now (%d %s).", a.status, r.message), "Wait, then try again; look at its limits.")
	case r.engineIO():
		s.problem("handshake-refused", fmt.Sprintf("The server refuses the handshake: %q (%d).", r.message, a.status),
			"The server's own rule does that (allowRequest, an origin check, a middleware): give what it wants by --header or in the query, or look into its log.")
	default:
		s.problem("polling-handshake", fmt.Sprintf("The second handshake was answered differently from the first (%d): several servers, not all of them Socket.IO?", a.status),
			"Look at which servers the balancer has in its list.")
	}
}

// notCached makes the same request twice: a cache would hand out the same session.
func (x *exam) notCached(ctx context.Context, s *Step, one *session) bool {
	u := ask{transport: "polling", query: [2]string{"t", "sockeye"}}
	a, err := x.do(ctx, u)
	if err != nil {
		return true
	}
	ra := a.read()
	b, err := x.do(ctx, u)
	if err != nil {
		return true
	}
	rb := b.read()
	x.closeSession(ctx, nil, ra.open.SID)
	if ra.open.SID != "" && ra.open.SID == rb.open.SID {
		s.evidence("two handshakes at the same URL → the same session; Age: %q, Cache-Control: %q, %s", b.header.Get("Age"), b.header.Get("Cache-Control"), b.via())
		s.problem("cached", "Something caches the responses: two clients were given the same session.",
			"Have the CDN or proxy pass "+x.path+" without caching.").config("nginx: proxy_cache off;")
		return false
	}
	if rb.open.SID != "" {
		x.closeSession(ctx, nil, rb.open.SID)
	}
	return true
}

// posted judges the answer to a POST.
func (x *exam) posted(s *Step, a *answer, err error) bool {
	if err != nil {
		s.evidence("POST: %v", err)
		if isSilence(err) {
			s.problem("one-request", "A POST gets no answer while a GET is waiting.",
				"The server, or what runs it, handles one request at a time: it must take several at once (threads, an asynchronous worker, more workers with sticky sessions).")
			return false
		}
		s.problem("post-failed", "A POST fails: "+err.Error()+".", "Look into the logs of what is in front of the server.")
		return false
	}
	s.evidence("%v", a)
	if a.status == http.StatusOK {
		return true
	}
	if a.read().unknownSession() {
		x.loseSession(s, "POST")
		return false
	}
	fix := "Allow POST at " + x.path + " in what is in front of the server."
	if a.read().engineIO() {
		fix = "Look into the server's log: it refuses the request itself."
	}
	s.problem("post-refused", fmt.Sprintf("A POST is refused (%d).", a.status), fix)
	return false
}

// polled judges the answer to the GET that waited.
func (x *exam) polled(s *Step, a *answer, err error) bool {
	if err != nil {
		s.evidence("GET: %v", err)
		s.problem("poll-failed", "The GET that waits for messages fails: "+err.Error()+".",
			"Something closes requests that aren't answered at once. Look into the logs of what is in front of the server.")
		return false
	}
	s.evidence("%v", a)
	switch {
	case a.status == http.StatusOK:
		return true
	case a.read().unknownSession():
		x.loseSession(s, "GET")
	case a.status == http.StatusGatewayTimeout || a.status == http.StatusBadGateway || a.status == http.StatusRequestTimeout:
		s.problem("poll-cut", fmt.Sprintf("A proxy ends the GET that waits for messages after %s (%d).", ms(a.took), a.status),
			"Raise its timeout for answers above pingInterval + pingTimeout.").config("nginx: proxy_read_timeout 60s;")
	default:
		s.problem("poll-refused", fmt.Sprintf("The GET that waits for messages is refused (%d).", a.status), "Look into the logs of the server and of what is in front of it.")
	}
	return false
}

// loseSession says that a request reached a server that doesn't know the session.
func (x *exam) loseSession(s *Step, method string) {
	x.lost = true
	s.problem("session-lost", "A "+method+" of the session came to a server that doesn't know it.",
		"See sticky sessions below.").consequence("sticky")
}
