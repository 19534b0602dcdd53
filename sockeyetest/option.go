package sockeyetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/sockeyetest/internal/memnet"
)

// An Option says how a client is made.
type Option func(*settings)

type settings struct {
	client client.Options
	name   string
	ip     net.IP
	web    *http.Client
	link   *memnet.Link
	jar    http.CookieJar
	cookie []*http.Cookie
}

// Named gives the client a name, for messages.
func Named(name string) Option { return func(s *settings) { s.name = name } }

// Auth is what the client sends for authentication. For something that changes, see [client.Options].Auth.
func Auth(v any) Option {
	return func(s *settings) {
		s.client.Auth = func(context.Context) (any, error) { return v, nil }
	}
}

// Header adds a header to every request of the client.
func Header(name, value string) Option {
	return func(s *settings) {
		if s.client.Header == nil {
			s.client.Header = http.Header{}
		}
		s.client.Header.Add(name, value)
	}
}

// Query adds a parameter to the URL of every request of the client.
func Query(name, value string) Option {
	return func(s *settings) {
		if s.client.Query == nil {
			s.client.Query = url.Values{}
		}
		s.client.Query.Add(name, value)
	}
}

// Cookie puts a cookie into the client's jar.
func Cookie(c *http.Cookie) Option {
	return func(s *settings) { s.cookie = append(s.cookie, c) }
}

// Jar shares a cookie jar, such as that of [Server.HTTP] after a login. Otherwise every client has one of its own.
func Jar(j http.CookieJar) Option { return func(s *settings) { s.jar = j } }

// Transports are those that the client tries, in this order: "websocket", "polling", "streaming".
func Transports(names ...string) Option {
	return func(s *settings) { s.client.Transports = names }
}

// Address is where the server sees the client come from, an IP address. Otherwise it is 127.0.0.1.
func Address(ip string) Option {
	return func(s *settings) {
		if s.ip = net.ParseIP(ip); s.ip == nil {
			panic(fmt.Sprintf("sockeyetest: %q is no IP address", ip))
		}
	}
}

// Configure changes options for which there is no function here. Its HTTPClient is set already; who replaces it instead
// of wrapping its Transport leaves the network in memory.
func Configure(change func(*client.Options)) Option {
	return func(s *settings) { change(&s.client) }
}

// settings carries out the options.
func (s *Server) settings(opts []Option) *settings {
	set := &settings{ip: net.IPv4(127, 0, 0, 1)}
	n := s.number()
	set.name = fmt.Sprintf("client %d", n)
	set.link = memnet.NewLink(func() net.Addr { return &net.TCPAddr{IP: set.ip, Port: s.port()} })
	set.web = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return set.link.Dial(ctx, s.listening())
		},
	}}
	set.client.HTTPClient = set.web
	for _, o := range opts {
		o(set)
	}
	if set.jar == nil {
		set.jar, _ = cookiejar.New(nil) // never fails
	}
	if len(set.cookie) > 0 {
		set.jar.SetCookies(&url.URL{Scheme: "http", Host: host, Path: "/"}, set.cookie)
	}
	set.web.Jar = set.jar
	s.mu.Lock()
	s.links = append(s.links, set.link)
	s.mu.Unlock()
	return set
}
