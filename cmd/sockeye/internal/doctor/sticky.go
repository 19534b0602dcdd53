package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const (
	// followUps is how many requests follow each handshake. Even, so that two servers that take turns show as a half.
	followUps = 6
	// stickyAtOnce is how many sessions are examined at the same time: enough to be done soon, too few to be taken for
	// an attack.
	stickyAtOnce = 4
)

// tally counts what became of sessions whose requests came on connections of their own.
type tally struct {
	sessions, whole   int // made; and all of whose requests reached them
	requests, reached int // follow-ups
	limited, failed   int // refused for their number; failed in another way
	example           string
}

// examineSticky makes sessions whose every request has a connection of its own: without cookies, then with them.
func (x *exam) examineSticky(ctx context.Context, s *Step) {
	if x.first.read().kind != opened && !x.polling.works {
		s.skip("there are no sessions on polling; WebSocket alone needs no sticky ones")
		return
	}
	without := x.sessions(ctx, "sticky sessions, without cookies", nil)
	if without.sessions == 0 {
		s.skip("no session could be opened")
		return
	}
	s.evidence("without cookies: %v", without)
	if without.limited > 0 {
		s.warning("rate-limited", fmt.Sprintf("%d requests were refused for their number (429 or 503).", without.limited),
			"Many users behind one address would meet this limit, too. Examine with fewer --sessions.")
	}
	if without.reached == without.requests {
		s.say("%d sessions, each request on a connection of its own: all reached their session", without.sessions)
		return
	}
	if without.reached+without.limited == without.requests {
		return // only the limit was in the way
	}
	if without.failed > 0 && without.reached+without.limited+without.failed == without.requests {
		s.warning("requests-failed", fmt.Sprintf("%d of %d requests failed: %s.", without.failed, without.requests, without.example),
			"Look into the logs of the server and of what is in front of it.")
		return
	}
	var with tally
	if names := x.cookieNames(); len(names) > 0 {
		with = x.sessions(ctx, "sticky sessions, with cookies", func(string) bool { return true })
		s.evidence("with cookies (%s): %v", strings.Join(names, ", "), with)
		if with.whole == with.sessions && with.sessions > 0 {
			x.stickyBy = x.whichCookies(ctx, s, names)
			x.stickyByCookie(s)
			return
		}
	}
	x.notSticky(s, without, with)
}

func (t tally) String() string {
	text := fmt.Sprintf("%d of %d sessions whole, %d of %d requests reached their session", t.whole, t.sessions, t.reached, t.requests)
	if t.example != "" {
		text += "; " + t.example
	}
	return text
}

// sessions opens sessions and follows each up by requests on fresh connections. keep says which cookies they keep; nil
// keeps none.
func (x *exam) sessions(ctx context.Context, what string, keep func(name string) bool) tally {
	n := x.opts.Sessions
	var mu sync.Mutex
	var t tally
	var wg sync.WaitGroup
	slots := make(chan struct{}, stickyAtOnce)
	done := int64(0)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			one := x.follows(ctx, keep)
			mu.Lock()
			defer mu.Unlock()
			t.add(one)
			done++
			x.opts.Progress(what, done, int64(n))
		})
	}
	wg.Wait()
	return t
}

func (t *tally) add(o tally) {
	t.sessions += o.sessions
	t.whole += o.whole
	t.requests += o.requests
	t.reached += o.reached
	t.limited += o.limited
	t.failed += o.failed
	if t.example == "" {
		t.example = o.example
	}
}

// follows is one session: a handshake, and pongs, which every server takes at any time.
func (x *exam) follows(ctx context.Context, keep func(string) bool) tally {
	var t tally
	var jar http.CookieJar
	if keep != nil {
		inner, _ := cookiejar.New(nil) // fails for no input
		jar = &someCookies{inner, keep}
	}
	client := x.fresh(jar)
	a, err := x.do(ctx, ask{transport: "polling", client: client})
	if err != nil || a.read().kind != opened {
		if err == nil && tooMany(a) {
			t.limited++
			t.requests++
			t.sessions++
		}
		return t
	}
	t.sessions++
	sid := a.read().open.SID
	for i := range followUps {
		t.requests++
		b, err := x.do(ctx, ask{method: http.MethodPost, transport: "polling", sid: sid, body: "3", client: client})
		switch {
		case err != nil:
			t.failed++
			t.note("request %d after the handshake: %v", i+1, err)
		case b.status == http.StatusOK:
			t.reached++
		case tooMany(b):
			t.limited++
		case b.read().unknownSession():
			t.note("request %d after the handshake: %v", i+1, b)
		default:
			t.failed++
			t.note("request %d after the handshake: %v", i+1, b)
		}
	}
	if t.reached == t.requests {
		t.whole++
	}
	x.closeSession(ctx, client, sid)
	return t
}

