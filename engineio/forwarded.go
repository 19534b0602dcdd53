package engineio

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds how many proxies a header may name before the rest of it is
// not looked at.
const maxHops = 32

// forwarding is what proxies say of the request that their client made.
type forwarding struct {
	client      netip.AddrPort // port 0 if they do not say; zero if there is none but the peer
	proto, host string
}

// A proxyList tells the proxies whose headers count. The zero Prefix among them
// stands for peers without an IP address.
type proxyList []netip.Prefix

// cleaned returns the list with IPv4 networks as such, also those written as
// "::ffff:10.0.0.0/104".
func (l proxyList) cleaned() proxyList {
	c := make(proxyList, len(l))
	for i, p := range l {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		c[i] = p
	}
	return c
}

func (l proxyList) contains(a netip.Addr) bool {
	for _, p := range l {
		if p == (netip.Prefix{}) && !a.IsValid() || p.Contains(a) {
			return true
		}
	}
	return false
}

// resolve puts what trusted proxies say in the place of what the connection
// says: the address and the host of the request, which is then another one, and
// whether it came over TLS.
func (l proxyList) resolve(q *request) {
	q.secure = q.TLS != nil
	if l == nil {
		return
	}
	peer, _ := netip.ParseAddrPort(q.RemoteAddr) // the zero AddrPort on a Unix socket
	if !l.contains(plain(peer.Addr())) {
		return
	}
	f := l.forwarded(q.Header)
	r := *q.Request // the original is the HTTP server's
	if f.client.IsValid() {
		r.RemoteAddr = f.client.String()
	}
	if validHost(f.host) {
		r.Host = f.host
	}
	q.Request = &r
	switch strings.ToLower(f.proto) {
	case "https", "wss":
		q.secure = true
	case "http", "ws":
		q.secure = false
	}
}

// forwarded reads the headers of a request that a trusted proxy has made. Each
// proxy adds to their ends, so they are read from there, and only as far as the
// proxies are trusted: what is further to the left anybody may have written.
func (l proxyList) forwarded(h http.Header) forwarding {
	addresses, protos, hosts := h["X-Forwarded-For"], h["X-Forwarded-Proto"], h["X-Forwarded-Host"]
	if addresses == nil && protos == nil && hosts == nil {
		return l.rfc7239(h["Forwarded"])
	}
	var f forwarding
	hops := 0
	for entry := range fromTheRight(addresses, false) {
		hops++
		if !l.step(&f, entry) || hops == maxHops {
			break
		}
	}
	f.proto, f.host = nth(protos, hops), nth(hosts, hops)
	return f
}

// step goes one hop further from the server, and reports whether that is a
// trusted proxy, which has been told by the next one who its client was.
func (l proxyList) step(f *forwarding, node string) bool {
	a, ok := parseNode(node)
	if ok {
		f.client = a
	}
	return ok && l.contains(a.Addr())
}

// rfc7239 is forwarded for the header of that standard.
func (l proxyList) rfc7239(lines []string) forwarding {
	var f forwarding
	hops := 0
	for element := range fromTheRight(lines, true) {
		hops++
		node := ""
		for pair := range splitRight(element, ';', true) {
			key, value, ok := strings.Cut(pair, "=")
			if !ok {
				continue
			}
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1] // an escape makes no address and no host
			}
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "for":
				node = value
			case "proto":
				f.proto = value
			case "host":
				f.host = value
			}
		}
		if !l.step(&f, node) || hops == maxHops {
			break
		}
	}
	return f
}

// nth returns the entry of a list that belongs to the given hop, counted from
// the right. Proxies may leave a list alone that is there already, so it may be
// shorter than that of the addresses: then it is the leftmost.
func nth(lines []string, hop int) string {
	value := ""
	n := 0
	for entry := range fromTheRight(lines, false) {
		value = entry
		if n++; n >= hop {
			break
		}
	}
	return value
}

// fromTheRight yields the entries of a list in header lines, the last first.
func fromTheRight(lines []string, quotes bool) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := len(lines) - 1; i >= 0; i-- {
			for entry := range splitRight(lines[i], ',', quotes) {
				if !yield(entry) {
					return
				}
			}
		}
	}
}

// splitRight yields the parts of a line, the last first, without the space
// around them. With quotes, separators within quotes are none. Reading from the
// right keeps a quote that somebody left open on the left from swallowing what
// was added by proxies.
func splitRight(line string, separator byte, quotes bool) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		end, quoted := len(line), false
		for i := len(line) - 1; i >= 0; i-- {
			switch {
			case quotes && line[i] == '"':
				quoted = !quoted
			case line[i] == separator && !quoted:
				if !yield(strings.TrimSpace(line[i+1 : end])) {
					return
				}
				end = i
			}
		}
		yield(strings.TrimSpace(line[:end]))
	}
}

// maxNode is more than the longest address with brackets, zone and port.
const maxNode = 128

// parseNode parses "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]"
// and "[2001:db8::1]:80". Names that hide an address, "unknown" and "_x", and
// everything else are none.
func parseNode(s string) (netip.AddrPort, bool) {
	if s == "" || len(s) > maxNode {
		return netip.AddrPort{}, false
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(plain(a.Addr()), a.Port()), true
	}
	host, bracket := strings.CutPrefix(s, "[")
	if bracket {
		var ok bool
		var rest string
		host, rest, ok = strings.Cut(host, "]")
		if !ok || rest != "" && !strings.HasPrefix(rest, ":_") { // RFC 7239 lets ports be hidden, too
			return netip.AddrPort{}, false
		}
	} else if i := strings.Index(s, ":_"); i >= 0 {
		host = s[:i]
	}
	a, err := netip.ParseAddr(host)
	if err != nil || bracket && !a.Is6() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(plain(a), 0), true
}

// plain returns an address as one can compare it: an IPv4 one as such, without
// the zone, which is the name of an interface of somebody's machine.
func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// validHost reports whether a proxy's word for the host of a request is one: a
// name or an address, and maybe a port.
func validHost(host string) bool {
	if host == "" || len(host) > 261 { // a name of 255 and a port
		return false
	}
	for i := range len(host) {
		c := host[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte(".-_:[]", c) >= 0 {
			continue
		}
		return false
	}
	return true
}
