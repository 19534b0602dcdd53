package peers

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// ViaBroker is what a Directory says of a server that can't be reached over HTTP: only by a [Carrier].
const ViaBroker = "broker:"

// A Carrier makes connections to servers that can't be reached over HTTP. tunnel.Tunnel is one. It must be safe for
// concurrent use.
type Carrier interface {
	Dial(ctx context.Context, id string) (net.Conn, error)
}

// carriedSuffix ends the host names that stand for servers reached by the carrier. The rest is the name in hexadecimal,
// as host names may be written in small letters.
const carriedSuffix = ".sockeye.invalid"

// detourTime is for how long a server that can't be connected to is reached by the carrier, before that is tried again.
const detourTime = 30 * time.Second

// A route sends requests to servers: directly, or by the carrier where that is said or doesn't work.
type route struct {
	direct  http.RoundTripper
	carried *http.Transport

	mu      sync.Mutex
	detours map[string]time.Time // until when, by host
}

func newRoute(direct http.RoundTripper, c Carrier) *route {
	return &route{direct: direct, detours: make(map[string]time.Time), carried: &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			id, err := carriedID(addr)
			if err != nil {
				return nil, err
			}
			conn, err := c.Dial(ctx, id)
			if err != nil {
				return nil, &net.OpError{Op: "dial", Net: "sockeye", Err: err}
			}
			return conn, nil
		},
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}

// carriedURL returns the address that stands for a server that is reached by the carrier.
func carriedURL(id string) *url.URL {
	return &url.URL{Scheme: "http", Host: hex.EncodeToString([]byte(id)) + carriedSuffix}
}

func carriedID(addr string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if len(host) <= len(carriedSuffix) {
		return "", errors.New("peers: not the address of a server")
	}
	id, err := hex.DecodeString(host[:len(host)-len(carriedSuffix)])
	return string(id), err
}

type idKey struct{}

// RoundTrip implements [http.RoundTripper].
func (x *route) RoundTrip(r *http.Request) (*http.Response, error) {
	id, _ := r.Context().Value(idKey{}).(string)
	to := carriedURL(id)
	if r.URL.Host == to.Host {
		return x.carried.RoundTrip(r)
	}
	host := r.URL.Host
	if !x.detour(host) {
		first := r
		if r.Body != nil && r.Body != http.NoBody {
			first = r.WithContext(r.Context())
			first.Body = io.NopCloser(r.Body) // who can't be connected to closes it unread
		}
		resp, err := x.direct.RoundTrip(first)
		op, ok := errors.AsType[*net.OpError](err)
		if err == nil || !ok || op.Op != "dial" || r.Context().Err() != nil {
			return resp, err
		}
		x.mu.Lock()
		x.detours[host] = time.Now().Add(detourTime)
		x.mu.Unlock()
	}
	second := r.Clone(r.Context())
	second.URL.Scheme, second.URL.Host = to.Scheme, to.Host
	if second.Host == "" {
		second.Host = host
	}
	return x.carried.RoundTrip(second)
}

func (x *route) detour(host string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	until, ok := x.detours[host]
	if ok && time.Now().After(until) {
		delete(x.detours, host)
		return false
	}
	return ok
}