func (t *tally) note(format string, args ...any) {
	if t.example == "" {
		t.example = fmt.Sprintf(format, args...)
	}
}

func tooMany(a *answer) bool {
	return a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable
}

// someCookies is a jar that takes only some.
type someCookies struct {
	http.CookieJar
	keep func(name string) bool
}

func (j *someCookies) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(u, slices.DeleteFunc(slices.Clone(cookies), func(c *http.Cookie) bool { return !j.keep(c.Name) }))
}

// cookieNames are those of all cookies that were set so far.
func (x *exam) cookieNames() []string {
	var all []string
	for _, c := range x.cookies {
		if !slices.Contains(all, c.Name) {
			all = append(all, c.Name)
		}
	}
	return all
}

// whichCookies finds the one that is needed, if it is one; else all of them are.
func (x *exam) whichCookies(ctx context.Context, s *Step, names []string) []string {
	if len(names) == 1 {
		return names
	}
	var alone []string
	for _, name := range names {
		t := x.sessions(ctx, "sticky sessions, cookie "+name, func(n string) bool { return n == name })
		s.evidence("with cookie %s alone: %v", name, t)
		if t.sessions > 0 && t.whole == t.sessions {
			alone = append(alone, name)
		}
	}
	if len(alone) > 0 {
		return alone
	}
	return names
}

func (x *exam) stickyByCookie(s *Step) {
	s.warning("sticky-by-cookie",
		fmt.Sprintf("Several servers; sessions stay together by the cookie %s: clients that don't return it fail on polling.", strings.Join(x.stickyBy, " or ")),
		"Pages of the same site return it by themselves. Pages of another one need withCredentials: true, and the cookie SameSite=None; Secure. Programs need a cookie jar (Sockeye's Go client has one), or transports: [\"websocket\"].")
}

// notSticky says that nothing that a client can do keeps sessions together.
func (x *exam) notSticky(s *Step, without, with tally) {
	x.lost = true
	fix := "Make sessions sticky at the balancer, or have clients use transports: [\"websocket\"], which needs no sticky sessions."
	if !x.websocket.works {
		fix = "Make sessions sticky at the balancer."
	}
	lines := []string{
		"nginx, in the upstream block, by address of the client:",
		"    ip_hash;",
		"nginx 1.29.6 or later, by a cookie:",
		"    sticky cookie route path=/;",
		"HAProxy, in the backend, by a cookie:",
		"    cookie SERVERID insert indirect nocache",
		"    server one 10.0.0.1:3000 cookie one",
	}
	best := max(without.reached, with.reached)
	switch {
	case with.sessions > 0 && with.whole > 0 || without.whole > 0:
		s.problem("sticky-partly", fmt.Sprintf("Some sessions stay together and some don't (%d of %d%s): the balancer goes by something that changes within a session.",
			without.whole, without.sessions, withText(with)),
			"A hash of the session id or of the server's own cookie does that: the first request has neither. "+fix).config(lines...)
	case best == 0:
		s.problem("not-sticky", "Several servers without sticky sessions: no request after a handshake reached its session.", fix).config(lines...)
	default:
		s.problem("not-sticky", fmt.Sprintf("Several servers without sticky sessions: %d of %d requests after a handshake reached their session, as when about %d servers take turns.",
			without.reached, without.requests, max(2, (without.requests+without.reached/2)/max(1, without.reached))), fix).config(lines...)
	}
}

func withText(with tally) string {
	if with.sessions == 0 {
		return ""
	}
	return fmt.Sprintf("; with cookies %d of %d", with.whole, with.sessions)
}
