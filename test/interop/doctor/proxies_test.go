package doctor

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/test/interop/proxy"
)

// stripped is nginx as it is before anybody thinks of WebSocket, but with the right Host.
const stripped = daemon.NginxDefault + `
	proxy_set_header Host $http_host;`

func TestGoodProxies(t *testing.T) {
	addr := server(t, socketio.Options{}).Addr
	examine(t, "http://"+daemon.Nginx(t, addr, daemon.NginxUpgrade)).expect(t, with(nil))
	examine(t, "http://"+daemon.HAProxy(t, addr)).expect(t, with(nil))
	examine(t, proxy.Start(t, addr, proxy.Options{}).URL()).expect(t, with(nil))
}

func TestUpgradeStripped(t *testing.T) {
	want := "problem upgrade-stripped"
	for name, start := range map[string]func(addr string) string{
		"nginx": func(addr string) string { return daemon.Nginx(t, addr, stripped) },
		"HAProxy": func(addr string) string {
			return daemon.HAProxy(t, addr+"\n\thttp-request del-header Upgrade\n\thttp-request del-header Connection")
		},
		"a proxy": func(addr string) string { return proxy.Start(t, addr, proxy.Options{Upgrade: proxy.Strip}).Addr() },
	} {
		for _, runtime := range []app.Runtime{app.Sockeye, app.Node, app.PythonASGI} {
			t.Run(name+"/"+string(runtime), func(t *testing.T) {
				a := app.Start(t, app.Options{Runtime: runtime})
				r := examine(t, "http://"+start(a.Addr()))
				if runtime == app.Sockeye {
					r.expect(t, with(findings{"websocket": want}))
				} else {
					r.expect(t, foreign(findings{"websocket": want}))
				}
				r.first(t, "websocket upgrade-stripped")
				r.advises(t, "upgrade-stripped", "proxy_set_header Upgrade $http_upgrade;")
			})
		}
	}
}

func TestUpgradeRefused(t *testing.T) {
	addr := server(t, socketio.Options{}).Addr
	for name, at := range map[string]string{
		"nginx":   daemon.Nginx(t, addr, `if ($http_upgrade) { return 403; }`+daemon.NginxUpgrade),
		"HAProxy": daemon.HAProxy(t, addr+"\n\thttp-request deny if { req.hdr(Upgrade) -i websocket }"),
		"a proxy": proxy.Start(t, addr, proxy.Options{Upgrade: proxy.Refuse}).Addr(),
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, "http://"+at)
			r.expect(t, with(findings{"websocket": "problem upgrade-refused"}))
			r.first(t, "websocket upgrade-refused")
		})
	}
}

func TestUpgradeSilent(t *testing.T) {
	t.Parallel() // it mostly waits
	p := proxy.Start(t, server(t, socketio.Options{}).Addr, proxy.Options{Upgrade: proxy.Hang})
	r := examine(t, p.URL())
	r.expect(t, with(findings{"websocket": "problem upgrade-silent"}))
	r.first(t, "websocket upgrade-silent")
}

func TestDeadAfter101(t *testing.T) {
	t.Parallel() // it mostly waits
	p := proxy.Start(t, server(t, socketio.Options{}).Addr, proxy.Options{Upgrade: proxy.Swallow})
	r := examine(t, p.URL())
	r.expect(t, with(findings{"websocket": "problem dead-after-101"}))
	r.first(t, "websocket dead-after-101")
}

func TestBuffered(t *testing.T) {
	t.Parallel() // it mostly waits
	addr := server(t, socketio.Options{}).Addr
	for name, at := range map[string]string{
		"nginx": daemon.Nginx(t, addr, `proxy_pass http://backend;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_ignore_headers X-Accel-Buffering;
			proxy_buffering on;
			gzip_types text/plain;
			gzip_min_length 0;`),
		"a proxy": proxy.Start(t, addr, proxy.Options{Buffer: true}).Addr(),
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, "http://"+at)
			r.expect(t, with(findings{"streaming": "problem buffered"}))
			r.first(t, "streaming buffered")
			r.advises(t, "buffered", "proxy_buffering off;")
		})
	}
}

