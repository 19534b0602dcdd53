package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

func TestTrustedNetworks(t *testing.T) {
	f := frontFlags{TrustedProxies: []string{"10.0.0.0/8", " 192.0.2.7 ", "", "2001:db8::/32", "::ffff:192.0.2.8"}}
	got, err := f.networks()
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.8/32")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"proxy.example", "10.0.0.0/33", "10.0.0.1:80", "fe80::1%eth0"} {
		f := frontFlags{TrustedProxies: []string{bad}}
		if _, err := f.networks(); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// ask sends a handshake with an Origin, after a first part of the connection, and returns the status. With a host for
// the page that is not the server's it is 200 only if X-Forwarded-Host is believed.
func ask(t *testing.T, url, first string, header ...string) (status int, err error) {
	t.Helper()
	address := strings.TrimPrefix(url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(conn, "%sGET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", first, address,
		strings.Join(append(header, ""), "\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode, nil
}

func TestServeTrustsProxies(t *testing.T) {
	page := []string{"Origin: https://app.example", "X-Forwarded-Host: app.example"}
	for _, trusted := range []string{"", "127.0.0.0/8", "10.0.0.0/8"} {
		url := startDemo(t, func(c *serveCommand) { c.TrustedProxies = []string{trusted} })
		want := 403
		if trusted == "127.0.0.0/8" {
			want = 200
		}
		if status, err := ask(t, url, "", page...); status != want || err != nil {
			t.Errorf("trusting %q: %d, %v, want %d", trusted, status, err, want)
		}
	}
}

func TestServeProxyProtocol(t *testing.T) {
	header := func(version byte, client string) string {
		var b strings.Builder
		h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)),
			&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3000})
		if _, err := h.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	// What the client's own X-Forwarded-Host is worth tells whom the server takes it for.
	page := []string{"Origin: https://app.example", "X-Forwarded-Host: app.example"}
	url := startDemo(t, func(c *serveCommand) { c.TrustedProxies, c.ProxyProtocol = []string{"127.0.0.0/8"}, true })
	for _, c := range []struct {
		name, first string
		header      []string
		want        int
	}{
		{"version 1", header(1, "203.0.113.7:4711"), nil, 200},
		{"version 2", header(2, "203.0.113.7:4711"), nil, 200},
		{"version 1, a client that claims to be a proxy", header(1, "203.0.113.7:4711"), page, 403},
		{"version 2, a client that claims to be a proxy", header(2, "203.0.113.7:4711"), page, 403},
		{"version 1, another proxy", header(1, "127.0.0.9:4711"), page, 200},
		{"unknown", "PROXY UNKNOWN\r\n", nil, 200},
	} {
		if status, err := ask(t, url, c.first, c.header...); status != c.want || err != nil {
			t.Errorf("%s: %d, %v, want %d", c.name, status, err, c.want)
		}
	}
	for name, first := range map[string]string{"no header": "", "nonsense": "PROXY TCP4 a b c d\r\n"} {
		if status, err := ask(t, url, first); status == 200 {
			t.Errorf("%s: %d, %v", name, status, err)
		}
	}

	// Others can't say who they are.
	url = startDemo(t, func(c *serveCommand) { c.TrustedProxies, c.ProxyProtocol = []string{"10.0.0.0/8"}, true })
	if status, err := ask(t, url, ""); status != 200 || err != nil {
		t.Errorf("a peer that is no proxy: %d, %v", status, err)
	}
	for _, version := range []byte{1, 2} {
		if status, err := ask(t, url, header(version, "10.0.0.1:4711"), page...); status != 400 {
			t.Errorf("a peer that claims to be a proxy: %d, %v", status, err)
		}
	}
}
