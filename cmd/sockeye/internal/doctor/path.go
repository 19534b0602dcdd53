package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// usualPaths are where Engine.IO servers are mounted; those that people forget about come first.
var usualPaths = []string{"/socket.io/", "/engine.io/", "/ws/socket.io/", "/api/socket.io/", "/ws/", "/realtime/socket.io/", "/socketio/"}

// examinePath finds out whether there is an Engine.IO server at the path, and if not, what is there and where else one
// is.
func (x *exam) examinePath(ctx context.Context, s *Step) {
	a, err := x.handshakeAt(ctx, x.path)
	if err != nil {
		s.evidence("GET %s: %v", x.path, err)
		x.broken = "the server doesn't answer HTTP requests"
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			s.problem("tls-verify", "The certificate is not valid: "+err.Error()+".",
				"Requests go through a proxy, which may be the one who shows it. Add its authority to the trusted certificates, or see what is behind by --insecure.")
			return
		}
		if isSilence(err) {
			s.problem("http-silent", fmt.Sprintf("The connection is made, but a request gets no answer within %v.", x.opts.Timeout),
				"Is it HTTP that the port speaks? If a proxy is in front, can it reach the server? If the server is slow, give more --timeout.")
			return
		}
		s.problem("http-failed", "The connection is made, but not answered by HTTP: "+err.Error()+".",
			"Is it HTTP that the port speaks? If it speaks TLS, use https:// in the URL.")
		return
	}
	x.dates = append(x.dates, a)
	s.evidence("%v", a)
	if a.read().engineIO() {
		x.accept(ctx, a, x.path)
		s.say("there is an Engine.IO server at %s", x.path)
		return
	}
	if plainHTTPSent(a) {
		x.broken = "the port speaks TLS"
		s.problem("http-to-https", "The port speaks TLS, and the URL says http.", "Use https:// in the URL.")
		return
	}
	if a.status >= 300 && a.status < 400 {
		x.redirected(ctx, s, a)
		return
	}
	if path, b := x.elsewhere(ctx, s); path != "" {
		asked := x.path
		x.accept(ctx, b, path)
		s.problem("wrong-path", fmt.Sprintf("There is no Engine.IO server at %s, but there is one at %s.", asked, path),
			fmt.Sprintf("Give the path to the client: io(url, { path: %q }). Everything below was examined there.", path))
		return
	}
	x.broken = "no Engine.IO server was found"
	x.diagnose(ctx, s, a)
}

func (x *exam) handshakeAt(ctx context.Context, path string) (*answer, error) {
	return x.do(ctx, ask{transport: "polling", path: path})
}

// accept takes the path for the right one.
func (x *exam) accept(ctx context.Context, a *answer, path string) {
	x.path, x.first = path, a
	x.cookies = append(x.cookies, (&http.Response{Header: a.header}).Cookies()...)
	if r := a.read(); r.kind == opened {
		x.closeSession(ctx, nil, r.open.SID)
	}
}

// closeSession ends a session that was opened to look at something, so that the server need not wait for its timeout.
// Behind a balancer without sticky sessions it may take a few requests to find the server; what fails doesn't matter.
func (x *exam) closeSession(ctx context.Context, client *http.Client, sid string) {
	for range 3 {
		a, err := x.do(ctx, ask{method: http.MethodPost, transport: "polling", sid: sid, body: "1", client: client})
		if err != nil || !a.read().unknownSession() {
			return
		}
	}
}

// elsewhere tries the path with and without its last slash, and the usual ones.
func (x *exam) elsewhere(ctx context.Context, s *Step) (string, *answer) {
	tries := []string{strings.TrimSuffix(x.path, "/")}
	tries = append(tries, x.guessed...)
	tries = append(tries, usualPaths...)
	if x.path != "/" {
		tries = append(tries, strings.TrimSuffix(x.path, "/")+"/socket.io/")
	}
	var tried []string
	for _, path := range tries {
		if path == "" || path == x.path || slices.Contains(tried, path) {
			continue
		}
		tried = append(tried, path)
		a, err := x.handshakeAt(ctx, path)
		if err != nil {
			continue
		}
		if a.read().engineIO() {
			s.evidence("%v", a)
			return path, a
		}
	}
	s.evidence("no Engine.IO server at %s either", strings.Join(tried, ", "))
	return "", nil
}