func TestIdleCut(t *testing.T) {
	t.Parallel() // it mostly waits
	// The heartbeat comes every 25 s; the watch is shorter than that and much longer than the timeout.
	addr := server(t, socketio.Options{}).Addr
	for name, at := range map[string]string{
		"nginx":   daemon.Nginx(t, addr, daemon.NginxUpgrade+" proxy_read_timeout 1s;"),
		"HAProxy": daemon.HAProxy(t, addr+"\n\ttimeout server 1s"),
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, "http://"+at, "--idle", "20s")
			r.expect(t, with(findings{"idle": "problem idle-cut idle-cut"}))
			r.first(t, "idle idle-cut")
			r.advises(t, "idle-cut", "proxy_read_timeout 60s;")
		})
	}
}

// Heartbeats that come before the cut keep connections open, and the watch can tell.
func TestHeartbeatsInTime(t *testing.T) {
	t.Parallel() // it mostly waits
	fast := server(t, socketio.Options{Engine: engineio.Options{PingInterval: 300e6}})
	r := examine(t, "http://"+daemon.Nginx(t, fast.Addr, daemon.NginxUpgrade+" proxy_read_timeout 5s;"), "--idle", "7s")
	r.expect(t, with(nil))
}

func TestSmallBodies(t *testing.T) {
	addr := server(t, socketio.Options{}).Addr
	for name, at := range map[string]string{
		"nginx":   daemon.Nginx(t, addr, daemon.NginxUpgrade+" client_max_body_size 100k;"),
		"HAProxy": daemon.HAProxy(t, addr+"\n\thttp-request deny deny_status 413 if { req.hdr_val(content-length) gt 100000 }"),
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, "http://"+at)
			r.expect(t, with(findings{"payload": "problem payload-413"}))
			r.first(t, "payload payload-413")
			r.advises(t, "payload-413", "client_max_body_size")
		})
	}
}

// A proxy that puts its own Host in place of the client's makes pages of the same host look like foreign ones.
func TestHostRewritten(t *testing.T) {
	a := app.Start(t, app.Options{Runtime: app.PythonASGI})
	r := examine(t, "http://"+daemon.Nginx(t, a.Addr(), `proxy_pass http://backend;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;`))
	r.expect(t, foreign(findings{"cors": "problem own-origin-refused"}))
	r.first(t, "cors own-origin-refused")
	r.advises(t, "own-origin-refused", "proxy_set_header Host $http_host;")
}

// two starts two servers that know nothing of each other, with the cookie io if wanted.
func two(t *testing.T, o engineio.Options) (a, b string) {
	return server(t, socketio.Options{Engine: o}).Addr, server(t, socketio.Options{Engine: o}).Addr
}

func TestRoundRobin(t *testing.T) {
	for name, start := range map[string]func(a, b string) string{
		"nginx":   func(a, b string) string { return daemon.Nginx(t, a+"; server "+b, daemon.NginxUpgrade) },
		"HAProxy": func(a, b string) string { return daemon.HAProxy(t, a+"\n\tserver two "+b+"\n\tbalance roundrobin") },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t, engineio.Options{})
			r := examine(t, "http://"+start(a, b))
			r.expect(t, with(findings{
				"sticky":    "problem not-sticky|problem sticky-partly",
				"polling":   "problem session-lost",
				"streaming": "skipped",
			}))
			if r.Summary.FirstStep != "sticky" {
				t.Errorf("what to change first is in %s", r.Summary.FirstStep)
			}
			r.advises(t, r.Summary.FirstCode, "ip_hash")
			r.advises(t, r.Summary.FirstCode, "cookie SERVERID insert")
			r.advises(t, r.Summary.FirstCode, `transports: ["websocket"]`)
		})
	}
}

func TestStickyByAddress(t *testing.T) {
	a, b := two(t, engineio.Options{})
	examine(t, "http://"+daemon.Nginx(t, a+"; server "+b+"; ip_hash", daemon.NginxUpgrade)).expect(t, with(nil))
}

