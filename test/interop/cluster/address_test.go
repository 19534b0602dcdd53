package cluster

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
)

// visitor is the address that proxies tell of whoever comes. Theirs is on a Unix socket, and so has none.
const visitor = "203.0.113.7"

// haproxyVisitor gives a visitor to HAProxy an address: it tells none of those that are on a Unix socket.
const haproxyVisitor = `http-request set-src str(` + visitor + `)
	http-request set-dst str(203.0.113.1)
	http-request set-dst-port int(80)
	`

// Whom a server takes its clients for, behind proxies that tell in their ways.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, c := range map[string]struct {
		start    func(t *testing.T, server string) string
		protocol bool // the PROXY protocol is expected of trusted peers
		trusted  []netip.Prefix
		want     string // the address of the client
	}{
		"HAProxy send-proxy": {func(t *testing.T, server string) string {
			return daemon.HAProxyBalancer(t, haproxyVisitor+"server one "+server+" send-proxy")
		}, true, loopback, visitor},
		"HAProxy send-proxy-v2": {func(t *testing.T, server string) string {
			return daemon.HAProxyBalancer(t, haproxyVisitor+"server one "+server+" send-proxy-v2")
		}, true, loopback, visitor},
		"HAProxy forwardfor": {func(t *testing.T, server string) string {
			return daemon.HAProxyBalancer(t, haproxyVisitor+"option forwardfor\n\tserver one "+server)
		}, false, loopback, visitor},
		"HAProxy forwardfor not trusted": {func(t *testing.T, server string) string {
			return daemon.HAProxyBalancer(t, haproxyVisitor+"option forwardfor\n\tserver one "+server)
		}, false, nil, "127.0.0.1"},
		"nginx": {func(t *testing.T, server string) string {
			return daemon.Nginx(t, server, daemon.NginxUpgrade+"\n\t\t\tproxy_set_header X-Forwarded-For "+visitor+";")
		}, false, loopback, visitor},
		"nginx in front of HAProxy": {func(t *testing.T, server string) string {
			second := daemon.HAProxyBalancer(t, "http-request set-src str(127.0.0.9)\n\toption forwardfor\n\tserver one "+server)
			return daemon.Nginx(t, second, daemon.NginxUpgrade+"\n\t\t\tproxy_set_header X-Forwarded-For "+visitor+";")
		}, false, loopback, visitor},
		"nginx with Forwarded": {func(t *testing.T, server string) string {
			return daemon.Nginx(t, server, daemon.NginxUpgrade+"\n\t\t\tproxy_set_header X-Forwarded-For \"\";\n\t\t\tproxy_set_header Forwarded \"for="+visitor+";proto=https\";")
		}, false, loopback, visitor},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addresses := make(chan netip.Addr, 1)
			server := serveAddresses(t, c.protocol, c.trusted, addresses)
			front := "http://" + c.start(t, server)
			for way, transports := range ways {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				s, err := client.Dial(ctx, front, &client.Options{
					Transports: transports, Reconnect: client.ReconnectOptions{Disabled: true},
					// What a client says of itself is worth nothing.
					Header: http.Header{"X-Forwarded-For": {"198.51.100.66"}}, Logger: slog.New(slog.DiscardHandler),
				})
				cancel()
				if err != nil {
					t.Errorf("%s: %v", way, err)
					continue
				}
				if got := <-addresses; got.String() != c.want {
					t.Errorf("%s: the client is %v, want %s", way, got, c.want)
				}
				_ = s.Client().Close()
			}
		})
	}
}

// serveAddresses starts a server that tells the addresses of its clients.
func serveAddresses(t *testing.T, protocol bool, trusted []netip.Prefix, addresses chan<- netip.Addr) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if protocol {
		policy, err := proxyproto.TrustProxyHeaderFromRanges([]string{"127.0.0.0/8"})
		if err != nil {
			t.Fatal(err)
		}
		ln = &proxyproto.Listener{Listener: ln, ConnPolicy: policy}
	}
	io := socketio.NewServer(&socketio.Options{Engine: engineio.Options{TrustedProxies: trusted}})
	io.OnConnection(func(s *socketio.Socket) { addresses <- s.Handshake().RemoteIP() })
	server := &http.Server{Handler: io, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = io.Close()
		_ = server.Close()
		<-served
	})
	return address
}
