package doctor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// own is the origin of pages that come from the server's own host.
func (x *exam) own() string {
	host := strings.ToLower(x.base.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[x.base.Scheme]; strings.HasSuffix(host, port) && x.base.Port() != "" {
		host = strings.TrimSuffix(host, port)
	}
	return x.base.Scheme + "://" + host
}

// crossSite reports whether the page is of another site, as far as cookies are concerned: here, of another host name
// that doesn't share the last two labels.
func (x *exam) crossSite() bool {
	if x.opts.Origin == "" {
		return false
	}
	u, err := url.Parse(x.opts.Origin)
	if err != nil {
		return false
	}
	return site(u.Hostname()) != site(x.base.Hostname())
}

func site(host string) string {
	if net.ParseIP(host) != nil {
		return host
	}
	labels := strings.Split(host, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// examineCORS does what a browser does for a page of the origin: it asks with Origin, and looks whether the answers let
// the page in. Without --origin the page is one of the server's own host, which nothing should refuse.
func (x *exam) examineCORS(ctx context.Context, s *Step) {
	if x.opts.Origin == "" || x.opts.Origin == x.own() {
		x.sameOrigin(ctx, s)
		return
	}
	origin := x.opts.Origin
	if strings.HasPrefix(origin, "https://") && x.base.Scheme == "http" && !loopback(x.base.Hostname()) {
		s.problem("mixed-content", "Browsers don't let a page that came by https connect to http.", "Put TLS in front of the server, and use https:// in the client.")
	}
	get := true
	if x.first.read().kind == opened || x.polling.works {
		get = x.crossGet(ctx, s, origin)
		x.preflight(ctx, s, origin)
	}
	socket := x.originOfWebSocket(ctx, s, origin, "cross-site")
	if get && socket {
		s.say("pages of %s may connect", origin)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// originHeader is what a browser sends with Origin. Sec-Fetch-Site comes only where the server can be trusted to be who
// it is.
func (x *exam) originHeader(origin, fetchSite string) http.Header {
	h := http.Header{"Origin": {origin}}
	if x.base.Scheme == "https" || loopback(x.base.Hostname()) {
		h["Sec-Fetch-Site"] = []string{fetchSite}
	}
	return h
}

// sameOrigin asks as a page of the server's own host does; servers that compare Origin with Host refuse it when a proxy
// has changed Host.
func (x *exam) sameOrigin(ctx context.Context, s *Step) {
	s.say("pages of the server's own host may connect; give --origin for another")
	if !x.websocket.works {
		a, err := x.do(ctx, ask{transport: "polling", header: x.originHeader(x.own(), "same-origin")})
		if err != nil {
			s.skip("no answer: %v", err)
			return
		}
		s.evidence("with Origin: %s: %s", x.own(), outcome(a))
		if r := a.read(); r.kind == opened {
			x.closeSession(ctx, nil, r.open.SID)
		} else if refusedOrigin(a) {
			x.hostRewritten(s, a)
		}
		return
	}
	x.originOfWebSocket(ctx, s, x.own(), "same-origin")
}

func (x *exam) hostRewritten(s *Step, a *answer) {
	s.problem("own-origin-refused", fmt.Sprintf("Pages of the server's own host are refused (%d %s): a proxy changes Host, so that they look like those of another.", a.status, excerpt(a.body)),
		"Have the proxy pass the Host header (and X-Forwarded-Proto) on, or add "+x.own()+" to the origins that the server allows.").
		config("nginx: proxy_set_header Host $http_host;", "       proxy_set_header X-Forwarded-Proto $scheme;")
}

// outcome is an answer without its content: a handshake is a success, whatever it says.
func outcome(a *answer) string {
	if a.read().kind == opened {
		return fmt.Sprintf("%s %s → %d", a.method, a.target, a.status)
	}
	return a.String()
}

// refusedOrigin reports whether an answer to a request that is fine without Origin refuses it.
func refusedOrigin(a *answer) bool {
	return a.status == http.StatusForbidden || a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized
}

// crossGet asks for a handshake as a page of the origin does, and judges the header of the answer.
func (x *exam) crossGet(ctx context.Context, s *Step, origin string) bool {
	a, err := x.do(ctx, ask{transport: "polling", header: x.originHeader(origin, "cross-site")})
	if err != nil {
		s.evidence("GET with Origin: %v", err)
		s.problem("cors-failed", "A request with Origin fails: "+err.Error()+".", "Look into the logs of what is in front of the server.")
		return false
	}
	allowed := a.header.Values("Access-Control-Allow-Origin")
	credentials := a.header.Get("Access-Control-Allow-Credentials") == "true"
	s.evidence("with Origin: %s: %s; Access-Control-Allow-Origin: %s, Access-Control-Allow-Credentials: %s",
		origin, outcome(a), quoteAll(allowed), quoteAll(a.header.Values("Access-Control-Allow-Credentials")))
	if r := a.read(); r.kind == opened {
		x.closeSession(ctx, nil, r.open.SID)
	} else if refusedOrigin(a) {
		x.corsMissing(s, "origin-refused", fmt.Sprintf("The server refuses pages of %s (%d %s).", origin, a.status, excerpt(a.body)))
		return false
	}
	switch {
	case len(allowed) == 0:
		x.corsMissing(s, "cors-missing", "The answer has no Access-Control-Allow-Origin: browsers keep it from pages of "+origin+".")
		return false
	case len(allowed) > 1 || strings.Contains(allowed[0], ","):
		s.problem("cors-twice", "The answer has Access-Control-Allow-Origin twice, which browsers refuse: the server and the proxy both add it.",
			"Take it out of the proxy's configuration, and leave it to the Socket.IO server.")
		return false
	case allowed[0] != "*" && allowed[0] != origin:
		x.corsMissing(s, "cors-other", fmt.Sprintf("The answer allows pages of %s, not of %s.", allowed[0], origin))
		return false
	}
	if !credentials || allowed[0] == "*" {
		text := "Pages that send cookies (withCredentials: true) are refused: "
		if allowed[0] == "*" {
			text += "the origin is allowed by * only."
		} else {
			text += "there is no Access-Control-Allow-Credentials: true."
		}
		fix := fmt.Sprintf("At the server: cors: { origin: %q, credentials: true }.", origin)
		switch {
		case len(x.stickyBy) > 0:
			s.problem("cors-credentials", text+" Sticky sessions need the cookie "+strings.Join(x.stickyBy, ", ")+".", fix)
			return false
		case len(x.cookies) > 0:
			s.warning("cors-credentials", text, fix)
		default:
			s.evidence("%s Nothing here needs them.", text)
		}
	}
	return true
}

func (x *exam) corsMissing(s *Step, code, text string) {
	o := x.opts.Origin
	s.problem(code, text, "Allow the origin at the Socket.IO server.").config(
		fmt.Sprintf("Node.js:          new Server(http, { cors: { origin: %q, credentials: true } })", o),
		fmt.Sprintf("Sockeye:          Options.CORS: &engineio.CORS{Origins: []string{%q}, Credentials: true}", o),
		fmt.Sprintf("python-socketio:  socketio.Server(cors_allowed_origins=[%q])", o),
	)
}

func quoteAll(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return fmt.Sprintf("%q", values)
}

// preflight asks what browsers ask before a POST with headers of its own (extraHeaders). Without those there is none.
func (x *exam) preflight(ctx context.Context, s *Step, origin string) {
	asked := []string{"content-type"}
	for name := range x.opts.Header {
		if name != "Cookie" && name != "Origin" && name != "Host" && name != "User-Agent" {
			asked = append(asked, strings.ToLower(name))
		}
	}
	slices.Sort(asked)
	h := x.originHeader(origin, "cross-site")
	h["Access-Control-Request-Method"] = []string{http.MethodPost}
	h["Access-Control-Request-Headers"] = []string{strings.Join(asked, ",")}
	for name := range x.opts.Header {
		h[name] = nil // a preflight has none of them
	}
	a, err := x.do(ctx, ask{method: http.MethodOptions, transport: "polling", header: h})
	if err != nil {
		s.evidence("preflight: %v", err)
		return
	}
	headers := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
	s.evidence("preflight: %s %s → %d, Access-Control-Allow-Origin: %s, -Methods: %q, -Headers: %q", a.method, a.target, a.status,
		quoteAll(a.header.Values("Access-Control-Allow-Origin")), a.header.Get("Access-Control-Allow-Methods"), headers)
	var missing []string
	for _, name := range asked {
		if !slices.Contains(strings.FieldsFunc(headers, func(r rune) bool { return r == ',' || r == ' ' }), name) && headers != "*" {
			missing = append(missing, name)
		}
	}
	good := a.status >= 200 && a.status < 300 && a.header.Get("Access-Control-Allow-Origin") != "" && len(missing) == 0
	if good {
		return
	}
	if len(asked) == 1 || s.has("cors-missing") || s.has("origin-refused") || s.has("cors-other") {
		s.evidence("the preflight would be refused; only clients with extraHeaders make one")
		return
	}
	s.problem("cors-preflight", "The preflight, which browsers make for a client with extraHeaders, is refused: "+strings.Join(missing, ", ")+" not allowed.",
		"Allow these headers at the server (cors: { allowedHeaders: [...] }), have the proxy pass OPTIONS on, or send the token in auth instead, which needs no header.")
}

// originOfWebSocket opens a WebSocket as a page of the origin does. Browsers ask nobody there; the server decides.
func (x *exam) originOfWebSocket(ctx context.Context, s *Step, origin, fetchSite string) bool {
	if !x.websocket.works {
		return true
	}
	c, a, err := x.dialWebSocket(ctx, ask{header: x.originHeader(origin, fetchSite)}, nil)
	if err != nil {
		s.evidence("WebSocket with Origin: %s: %v", origin, err)
		s.problem("websocket-origin", "WebSocket works without Origin, and fails with it: "+err.Error()+".", "Something between here and the server goes by Origin: allow "+origin+" there.")
		return false
	}
	if c != nil {
		// python-engineio takes the handshake before it looks at the origin.
		_, err := c.next(ctx, x.opts.Timeout)
		c.close()
		s.evidence("WebSocket with Origin: %s → 101", origin)
		if err == nil {
			return true
		}
		s.evidence("then: %v", err)
		a.body = err.Error()
	} else {
		s.evidence("WebSocket with Origin: %s: %v", origin, a)
	}
	if origin == x.own() {
		x.hostRewritten(s, a)
		return false
	}
	if !s.has("origin-refused") && !s.has("cors-missing") {
		x.corsMissing(s, "websocket-origin", fmt.Sprintf("A WebSocket of a page of %s is refused (%d).", origin, a.status))
	}
	return false
}
