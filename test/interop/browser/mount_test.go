package browser

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// mounted is the application as it is served somewhere.
type mounted struct {
	url string
	// webSocket says whether upgrades get through; where they don't, clients go on without.
	webSocket bool
	// protocol of the requests, as the browser calls it.
	protocol string
}

// places are the ways in which users put the server on the web.
var places = []struct {
	name  string
	mount func(t *testing.T, client string) mounted
}{
	{"beside other handlers", func(t *testing.T, client string) mounted {
		return mounted{start(t, client, app.Options{}).URL(), true, "http/1.1"}
	}},
	{"httputil.ReverseProxy", func(t *testing.T, client string) mounted {
		a := start(t, client, app.Options{})
		front := kit.Serve(t, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: a.Addr()}))
		return mounted{front.URL(), true, "http/1.1"}
	}},
	{"TLS and HTTP2", func(t *testing.T, client string) mounted {
		a := app.Start(t, app.Options{})
		mux := http.NewServeMux()
		mux.Handle("/socket.io/", a.Handler())
		mux.Handle("/", pages(t, client))
		front := &kit.Server{TLS: kit.SelfSigned(t)}
		if err := front.Start(mux); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(front.Stop)
		return mounted{front.URL(), true, "h2"}
	}},
	{"nginx", func(t *testing.T, client string) mounted {
		a := start(t, client, app.Options{})
		return mounted{"http://" + daemon.Nginx(t, a.Addr(), daemon.NginxUpgrade), true, "http/1.1"}
	}},
	{"nginx with its defaults", func(t *testing.T, client string) mounted {
		a := start(t, client, app.Options{})
		return mounted{"http://" + daemon.Nginx(t, a.Addr(), daemon.NginxDefault), false, "http/1.1"}
	}},
	{"nginx and a unix socket", func(t *testing.T, client string) mounted {
		a := app.Start(t, app.Options{})
		mux := http.NewServeMux()
		mux.Handle("/socket.io/", a.Handler())
		mux.Handle("/", pages(t, client))
		path := filepath.Join(t.TempDir(), "app")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: mux}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(ln)
		}()
		t.Cleanup(func() {
			_ = server.Close()
			<-done
		})
		return mounted{"http://" + daemon.Nginx(t, "unix:"+path, daemon.NginxUpgrade), true, "http/1.1"}
	}},
	{"haproxy", func(t *testing.T, client string) mounted {
		a := start(t, client, app.Options{})
		return mounted{"http://" + daemon.HAProxy(t, a.Addr()), true, "http/1.1"}
	}},
}

func TestMounting(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, w way) {
				m := place.mount(t, w.client)
				p := open(t, m.url, "Ada", w.options)
				final := w.final
				if !m.webSocket && final == "websocket" {
					final = "polling"
				}
				if !m.webSocket && (w.name == "sockeye/websocket" || w.name == "stock/websocket") {
					p.until("a refusal, with nothing to fall back to", `seen.errors.length > 0`)
					return
				}
				p.connected(final)
				p.works()
				p.want("seen.disconnects", "[]")
				if final != "websocket" {
					p.want(`[...new Set(performance.getEntriesByType("resource")
						.filter((e) => e.name.includes("/socket.io/") && e.nextHopProtocol).map((e) => e.nextHopProtocol))]`,
						fmt.Sprintf(`[%q]`, m.protocol))
				}
			})
		})
	}
}
