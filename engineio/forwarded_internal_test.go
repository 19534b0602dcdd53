package engineio

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list ...string) proxyList {
	var l proxyList
	for _, s := range list {
		l = append(l, netip.MustParsePrefix(s))
	}
	return l.cleaned()
}

func TestForwarded(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "fd00::/8", "::ffff:192.168.0.0/112")
	for name, c := range map[string]struct {
		header              http.Header
		client, proto, host string // client "" for none
	}{
		"nothing": {},
		"one proxy": {http.Header{"X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"a.example"}},
			"203.0.113.7:0", "https", "a.example"},
		"a port":                      {http.Header{"X-Forwarded-For": {"203.0.113.7:4711"}}, "203.0.113.7:4711", "", ""},
		"IPv6":                        {http.Header{"X-Forwarded-For": {"2001:db8::7"}}, "[2001:db8::7]:0", "", ""},
		"IPv6 in brackets":            {http.Header{"X-Forwarded-For": {"[2001:db8::7]"}}, "[2001:db8::7]:0", "", ""},
		"IPv6 with a port":            {http.Header{"X-Forwarded-For": {"[2001:db8::7]:4711"}}, "[2001:db8::7]:4711", "", ""},
		"IPv4 in IPv6":                {http.Header{"X-Forwarded-For": {"::ffff:203.0.113.7"}}, "203.0.113.7:0", "", ""},
		"a zone":                      {http.Header{"X-Forwarded-For": {"fe80::1%eth0"}}, "[fe80::1]:0", "", ""},
		"what the client made up":     {http.Header{"X-Forwarded-For": {"198.51.100.1, 203.0.113.7"}}, "203.0.113.7:0", "", ""},
		"two proxies":                 {http.Header{"X-Forwarded-For": {"198.51.100.1, 203.0.113.7, 10.1.2.3"}}, "203.0.113.7:0", "", ""},
		"two proxies, mapped network": {http.Header{"X-Forwarded-For": {"203.0.113.7, 192.168.3.4"}}, "203.0.113.7:0", "", ""},
		"two proxies, two lines":      {http.Header{"X-Forwarded-For": {"203.0.113.7", "10.1.2.3"}}, "203.0.113.7:0", "", ""},
		"a zone of a proxy":           {http.Header{"X-Forwarded-For": {"203.0.113.7, fd00::1%eth0"}}, "203.0.113.7:0", "", ""},
		"everybody is trusted":        {http.Header{"X-Forwarded-For": {"10.9.9.9, 10.1.2.3"}}, "10.9.9.9:0", "", ""},
		"nonsense beyond a proxy":     {http.Header{"X-Forwarded-For": {"nonsense, 10.1.2.3"}}, "10.1.2.3:0", "", ""},
		"nonsense":                    {header: http.Header{"X-Forwarded-For": {"203.0.113.7, unknown"}}},
		"an empty list":               {header: http.Header{"X-Forwarded-For": {""}}},
		"a comma at the end":          {header: http.Header{"X-Forwarded-For": {"203.0.113.7,"}}},
		"a port that is none":         {header: http.Header{"X-Forwarded-For": {"203.0.113.7:99999"}}},
		"brackets that do not close":  {header: http.Header{"X-Forwarded-For": {"[2001:db8::7"}}},
		"IPv4 in brackets":            {header: http.Header{"X-Forwarded-For": {"[203.0.113.7]"}}},
		"a very long entry":           {header: http.Header{"X-Forwarded-For": {"fe80::1%" + strings.Repeat("a", 1000)}}},

		"made up scheme":           {http.Header{"X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Proto": {"https, http"}}, "203.0.113.7:0", "http", ""},
		"schemes of two proxies":   {http.Header{"X-Forwarded-For": {"203.0.113.7, 10.1.2.3"}, "X-Forwarded-Proto": {"https, http"}}, "203.0.113.7:0", "https", ""},
		"scheme of the first only": {http.Header{"X-Forwarded-For": {"203.0.113.7, 10.1.2.3"}, "X-Forwarded-Proto": {"https"}}, "203.0.113.7:0", "https", ""},
		"scheme without addresses": {http.Header{"X-Forwarded-Proto": {"http, https"}}, "", "https", ""},
		"hosts of two proxies": {http.Header{"X-Forwarded-For": {"203.0.113.7, 10.1.2.3"}, "X-Forwarded-Host": {"evil, a.example, b.internal"}},
			"203.0.113.7:0", "", "a.example"},

		"the standard":          {http.Header{"Forwarded": {"for=203.0.113.7;proto=https;host=a.example;by=10.0.0.1"}}, "203.0.113.7:0", "https", "a.example"},
		"the standard, IPv6":    {http.Header{"Forwarded": {`For="[2001:db8::7]:4711" ; Proto=https`}}, "[2001:db8::7]:4711", "https", ""},
		"the standard, hops":    {http.Header{"Forwarded": {`for=1.1.1.1, for=203.0.113.7;host=a.example, for=10.1.2.3;proto=http`}}, "203.0.113.7:0", "http", "a.example"},
		"the standard, lines":   {http.Header{"Forwarded": {"for=203.0.113.7;proto=https", "for=10.1.2.3;proto=http"}}, "203.0.113.7:0", "https", ""},
		"a hidden port":         {http.Header{"Forwarded": {`for="203.0.113.7:_x"`}}, "203.0.113.7:0", "", ""},
		"a hidden port, IPv6":   {http.Header{"Forwarded": {`for="[2001:db8::7]:_x"`}}, "[2001:db8::7]:0", "", ""},
		"a hidden address":      {http.Header{"Forwarded": {"for=_secret;proto=https"}}, "", "https", ""},
		"unknown":               {http.Header{"Forwarded": {"for=203.0.113.7, for=unknown"}}, "", "", ""},
		"no address":            {http.Header{"Forwarded": {"for=203.0.113.7, proto=https"}}, "", "https", ""},
		"an open quote":         {http.Header{"Forwarded": {`for="1.1.1.1, for=203.0.113.7`}}, "203.0.113.7:0", "", ""},
		"an open quote, IPv6":   {http.Header{"Forwarded": {`for="1.1.1.1, for="[2001:db8::7]"`}}, "[2001:db8::7]:0", "", ""},
		"a comma in quotes":     {http.Header{"Forwarded": {`for=203.0.113.7;host="a,b"`}}, "203.0.113.7:0", "", "a,b"},
		"an escape":             {http.Header{"Forwarded": {`for="203.0.113.\7"`}}, "", "", ""},
		"the other comes first": {http.Header{"Forwarded": {"for=198.51.100.1"}, "X-Forwarded-For": {"203.0.113.7"}}, "203.0.113.7:0", "", ""},
		"only a scheme, and what a client made up": {http.Header{"Forwarded": {"for=198.51.100.1"}, "X-Forwarded-Proto": {"https"}}, "", "https", ""},
	} {
		f := trusted.forwarded(c.header)
		client := ""
		if f.client.IsValid() {
			client = f.client.String()
		}
		if client != c.client || f.proto != c.proto || f.host != c.host {
			t.Errorf("%s: got %q, %q, %q, want %q, %q, %q", name, client, f.proto, f.host, c.client, c.proto, c.host)
		}
	}
}