// redirected says where a redirect leads, and goes on there if it is the same host.
func (x *exam) redirected(ctx context.Context, s *Step, a *answer) {
	x.broken = "the server redirects"
	here := x.address(ask{path: x.path})
	to, err := here.Parse(a.header.Get("Location"))
	if err != nil || to.Host == "" {
		s.problem("redirect", fmt.Sprintf("The server redirects (%d), to nowhere that makes sense.", a.status), "Remove the redirect for "+x.path+".")
		return
	}
	clean := displayURL(&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path})
	fix := fmt.Sprintf("Clients don't follow redirects for WebSocket, and not for POST: use %s://%s in the client.", to.Scheme, to.Host)
	switch {
	case to.Scheme == "https" && here.Scheme == "http":
		s.problem("redirect-https", "The server redirects http to https.",
			fmt.Sprintf("Use https://%s in the client, and examine that: sockeye doctor https://%s", to.Host, to.Host))
	case to.Host != here.Host:
		s.problem("redirect-host", fmt.Sprintf("The server redirects (%d) to %s.", a.status, clean),
			fix+fmt.Sprintf(" Examine that: sockeye doctor %s://%s", to.Scheme, to.Host))
	default:
		if b, err := x.handshakeAt(ctx, to.Path); err == nil && b.read().engineIO() {
			s.evidence("%v", b)
			x.broken = ""
			x.accept(ctx, b, to.Path)
			s.problem("redirect-path", fmt.Sprintf("The server redirects %s to %s, where there is an Engine.IO server.", here.Path, to.Path),
				fmt.Sprintf("Give the path to the client: io(url, { path: %q }). Everything below was examined there.", to.Path))
			return
		}
		if path, b := x.elsewhere(ctx, s); path != "" {
			x.broken = ""
			x.accept(ctx, b, path)
			s.problem("wrong-path", fmt.Sprintf("There is no Engine.IO server at %s, but there is one at %s.", here.Path, path),
				fmt.Sprintf("Give the path to the client: io(url, { path: %q }). Everything below was examined there.", path))
			return
		}
		s.problem("redirect", fmt.Sprintf("The server redirects (%d) to %s, where there is no Engine.IO server; a login page perhaps.", a.status, clean),
			"Leave the path of the Socket.IO server out of the redirect. If it is there for those who are not logged in, give --header 'Cookie: …'.")
	}
}

// diagnose says what is at the path instead.
func (x *exam) diagnose(ctx context.Context, s *Step, a *answer) {
	pass := []string{
		"location " + x.path + " {",
		"    proxy_pass http://127.0.0.1:3000;   # where the Socket.IO server listens",
		"    proxy_http_version 1.1;",
		"    proxy_set_header Host $http_host;",
		"    proxy_set_header Upgrade $http_upgrade;",
		"    proxy_set_header Connection $connection_upgrade;   # map $http_upgrade $connection_upgrade { default upgrade; '' close; }",
		"}",
	}
	add := func(f *Finding) {
		if a.nginx() {
			f.config(pass...)
		}
	}
	switch {
	case a.status == http.StatusUnauthorized || a.status == http.StatusProxyAuthRequired:
		s.problem("auth-required", fmt.Sprintf("The server wants credentials for HTTP (%d, %s).", a.status, scheme(a)),
			"Give them: --header 'Authorization: …'. In a page, cookies do it; WebSocket in browsers can't send other headers.")
	case a.status == http.StatusForbidden:
		s.problem("forbidden", "Something in front of the server refuses the request (403).",
			"Look into the rules of the firewall, CDN or proxy for "+x.path+".")
	case a.status == http.StatusTooManyRequests:
		s.problem("rate-limited", "There were too many requests from this address (429).", "Wait, then try again, with fewer --sessions.")
	case a.status == http.StatusBadGateway || a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout:
		s.problem("bad-gateway", fmt.Sprintf("A proxy answers (%d), but the server behind it doesn't.", a.status),
			"Is the server running, and does the proxy have its right address and port?")
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status == http.StatusGone:
		add(s.problem("not-found", fmt.Sprintf("There is nothing at %s (%d), nor at the usual other paths.", x.path, a.status),
			"Is the Socket.IO server mounted in this application, and does the proxy pass its path on? If it has a path of its own, give --path."))
	case a.status == http.StatusOK && a.html():
		b, err := x.do(ctx, ask{path: "/" + strings.ToLower(rand.Text()) + "/", bare: true})
		if err == nil && b.status == http.StatusOK && b.html() {
			s.evidence("GET of a path that can't exist → 200 with a page as well")
			add(s.problem("spa-fallback", "A page comes instead of the Socket.IO server: this site answers every path with its page.",
				"Pass "+x.path+" on to the Socket.IO server, before the rule that answers with index.html (try_files, rewrites, historyApiFallback)."))
			return
		}
		add(s.problem("web-page", "There is a web page at "+x.path+", not a Socket.IO server.",
			"Is this the right host and port? If the server has a path of its own, give --path."))
	case a.status >= 500:
		s.problem("server-error", fmt.Sprintf("The server fails (%d).", a.status), "Look into its log.")
	default:
		s.problem("not-engineio", fmt.Sprintf("Something answers at %s, but not as an Engine.IO server (%d, %s).", x.path, a.status, contentType(a)),
			"Is this the right host and port? If the server has a path of its own, give --path. A plain WebSocket server is not a Socket.IO server.")
	}
}

func scheme(a *answer) string {
	s, _, _ := strings.Cut(a.header.Get("WWW-Authenticate"), " ")
	if s == "" {
		s = "no scheme named"
	}
	return s
}

func contentType(a *answer) string {
	if t := a.header.Get("Content-Type"); t != "" {
		return cut(t, 40)
	}
	return "no content type"
}
