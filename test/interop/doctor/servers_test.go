package doctor

import (
	"net/http"
	"slices"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

func TestSockeye(t *testing.T) {
	r := examine(t, app.Start(t, app.Options{Runtime: app.Sockeye}).URL())
	r.expect(t, with(nil))
	r.first(t, "")
	if r.Server.Kind != "Sockeye" || !slices.Equal(r.Server.Protocols, []int{4}) {
		t.Errorf("the server is %+v", r.Server)
	}
	want := []string{"polling", "WebSocket", "the upgrade from polling", "streaming", "joining /"}
	if !slices.Equal(r.Summary.Works, want) {
		t.Errorf("what works is %q, want %q", r.Summary.Works, want)
	}
}

func TestOtherServers(t *testing.T) {
	for _, runtime := range []app.Runtime{app.Node, app.NodeV3, app.PythonAIOHTTP, app.PythonASGI, app.PythonEventlet} {
		t.Run(string(runtime), func(t *testing.T) {
			r := examine(t, app.Start(t, app.Options{Runtime: runtime}).URL())
			r.expect(t, foreign(nil))
			r.first(t, "")
			python := runtime != app.Node && runtime != app.NodeV3
			if python != (r.Server.Kind == "python-socketio") {
				t.Errorf("the server is %+v", r.Server)
			}
		})
	}
}

// Werkzeug has no WebSocket by itself.
func TestServerWithoutWebSocket(t *testing.T) {
	r := examine(t, app.Start(t, app.Options{Runtime: app.PythonThreading}).URL())
	r.expect(t, foreign(findings{"websocket": "warning websocket-disabled"}))
	r.first(t, "websocket websocket-disabled")
	r.advises(t, "websocket-disabled", "simple-websocket")
}

func TestOldServer(t *testing.T) {
	r := examine(t, app.Start(t, app.Options{Runtime: app.NodeV2}).URL())
	want := with(findings{"protocol": "problem eio3-only"})
	for _, step := range []string{"polling", "websocket", "connect", "streaming", "sticky", "cookies", "cors", "payload", "idle", "latency"} {
		want[step] = "skipped"
	}
	want["clock"] = "ok|skipped" // its answers have no Date in some versions of Node
	r.expect(t, want)
	r.first(t, "protocol eio3-only")
	if !slices.Equal(r.Server.Protocols, []int{3}) {
		t.Errorf("the server is %+v", r.Server)
	}
}

// A server whose polling is turned off: stock clients fail, others needn't.
func TestServerWithoutPolling(t *testing.T) {
	for _, runtime := range []app.Runtime{app.Sockeye, app.Node} {
		t.Run(string(runtime), func(t *testing.T) {
			r := examine(t, app.Start(t, app.Options{Runtime: runtime, Transports: []string{"websocket"}}).URL())
			r.expect(t, foreign(findings{"polling": "warning polling-disabled", "sticky": "skipped"}))
			r.first(t, "polling polling-disabled")
			r.advises(t, "polling-disabled", `transports: ["websocket"]`)
		})
	}
}

func TestNamespaceAndAuth(t *testing.T) {
	for _, runtime := range []app.Runtime{app.Sockeye, app.Node, app.PythonASGI} {
		t.Run(string(runtime), func(t *testing.T) {
			url := app.Start(t, app.Options{Runtime: runtime}).URL()
			base := foreign
			if runtime == app.Sockeye {
				base = with
			}
			r := examine(t, url+"/chat")
			r.expect(t, base(nil))
			r = examine(t, url, "--namespace", "nowhere")
			r.expect(t, base(findings{"connect": "problem namespace-unknown"}))
			r.first(t, "connect namespace-unknown")
			r = examine(t, url, "-n", "/auth")
			r.expect(t, base(findings{"connect": "problem connect-refused"}))
			r.first(t, "connect connect-refused")
			r.advises(t, "connect-refused", "--auth")
			r = examine(t, url, "-n", "/auth", "--auth", `{"token":"secret"}`)
			r.expect(t, base(nil))
		})
	}
}

// A parser of the server's own can't read what others send.
func TestMsgpackServer(t *testing.T) {
	r := examine(t, app.Start(t, app.Options{Runtime: app.Node, Msgpack: true}).URL())
	r.expect(t, foreign(findings{"connect": "problem connect-closed"}))
	r.first(t, "connect connect-closed")
	r.advises(t, "connect-closed", "msgpack")
}

func TestCORS(t *testing.T) {
	const origin = "https://app.example.com"
	plain := server(t, socketio.Options{}).URL()
	r := examine(t, plain, "--origin", origin)
	r.expect(t, with(findings{"cors": "problem origin-refused"}))
	r.first(t, "cors origin-refused")
	r.advises(t, "origin-refused", `Origins: []string{"https://app.example.com"}`)

	allowed := server(t, socketio.Options{Engine: engineio.Options{CORS: &engineio.CORS{Origins: []string{origin}, Credentials: true}}}).URL()
	examine(t, allowed, "--origin", origin).expect(t, with(nil))
	r = examine(t, allowed, "--origin", "https://other.example.com")
	r.expect(t, with(findings{"cors": "problem origin-refused"}))

	// The Node server refuses nobody and leaves it to the browser; WebSockets get through.
	node := app.Start(t, app.Options{Runtime: app.Node}).URL()
	r = examine(t, node, "--origin", origin)
	r.expect(t, foreign(findings{"cors": "problem cors-missing"}))
	r.first(t, "cors cors-missing")
	r.advises(t, "cors-missing", `cors: { origin: "https://app.example.com"`)
}

const page = `return 200 "<!doctype html><title>A shop</title>"; default_type text/html;`

func TestNoSocketIO(t *testing.T) {
	skipped := func(code string) findings {
		want := with(findings{"path": "problem " + code})
		for _, step := range []string{"protocol", "polling", "websocket", "connect", "streaming", "sticky", "cookies", "cors", "payload", "idle", "latency"} {
			want[step] = "skipped"
		}
		return want
	}
	site := http.NewServeMux()
	site.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!doctype html><title>A shop</title>"))
	})
	r := examine(t, kit.Serve(t, site).URL())
	r.expect(t, skipped("not-found"))
	r.first(t, "path not-found")

	t.Run("not proxied", func(t *testing.T) {
		io := server(t, socketio.Options{})
		r := examine(t, "http://"+daemon.Nginx(t, io.Addr, "return 404;"))
		r.expect(t, skipped("not-found"))
		r.advises(t, "not-found", "proxy_set_header Upgrade $http_upgrade;")
	})
	t.Run("every path a page", func(t *testing.T) {
		r := examine(t, "http://"+daemon.Nginx(t, "127.0.0.1:1", page))
		r.expect(t, skipped("spa-fallback"))
		r.first(t, "path spa-fallback")
		r.advises(t, "spa-fallback", "location /socket.io/ {")
	})
	t.Run("server down", func(t *testing.T) {
		down := &kit.Server{}
		if err := down.Start(http.NotFoundHandler()); err != nil {
			t.Fatal(err)
		}
		down.Stop()
		r := examine(t, "http://"+daemon.Nginx(t, down.Addr, daemon.NginxUpgrade))
		r.expect(t, skipped("bad-gateway"))
		r.first(t, "path bad-gateway")
	})
}