// HAProxy learns from the server's cookie which session is where; clients need not return it.
func TestStickyBySession(t *testing.T) {
	a, b := two(t, engineio.Options{Cookie: &http.Cookie{}})
	r := examine(t, "http://"+daemon.HAProxy(t, a+"\n\tserver two "+b+`
	balance roundrobin
	stick-table type string len 32 size 1k expire 5m
	stick match url_param(sid)
	stick store-response res.cook(io)`))
	r.expect(t, with(nil))
}

func TestStickyByCookie(t *testing.T) {
	a, b := two(t, engineio.Options{})
	at := daemon.HAProxy(t, a+" cookie one\n\tserver two "+b+" cookie two\n\tbalance roundrobin\n\tcookie SERVERID insert indirect nocache")
	r := examine(t, "http://"+at)
	r.expect(t, with(findings{"sticky": "warning sticky-by-cookie"}))
	r.first(t, "sticky sticky-by-cookie")
	r.advises(t, "sticky-by-cookie", "withCredentials")

	a, b = two(t, engineio.Options{})
	upstream := fmt.Sprintf("hash $route consistent; server %s; server %s;", a, b)
	r = examine(t, "http://"+daemon.NginxBalancer(t, daemon.NginxRoute, upstream, daemon.NginxUpgrade))
	r.expect(t, with(findings{"sticky": "warning sticky-by-cookie"}))

	// Pages of another site don't send such a cookie.
	c := &engineio.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}
	a, b = two(t, engineio.Options{CORS: c})
	at = daemon.HAProxy(t, a+" cookie one\n\tserver two "+b+" cookie two\n\tbalance roundrobin\n\tcookie SERVERID insert indirect nocache")
	r = examine(t, "http://"+at, "--origin", "https://app.example.com")
	r.expect(t, with(findings{"sticky": "warning sticky-by-cookie", "cookies": "problem cookie-samesite"}))
	r.first(t, "cookies cookie-samesite")
}

// Advice that is common on the web: the first request has neither id nor cookie, and goes anywhere.
func TestStickyByChance(t *testing.T) {
	for name, upstream := range map[string]string{
		"session id":      "hash $arg_sid; server %s; server %s;",
		"server's cookie": "hash $cookie_io consistent; server %s; server %s;",
	} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t, engineio.Options{Cookie: &http.Cookie{}})
			at := daemon.NginxBalancer(t, "", fmt.Sprintf(upstream, a, b), daemon.NginxUpgrade)
			// Half of the sessions stay together by chance: of 20, all or none hardly ever do.
			r := examine(t, "http://"+at, "--sessions", "20")
			if r.Summary.FirstStep != "sticky" || r.Summary.FirstCode != "sticky-partly" {
				t.Errorf("what to change first is %s %s", r.Summary.FirstStep, r.Summary.FirstCode)
			}
			r.advises(t, "sticky-partly", "A hash of the session id or of the server's own cookie does that")
		})
	}
}

// Each server says in its own words that it doesn't know a session.
func TestRoundRobinOfOthers(t *testing.T) {
	for _, runtime := range []app.Runtime{app.Node, app.PythonASGI} {
		t.Run(string(runtime), func(t *testing.T) {
			one, two := app.Start(t, app.Options{Runtime: runtime}), app.Start(t, app.Options{Runtime: runtime})
			r := examine(t, "http://"+daemon.Nginx(t, one.Addr()+"; server "+two.Addr(), daemon.NginxUpgrade))
			r.expect(t, foreign(findings{
				"sticky":  "problem not-sticky|problem sticky-partly",
				"polling": "problem session-lost",
			}))
			if r.Summary.FirstStep != "sticky" {
				t.Errorf("what to change first is in %s", r.Summary.FirstStep)
			}
		})
	}
}

// The name of the host is known only to the proxy that the environment names.
func TestProxyOfTheEnvironment(t *testing.T) {
	target := &url.URL{Scheme: "http", Host: server(t, socketio.Options{}).Addr}
	forward := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Host = target.Host }}
	through := kit.Serve(t, forward)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	r := examineWith(t, []string{"HTTP_PROXY=" + through.URL(), "NO_PROXY=", "no_proxy="}, "http://socketio.invalid")
	r.expect(t, with(findings{"tcp": "skipped"}))
}
