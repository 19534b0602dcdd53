package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// answer is a response, read to its end or to maxBody.
type answer struct {
	method, target string // of the request, for evidence
	status         int
	header         http.Header
	body           string
	took           time.Duration // until the end of the body
	proto          string
	at             time.Time // when the header came
	sent           time.Time
}

// maxBody bounds what is read of a response: error pages are looked at, not downloads.
const maxBody = 64 << 10

// ask is a request of the examination.
type ask struct {
	method    string // GET if empty
	transport string
	sid       string
	query     [2]string // one parameter more, if the name isn't empty
	body      string
	header    http.Header
	client    *http.Client  // one with connections of its own if nil
	limit     time.Duration // Options.Timeout if 0
	version   string        // EIO; "4" if empty
	path      string        // the server's if empty
	bare      bool          // only the path, no query
}

// do sends a request and reads the response. The error is for reading by people; it has no URL in it.
func (x *exam) do(ctx context.Context, q ask) (*answer, error) {
	limit := q.limit
	if limit == 0 {
		limit = x.opts.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := x.request(ctx, q)
	if err != nil {
		return nil, err
	}
	client := q.client
	if client == nil {
		client = x.fresh(nil)
	}
	a := &answer{method: req.Method, target: x.target(req.URL), sent: time.Now()}
	res, err := client.Do(req)
	if err != nil {
		return nil, plainError(err, limit)
	}
	defer res.Body.Close()
	a.status, a.header, a.proto, a.at = res.StatusCode, res.Header, res.Proto, time.Now()
	x.note(res.Header)
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	a.body, a.took = string(body), time.Since(a.sent)
	if sid := a.read().open.SID; sid != "" {
		x.secrets.add(sid) // whoever has it can take the session over
	}
	if err != nil {
		return a, fmt.Errorf("status %d, then %w", a.status, plainError(err, limit))
	}
	return a, nil
}

func (x *exam) request(ctx context.Context, q ask) (*http.Request, error) {
	method := q.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, x.address(q).String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range x.opts.Header {
		req.Header[name] = values
		if name == "Host" && len(values) > 0 {
			req.Host = values[0]
		}
	}
	if x.base.User != nil {
		password, _ := x.base.User.Password()
		req.SetBasicAuth(x.base.User.Username(), password)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "sockeye-doctor")
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	return req, nil
}

// address is the URL of a request, with a parameter that defeats caches as clients send it.
func (x *exam) address(q ask) *url.URL {
	u := *x.base
	u.User, u.Fragment = nil, ""
	u.Path, u.RawPath = x.path, ""
	if q.path != "" {
		u.Path = q.path
	}
	if q.bare {
		u.RawQuery = ""
		return &u
	}
	query := x.base.Query()
	version := q.version
	if version == "" {
		version = "4"
	}
	query.Set("EIO", version)
	query.Set("transport", q.transport)
	if q.sid != "" {
		query.Set("sid", q.sid)
	}
	query.Set("t", strings.ToLower(rand.Text()[:8]))
	if q.query[0] != "" {
		query.Set(q.query[0], q.query[1])
	}
	u.RawQuery = query.Encode()
	return &u
}

// target is the part of a URL that evidence shows: the path, and of the query what belongs to the protocol.
func (x *exam) target(u *url.URL) string {
	text := u.EscapedPath()
	var shown []string
	for _, name := range []string{"EIO", "transport"} {
		if v := u.Query().Get(name); v != "" {
			shown = append(shown, name+"="+v)
		}
	}
	if u.Query().Get("sid") != "" {
		shown = append(shown, "sid=…")
	}
	if len(shown) > 0 {
		text += "?" + strings.Join(shown, "&")
	}
	return text
}

// kept returns a client that keeps its connections and cookies, as a browser does. Call its close function.
func (x *exam) kept(jar http.CookieJar) (*http.Client, func()) {
	t := x.transport()
	t.ForceAttemptHTTP2 = true
	return x.client(t, jar), t.CloseIdleConnections
}

// fresh returns a client that makes a connection for every request.
func (x *exam) fresh(jar http.CookieJar) *http.Client {
	t := x.transport()
	t.DisableKeepAlives = true
	return x.client(t, jar)
}

func (x *exam) client(t *http.Transport, jar http.CookieJar) *http.Client {
	return &http.Client{
		Transport:     t,
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (x *exam) transport() *http.Transport {
	return &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		DialContext:     (&net.Dialer{Timeout: x.opts.Timeout}).DialContext,
		TLSClientConfig: &tls.Config{RootCAs: x.opts.Roots, InsecureSkipVerify: x.unverified, MinVersion: tls.VersionTLS10},
	}
}

// plainError takes the URL out of an error and says the common ones in words.
func plainError(err error, limit time.Duration) error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	var ne net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return &silence{limit}
	case errors.Is(err, io.EOF):
		return errors.New("the connection was closed without an answer")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the answer broke off")
	}
	return err
}

// silence is the error for no answer in time.
type silence struct{ limit time.Duration }

func (s *silence) Error() string { return fmt.Sprintf("no answer within %v", s.limit) }

func isSilence(err error) bool {
	_, ok := errors.AsType[*silence](err)
	return ok
}

// String describes the exchange for evidence.
func (a *answer) String() string {
	text := fmt.Sprintf("%s %s → %d", a.method, a.target, a.status)
	if a.body != "" {
		text += " " + excerpt(a.body)
	}
	if via := a.via(); via != "" {
		text += " (" + via + ")"
	}
	return text
}

// seen is what came of a request, for evidence.
func seen(a *answer, err error) string {
	switch {
	case a != nil && err != nil:
		return a.String() + ", then " + err.Error()
	case err != nil:
		return err.Error()
	}
	return a.String()
}

// via names who answered, as far as headers tell.
func (a *answer) via() string {
	var parts []string
	if s := a.header.Get("Server"); s != "" {
		parts = append(parts, "Server: "+cut(s, 40))
	}
	if s := a.header.Get("Via"); s != "" {
		parts = append(parts, "Via: "+cut(s, 60))
	}
	return strings.Join(parts, ", ")
}

// nginx says whether a fix may be given in the words of its configuration.
func (a *answer) nginx() bool {
	return a != nil && strings.Contains(strings.ToLower(a.header.Get("Server")), "nginx")
}

func (a *answer) html() bool {
	t := a.header.Get("Content-Type")
	body := strings.ToLower(strings.TrimSpace(a.body[:min(len(a.body), 512)]))
	return strings.Contains(t, "html") && strings.HasPrefix(body, "<") || strings.HasPrefix(body, "<!doctype html") || strings.HasPrefix(body, "<html")
}

// pageTitle finds what a page calls itself.
var pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// excerpt is the beginning of a body on one line, or the title of a page.
func excerpt(body string) string {
	body = strings.ToValidUTF8(body, "�")
	if m := pageTitle.FindStringSubmatch(body); m != nil && strings.HasPrefix(strings.TrimSpace(body), "<") {
		body = "page “" + m[1] + "”"
	}
	body = strings.Map(func(r rune) rune {
		switch {
		case r == '\x1e':
			return '␞'
		case r < ' ' || r == 0x7f:
			return ' '
		}
		return r
	}, strings.TrimSpace(body))
	return cut(strings.Join(strings.Fields(body), " "), 120)
}

func cut(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n]) + "…"
}

// large returns a packet of n bytes that servers take without a look at its content: a pong.
func large(n int) string {
	return "3" + string(bytes.Repeat([]byte("x"), max(0, n-1)))
}