func TestWrongPath(t *testing.T) {
	url := server(t, socketio.Options{Engine: engineio.Options{Path: "/api/socket.io/"}}).URL()
	r := examine(t, url)
	r.expect(t, with(findings{"path": "problem wrong-path"}))
	r.first(t, "path wrong-path")
	r.advises(t, "wrong-path", `path: "/api/socket.io/"`)
	if r.Path != "/api/socket.io/" {
		t.Errorf("the path is %q", r.Path)
	}
	examine(t, url, "--path", "api/socket.io").expect(t, with(nil))
	// The whole address in one: right for the doctor, not for clients.
	examine(t, url+"/api/socket.io").expect(t, with(findings{"url": "warning url-path"}))
	// A prefix that is taken for the namespace.
	r = examine(t, server(t, socketio.Options{Engine: engineio.Options{Path: "/deep/inside/socket.io/"}}).URL()+"/deep/inside")
	r.expect(t, with(findings{"path": "problem wrong-path", "connect": "problem namespace-unknown"}))
	r.first(t, "path wrong-path")
}

func TestUnreachable(t *testing.T) {
	gone := &kit.Server{}
	if err := gone.Start(http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	url := gone.URL()
	gone.Stop()
	r := examine(t, url)
	if r.exit != 3 || r.Reached || r.Summary.FirstCode != "tcp-refused" {
		t.Errorf("exit code %d, reached %v, first %q", r.exit, r.Reached, r.Summary.FirstCode)
	}
}
