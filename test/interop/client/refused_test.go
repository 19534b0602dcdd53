package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// TestServerOfVersion2 connects to a server of the protocol before ours: the error says what it is.
func TestServerOfVersion2(t *testing.T) {
	a := app.Start(t, app.Options{Runtime: app.NodeV2})
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := &scene{T: t, way: w}
			_, err := client.Dial(s.soon(), a.URL(), s.options())
			if !errors.Is(err, client.ErrServerV2) && !errors.Is(err, engine.ErrProtocol) {
				t.Fatalf("error is %v", err)
			}
			if !strings.Contains(err.Error(), "2") {
				t.Errorf("the error does not name the version: %v", err)
			}
		})
	}
}

// TestWebSite dials what is no Socket.IO server at all.
func TestWebSite(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"not found": http.NotFoundHandler(),
		"a page for everything": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<!doctype html><title>Welcome</title>"))
		}),
		"a JSON API": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"resources":[]}`))
		}),
		"a redirect to a login": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				http.Redirect(w, r, "/login", http.StatusFound)
				return
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<!doctype html><title>Log in</title>"))
		}),
	} {
		t.Run(name, func(t *testing.T) { foreignSite(t, kit.Serve(t, h).URL()) })
	}
	t.Run("nginx", func(t *testing.T) {
		foreignSite(t, "http://"+daemon.Nginx(t, "127.0.0.1:1", `return 200 "<html>Welcome to nginx</html>"; default_type text/html;`))
	})
}

func foreignSite(t *testing.T, url string) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := &scene{T: t, way: w}
			start := time.Now()
			_, err := client.Dial(s.soon(), url, s.options())
			var foreign *engine.NotEngineIOError
			if !errors.As(err, &foreign) {
				t.Fatalf("error is %v", err)
			}
			if foreign.Hint == "" || !strings.HasPrefix(foreign.URL, url) || !strings.Contains(err.Error(), "not as an Engine.IO server") {
				t.Errorf("%+v: %v", foreign, err)
			}
			t.Logf("%v: %v", time.Since(start), err)
		})
	}
}

// TestNobodyListens dials a port that refuses connections.
func TestNobodyListens(t *testing.T) {
	server := kit.Serve(t, http.NotFoundHandler())
	server.Stop()
	s := &scene{T: t, way: ways[3]}
	_, err := client.Dial(s.soon(), server.URL(), s.options())
	var failed *engine.DialError
	if !errors.As(err, &failed) || len(failed.Attempts) == 0 || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error is %v", err)
	}
}
