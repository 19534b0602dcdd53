package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// requests makes the HTTP requests of one connection.
type requests struct {
	client *http.Client
	own    *connections // if the client is this Conn's alone
	header http.Header
	base   url.URL // scheme, user, host and path; moves with a redirect
	query  url.Values
}

func newRequests(ctx context.Context, rawURL string, o *Options) (*requests, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	r := &requests{
		base:   url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: o.Path},
		query:  u.Query(),
		header: http.Header{},
	}
	for name, values := range o.Query {
		r.query[name] = values
	}
	r.query.Set("EIO", "4")
	add := func(h http.Header) {
		for name, values := range h {
			r.header[http.CanonicalHeaderKey(name)] = values
		}
	}
	add(o.Header)
	if o.HeaderFunc != nil {
		fresh, err := o.HeaderFunc(ctx)
		if err != nil {
			return nil, err
		}
		add(fresh.Clone())
	}
	if o.HTTPClient != nil {
		client := *o.HTTPClient
		client.Timeout = 0
		r.client = &client
		return r, nil
	}
	transport := newTransport()
	transport.TLSClientConfig = o.TLSConfig.Clone()
	r.own = &connections{dialer: net.Dialer{Timeout: 30 * time.Second}}
	transport.DialContext = r.own.dial
	r.client = &http.Client{Transport: transport, Jar: o.Memory.cookies()}
	return r, nil
}

// parseURL reads an address, with http or https as scheme.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, fmt.Errorf("engine: %q does not begin with http, https, ws or wss", u.Redacted())
	}
	if u.Host == "" {
		return nil, fmt.Errorf("engine: %q has no host", u.Redacted())
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("engine: %q has no port between 1 and 65535", u.Redacted())
		}
	}
	return u, nil
}

// key names the server in a Memory.
func (r *requests) key() string { return r.base.Scheme + "://" + r.base.Host + r.base.Path }

// release lets go of the network, when there are no more requests to make.
func (r *requests) release() {
	if r.own != nil {
		r.client.CloseIdleConnections()
		r.own.close()
	}
}

// new returns a request. extra goes into its query; a nil body is none.
func (r *requests) new(ctx context.Context, method, transport, sid string, extra map[string]string, body []byte) *http.Request {
	u := r.base
	query := make(url.Values, len(r.query)+4)
	for name, values := range r.query {
		query[name] = values
	}
	query.Set("transport", transport)
	if sid != "" {
		query.Set("sid", sid)
	}
	for name, value := range extra {
		query.Set(name, value)
	}
	if transport != WebSocket {
		// Caches that do not listen to cache headers see a different address every
		// time.
		query.Set("t", strconv.FormatInt(time.Now().UnixNano(), 36))
	}
	u.RawQuery = query.Encode()
	req := (&http.Request{Method: method, URL: &u, Host: r.header.Get("Host"), Header: r.header.Clone()}).WithContext(ctx)
	switch {
	case body != nil:
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body, _ = req.GetBody()
	case sid != "" && transport != WebSocket:
		req.Body = unrepeatable{}
	}
	return req
}

// unrepeatable is the empty body of a GET for messages. http.Transport makes a GET again by itself when a connection
// that it kept breaks before the response; here that would lose what the first response brought, unnoticed. A body
// that it can't get again stops it, and since it is empty nothing of it is sent.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// do carries out a request and returns its response if that has the wanted status.
func (r *requests) do(req *http.Request, status int) (*http.Response, error) {
	resp, err := r.client.Do(req)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close() // a redirect that was not followed
		}
		// The address that url.Error adds has the query, and so perhaps secrets.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if cause := context.Cause(req.Context()); cause != nil {
			err = cause
		}
		if _, ok := errors.AsType[*noAnswerError](err); ok {
			return nil, err
		}
		return nil, fmt.Errorf("engine: %w", err)
	}
	if resp.Request != nil && resp.Request.Method != req.Method {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("engine: a redirect has made a %s out of a %s", resp.Request.Method, req.Method)
	}
	if resp.StatusCode != status {
		err := refusal(resp)
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// newTransport returns what the client's own requests go over.
func newTransport() *http.Transport {
	if usual, ok := http.DefaultTransport.(*http.Transport); ok {
		return usual.Clone()
	}
	// The program has wrapped it, to trace its requests for instance.
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
}

// follow goes on where a redirect has led, so that not every request takes the
// detour, and POSTs are not made into GETs by one. On another host it does not:
// headers may hold what is not meant for it.
func (r *requests) follow(resp *http.Response) {
	if resp.Request == nil || resp.Request.URL == nil {
		return
	}
	if u := resp.Request.URL; u.Hostname() == r.base.Hostname() {
		r.base.Scheme, r.base.Host, r.base.Path = u.Scheme, u.Host, u.Path
	}
}

// maxRefusal is how much of a refusal is read.
const maxRefusal = 4 << 10

// refusal makes an error of a response that is not what was asked for.
func refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what there is
	refused := &RefusedError{Status: resp.StatusCode, Code: -1, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	var said struct {
		Code    *int   `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) == nil && said.Code != nil {
		refused.Code, refused.Message = *said.Code, excerpt([]byte(said.Message))
		return refused
	}
	var text string
	page := isPage(resp, body)
	if json.Unmarshal(body, &text) == nil {
		refused.Message = excerpt([]byte(text)) // python-engineio
	} else if !page && len(body) <= 200 && utf8.Valid(body) {
		refused.Message = excerpt(body)
	}
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed:
		return notEngineIO(resp, "nothing of the kind is at this path; look at Options.Path, and at what the proxy in front of the server passes on")
	case resp.StatusCode < 300:
		if resp.Request != nil && resp.Request.URL.Query().Get("transport") == WebSocket {
			return notEngineIO(resp, "the request to switch to WebSocket was answered with something else")
		}
		return notEngineIO(resp, "the answer is no handshake")
	}
	return refused
}

// notEngineIO is the error for a response that no Engine.IO server gives.
func notEngineIO(resp *http.Response, hint string) error {
	e := &NotEngineIOError{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Hint: hint}
	if resp.Request != nil && resp.Request.URL != nil {
		u := *resp.Request.URL
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		e.URL = u.String()
		if resp.Request.Response != nil {
			e.Hint += " (a redirect led there)"
		}
	}
	return e
}

// isPage reports whether a response is a web page. body may be nil if it is not
// known. Node's server calls plain text HTML.
func isPage(resp *http.Response, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	start := bytes.TrimLeft(body, " \t\r\n")
	return bytes.HasPrefix(start, []byte("<")) || body == nil && strings.HasSuffix(kind, "html")
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(value string) time.Duration {
	if value == "" {
		return 0
	}
	if s, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
