package engineio

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which pages of other origins may use the server, and adds the
// headers that tell browsers so. It also decides about WebSocket, where
// browsers ask nobody: a handshake whose Origin is not allowed is refused.
type CORS struct {
	// Origins are the allowed ones: "https://example.com", with one wildcard
	// for a part of the host "https://*.example.com", or "*" for all.
	Origins []string
	// AllowOrigin, if not nil, decides about origins that Origins does not
	// contain.
	AllowOrigin func(r *http.Request, origin string) bool
	// Credentials lets pages send cookies and authorization. Together with "*"
	// every page on the web can act with the visitor's cookies.
	Credentials bool
	// Methods are those allowed in preflights. Empty means GET, HEAD, PUT,
	// PATCH, POST, DELETE.
	Methods []string
	// AllowedHeaders are the request headers allowed. Empty allows what the
	// preflight asks for.
	AllowedHeaders []string
	// ExposedHeaders are the response headers a page may read.
	ExposedHeaders []string
	// MaxAge is how long a browser may remember a preflight. Zero sends none.
	MaxAge time.Duration
}

func (c *CORS) validate() error {
	if c == nil {
		return nil
	}
	for _, o := range c.Origins {
		if o == "*" {
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || strings.Count(o, "*") > 1 {
			return fmt.Errorf(`engineio: CORS origin %q is not of the form "https://example.com", "https://*.example.com" or "*"`, o)
		}
	}
	return nil
}

// allows reports whether the origin may use the server.
func (c *CORS) allows(r *http.Request, origin string) bool {
	if c == nil {
		return false
	}
	for _, pattern := range c.Origins {
		if matchOrigin(pattern, origin) {
			return true
		}
	}
	return c.AllowOrigin != nil && c.AllowOrigin(r, origin)
}

func matchOrigin(pattern, origin string) bool {
	if pattern == "*" || strings.EqualFold(pattern, origin) {
		return true
	}
	before, after, ok := strings.Cut(pattern, "*")
	if !ok || len(origin) < len(before)+len(after)+1 {
		return false
	}
	origin = strings.ToLower(origin)
	return strings.HasPrefix(origin, strings.ToLower(before)) && strings.HasSuffix(origin, strings.ToLower(after)) &&
		!strings.ContainsAny(origin[len(before):len(origin)-len(after)], "/@?#\\")
}

// Apply adds the CORS headers to the answer to a request that another handler of
// the same site answers, and reports whether the request was a preflight, for
// which nothing is left but the status 204. A nil CORS does nothing.
func (c *CORS) Apply(h http.Header, r *http.Request) (preflight bool) { return c.apply(h, r) }

// apply adds the CORS headers, in the way of the cors package for Node, and
// reports whether the request was a preflight and is thereby answered.
func (c *CORS) apply(h http.Header, r *http.Request) (answered bool) {
	if c == nil {
		return false
	}
	origin := r.Header.Get("Origin")
	switch {
	case slices.Contains(c.Origins, "*") && !c.Credentials:
		h.Set("Access-Control-Allow-Origin", "*")
	case len(c.Origins) == 1 && c.AllowOrigin == nil && !strings.Contains(c.Origins[0], "*"):
		h.Set("Access-Control-Allow-Origin", c.Origins[0])
		h.Add("Vary", "Origin")
	default:
		h.Add("Vary", "Origin")
		if origin != "" && printable(origin) && c.allows(r, origin) {
			h.Set("Access-Control-Allow-Origin", origin)
		}
	}
	if c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if r.Method != http.MethodOptions {
		if len(c.ExposedHeaders) > 0 {
			h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposedHeaders, ","))
		}
		return false
	}
	methods := "GET,HEAD,PUT,PATCH,POST,DELETE"
	if len(c.Methods) > 0 {
		methods = strings.Join(c.Methods, ",")
	}
	h.Set("Access-Control-Allow-Methods", methods)
	if len(c.AllowedHeaders) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.AllowedHeaders, ","))
	} else {
		h.Add("Vary", "Access-Control-Request-Headers")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
	}
	if c.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge/time.Second)))
	}
	h.Set("Content-Length", "0")
	return true
}

// checkOrigin refuses a browser's request from another origin unless CORS
// allows it. Hosts are compared, not schemes: a proxy that ends TLS changes the
// scheme. Requests without Origin do not come from another page.
func (srv *Server) checkOrigin(q *request, origin string) *refusal {
	if origin == "" || q.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return nil
	}
	if _, host, ok := strings.Cut(origin, "://"); ok && host == q.Host {
		return nil
	}
	u, err := url.Parse(origin)
	if err == nil && u.Host != "" && sameHost(u.Host, q.Host) {
		return nil
	}
	if srv.opts.CORS.allows(q.Request, origin) {
		return nil
	}
	f := forbidden("Origin " + origin + " is not allowed here: add it to the CORS origins, or, behind a proxy, have the proxy pass on the Host header")
	f.context["origin"], f.context["host"] = origin, q.Host
	return f
}

func sameHost(a, b string) bool {
	return strings.EqualFold(withoutDefaultPort(a), withoutDefaultPort(b))
}

func withoutDefaultPort(host string) string {
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}