// A client can send as many addresses as fit into its headers; only those next to the proxies are looked at.
func TestForwardedIsBounded(t *testing.T) {
	trusted := prefixes("0.0.0.0/0")
	long := strings.Repeat("1.1.1.1,", 100_000) + "203.0.113.7" + strings.Repeat(",10.0.0.1", maxHops-1)
	if f := trusted.forwarded(http.Header{"X-Forwarded-For": {long}}); f.client.String() != "203.0.113.7:0" {
		t.Errorf("got %v, want the address at hop %d", f.client, maxHops)
	}
	elements := strings.ReplaceAll(long, ",", ",for=")
	if f := trusted.forwarded(http.Header{"Forwarded": {elements}}); f.client.String() != "203.0.113.7:0" {
		t.Errorf("got %v, want the address at hop %d", f.client, maxHops)
	}
	h := http.Header{"X-Forwarded-For": {long}}
	if n := testing.AllocsPerRun(10, func() { trusted.forwarded(h) }); n > 3*maxHops {
		t.Errorf("%v allocations", n)
	}
}

func TestValidHost(t *testing.T) {
	for _, host := range []string{"a.example", "a.example:8080", "[2001:db8::1]:80", "192.0.2.1", "xn--bcher-kva.example", "a_b"} {
		if !validHost(host) {
			t.Errorf("%q was refused", host)
		}
	}
	for _, host := range []string{"", "a b", "user@a.example", "a.example/", "a\\b", "a?b", "a#b", "é.example", "a,b", "a%00b", strings.Repeat("a", 300)} {
		if validHost(host) {
			t.Errorf("%q was taken", host)
		}
	}
}

func TestCleanedProxies(t *testing.T) {
	l := proxyList{netip.Prefix{}, netip.MustParsePrefix("::ffff:10.0.0.0/104"), netip.MustParsePrefix("::/0")}
	if got, want := l.cleaned(), (proxyList{{}, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if prefixes("0.0.0.0/0").contains(netip.Addr{}) || !l.contains(netip.Addr{}) {
		t.Error("only the zero Prefix stands for peers without an address")
	}
}

// What the rightmost proxy has appended decides, whatever the client sent.
func FuzzForwarded(f *testing.F) {
	f.Add("203.0.113.7, 10.0.0.1", "https, http", "a.example", `for="[::1]:80";proto=https, for=_x`)
	f.Add("[fe80::1%25eth0]:80,,", `"`, "[", `for="a\", b;host="x`)
	f.Add("unknown", "", " ", `for="`)
	trusted := prefixes("10.0.0.0/8", "fd00::/8")
	f.Fuzz(func(t *testing.T, addresses, proto, host, standard string) {
		for _, h := range []http.Header{
			{"X-Forwarded-For": {addresses}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}, "Forwarded": {standard}},
			{"Forwarded": {standard}},
		} {
			q := request{Request: &http.Request{RemoteAddr: "10.0.0.1:1", Host: "b.example", Header: h}}
			trusted.resolve(&q)
			if a, err := netip.ParseAddrPort(q.RemoteAddr); err != nil || a.Addr() != plain(a.Addr()) {
				t.Errorf("RemoteAddr %q: %v", q.RemoteAddr, err)
			}
			if !validHost(q.Host) {
				t.Errorf("Host %q", q.Host)
			}
		}
		for _, h := range []http.Header{
			{"X-Forwarded-For": {addresses + ", 203.0.113.7"}},
			{"X-Forwarded-For": {addresses, "203.0.113.7"}},
			{"Forwarded": {standard + ", for=203.0.113.7"}},
			{"Forwarded": {standard + `, for="203.0.113.7"`}},
			{"Forwarded": {standard, "for=203.0.113.7"}},
		} {
			if got := trusted.forwarded(h).client.String(); got != "203.0.113.7:0" {
				t.Errorf("%v: client %s", h, got)
			}
		}
	})
}
