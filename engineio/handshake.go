package engineio

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Handshake is what is known of the request that opened a session. It is kept
// as one string, a quarter of what an http.Header takes, and parsed when asked
// for.
type Handshake struct {
	raw        string // request URI, then a line "Key: value" for each header
	remoteAddr string
	host       string
	time       time.Time
	secure     bool
}

// connectionHeaders concern the connection rather than the peer and are not
// worth keeping for the life of a session.
var connectionHeaders = map[string]bool{
	"Connection":               true,
	"Upgrade":                  true,
	"Sec-Websocket-Key":        true,
	"Sec-Websocket-Version":    true,
	"Sec-Websocket-Extensions": true,
	"Content-Length":           true,
	"Te":                       true,
}

func newHandshake(q *request) Handshake {
	r := q.Request
	uri := r.RequestURI
	if uri == "" {
		uri = r.URL.RequestURI()
	}
	size := len(uri)
	for key, values := range r.Header {
		for _, v := range values {
			size += len(key) + len(v) + 3
		}
	}
	raw := make([]byte, 0, size)
	raw = append(raw, uri...)
	for key, values := range r.Header {
		if connectionHeaders[key] {
			continue
		}
		for _, v := range values {
			raw = append(raw, '\n')
			raw = append(raw, key...)
			raw = append(raw, ": "...)
			raw = append(raw, v...)
		}
	}
	return Handshake{
		raw:        string(bytes.TrimRight(raw, "\n")),
		remoteAddr: strings.Clone(r.RemoteAddr),
		host:       strings.Clone(r.Host),
		time:       time.Now(),
		secure:     q.secure,
	}
}

// Header returns the request's headers, without those that concern only the
// connection. Each call builds a new map.
func (h *Handshake) Header() http.Header {
	header := http.Header{}
	_, lines, _ := strings.Cut(h.raw, "\n")
	for line := range strings.SplitSeq(lines, "\n") {
		if key, value, ok := strings.Cut(line, ": "); ok {
			header[key] = append(header[key], value)
		}
	}
	return header
}

// Get returns the first value of one header without building the map.
func (h *Handshake) Get(key string) string {
	key = textproto.CanonicalMIMEHeaderKey(key)
	_, lines, _ := strings.Cut(h.raw, "\n")
	for line := range strings.SplitSeq(lines, "\n") {
		if k, value, ok := strings.Cut(line, ": "); ok && k == key {
			return value
		}
	}
	return ""
}

// URL returns the request's URI as it was sent, with its query.
func (h *Handshake) URL() string {
	uri, _, _ := strings.Cut(h.raw, "\n")
	return uri
}

// Query returns the parameters of the request's URI.
func (h *Handshake) Query() url.Values {
	_, query, _ := strings.Cut(h.URL(), "?")
	values, _ := url.ParseQuery(query) // what could be parsed
	return values
}

// RemoteAddr returns the address of the other end of the TCP connection,
// "host:port". Behind a proxy that is the proxy, unless it is one of
// Options.TrustedProxies: then it is the client as the proxy says, with port 0
// if it does not say the port.
func (h *Handshake) RemoteAddr() string { return h.remoteAddr }

// RemoteIP returns the IP address of RemoteAddr, an IPv4 one as such also where the system says "::ffff:192.0.2.1". It is
// the zero Addr, which is not valid, if there is none, as on a Unix socket.
func (h *Handshake) RemoteIP() netip.Addr {
	a, _ := netip.ParseAddrPort(h.remoteAddr) // the zero AddrPort if it fails
	return a.Addr().Unmap()
}

// Cookie returns the first cookie with the name that the request carried, or [http.ErrNoCookie].
func (h *Handshake) Cookie(name string) (*http.Cookie, error) {
	r := http.Request{Header: http.Header{}}
	_, lines, _ := strings.Cut(h.raw, "\n")
	for line := range strings.SplitSeq(lines, "\n") {
		if value, ok := strings.CutPrefix(line, "Cookie: "); ok {
			r.Header["Cookie"] = append(r.Header["Cookie"], value)
		}
	}
	return r.Cookie(name)
}

// Host returns the request's Host header, or the host that a trusted proxy was
// asked for.
func (h *Handshake) Host() string { return h.host }

// Time returns when the request arrived.
func (h *Handshake) Time() time.Time { return h.time }

// Secure reports whether the request came over TLS that this server ended, or,
// as a trusted proxy says, that proxy.
func (h *Handshake) Secure() bool { return h.secure }

// CrossDomain reports whether the request carried an Origin header, which is
// what the Node server calls xdomain.
func (h *Handshake) CrossDomain() bool { return h.Get("Origin") != "" }

// newID returns 20 characters: what stock proxies and stickiness modules
// expect of a session id.
func newID() string {
	var random [15]byte
	rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// openPacket is the content of the open packet. The order of the keys is that
// of the Node server.
func (s *Session) openPacket(upgrades string) *Message {
	return newControl(0, `{"sid":"`+s.id+
		`","upgrades":`+upgrades+
		`,"pingInterval":`+milliseconds(s.interval)+
		`,"pingTimeout":`+milliseconds(s.server.opts.PingTimeout)+
		`,"maxPayload":`+strconv.Itoa(s.server.opts.MaxPayload)+`}`)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// grantInterval answers a peer that asked, by the query parameter heartbeat,
// for more frequent pings because something between us cuts idle connections.
func (srv *Server) grantInterval(query url.Values) time.Duration {
	interval := srv.opts.PingInterval
	ms, err := strconv.ParseInt(query.Get("heartbeat"), 10, 32)
	if err != nil || ms <= 0 {
		return interval
	}
	return min(interval, max(time.Duration(ms)*time.Millisecond, minPingInterval))
}

// minPingInterval bounds what a peer can ask for: at 1 s, a thousand sessions
// cost a thousand small writes a second, about 1% of a core.
const minPingInterval = time.Second
