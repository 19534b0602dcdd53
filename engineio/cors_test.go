package engineio_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

// The headers are those of the cors package for Node.
func TestCORSHeaders(t *testing.T) {
	allow := func(origins ...string) *engineio.CORS { return &engineio.CORS{Origins: origins} }
	for _, c := range []struct {
		name        string
		cors        *engineio.CORS
		origin      string // of the request
		allowed     string
		vary        string
		credentials string
		status      int
	}{
		{"none", nil, "", "", "", "", 200},
		{"one origin", allow("https://a.test"), "https://a.test", "https://a.test", "Origin", "", 200},
		{"one origin, no Origin header", allow("https://a.test"), "", "https://a.test", "Origin", "", 200},
		{"one origin, another asks", allow("https://a.test"), "https://b.test", "https://a.test", "Origin", "", 403},
		{"two origins, first", allow("https://a.test", "https://b.test"), "https://a.test", "https://a.test", "Origin", "", 200},
		{"two origins, second", allow("https://a.test", "https://b.test"), "https://b.test", "https://b.test", "Origin", "", 200},
		{"two origins, another", allow("https://a.test", "https://b.test"), "https://c.test", "", "Origin", "", 403},
		{"two origins, none asks", allow("https://a.test", "https://b.test"), "", "", "Origin", "", 200},
		{"all", allow("*"), "https://c.test", "*", "", "", 200},
		{"all, none asks", allow("*"), "", "*", "", "", 200},
		{"all, opaque origin", allow("*"), "null", "*", "", "", 200},
		{"all with credentials", &engineio.CORS{Origins: []string{"*"}, Credentials: true}, "https://c.test", "https://c.test", "Origin", "true", 200},
		{"one with credentials", &engineio.CORS{Origins: []string{"https://a.test"}, Credentials: true}, "https://a.test", "https://a.test", "Origin", "true", 200},
		{"wildcard", allow("https://*.a.test"), "https://x.y.a.test", "https://x.y.a.test", "Origin", "", 200},
		{"wildcard, bare domain", allow("https://*.a.test"), "https://a.test", "", "Origin", "", 403},
		{"wildcard, other scheme", allow("https://*.a.test"), "http://x.a.test", "", "Origin", "", 403},
		{"wildcard, other end", allow("https://*.a.test"), "https://x.a.test.evil.test", "", "Origin", "", 403},
		{"wildcard, path", allow("https://*.a.test"), "https://evil.test/.a.test", "", "Origin", "", 403},
		{"wildcard, port", allow("https://*.a.test"), "https://x.a.test:8443", "", "Origin", "", 403},
		{"wildcard, user", allow("https://*.a.test"), "https://evil.test@x.a.test", "", "Origin", "", 403},
		{"function", &engineio.CORS{AllowOrigin: func(r *http.Request, o string) bool { return o == "https://f.test" }}, "https://f.test", "https://f.test", "Origin", "", 200},
		{"function says no", &engineio.CORS{AllowOrigin: func(*http.Request, string) bool { return false }}, "https://f.test", "", "Origin", "", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, &engineio.Options{CORS: c.cors})
			var headers []string
			if c.origin != "" {
				headers = append(headers, "Origin: "+c.origin)
			}
			check := func(what string, h http.Header) {
				t.Helper()
				for key, want := range map[string]string{
					"Access-Control-Allow-Origin": c.allowed, "Vary": c.vary, "Access-Control-Allow-Credentials": c.credentials,
				} {
					if got := h.Get(key); got != want {
						t.Errorf("%s, %s: %q, want %q", what, key, got, want)
					}
				}
			}
			r := s.get(pollingQuery, headers...)
			if r.status != c.status {
				t.Errorf("got %v, want %d", r, c.status)
			}
			check("handshake", r.header)
			check("refusal", s.get("EIO=4&transport=tobi", headers...).header)
			if c.status == 200 {
				w := s.dialWS(wsQuery, "", headers...)
				check("upgrade", w.header)
			} else {
				r := s.refusedUpgrade(wsQuery, headers...)
				if r.status != c.status {
					t.Errorf("upgrade: got %v, want %d", r, c.status)
				}
				check("refused upgrade", r.header)
			}
		})
	}
}

func TestCORSPreflight(t *testing.T) {
	s := newServer(t, &engineio.Options{CORS: &engineio.CORS{Origins: []string{"https://a.test"}}})
	r := s.do("OPTIONS", pollingQuery, "", "Origin: https://a.test",
		"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: X-Custom, Content-Type")
	if r.status != 204 || r.body != "" {
		t.Errorf("got %v, want 204", r)
	}
	for key, want := range map[string]string{
		"Access-Control-Allow-Origin":  "https://a.test",
		"Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
		"Access-Control-Allow-Headers": "X-Custom, Content-Type",
		"Access-Control-Max-Age":       "",
	} {
		if got := r.header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if vary := r.header["Vary"]; len(vary) != 2 || vary[0] != "Origin" || vary[1] != "Access-Control-Request-Headers" {
		t.Errorf("Vary: %q", vary)
	}

	s = newServer(t, &engineio.Options{CORS: &engineio.CORS{
		Origins: []string{"https://a.test"}, Credentials: true, Methods: []string{"GET", "POST"},
		AllowedHeaders: []string{"Authorization"}, ExposedHeaders: []string{"X-Seen"}, MaxAge: time.Hour,
	}})
	r = s.do("OPTIONS", pollingQuery, "", "Origin: https://a.test", "Access-Control-Request-Headers: X-Custom")
	for key, want := range map[string]string{
		"Access-Control-Allow-Methods":     "GET,POST",
		"Access-Control-Allow-Headers":     "Authorization",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Max-Age":           "3600",
	} {
		if got := r.header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if got := s.get(pollingQuery, "Origin: https://a.test").header.Get("Access-Control-Expose-Headers"); got != "X-Seen" {
		t.Errorf("Access-Control-Expose-Headers: %q", got)
	}
	if n := s.engine.Sessions(); n != 1 {
		t.Errorf("%d sessions, want the one of the GET", n)
	}
}

// Without CORS, pages of other hosts are kept out, over every transport; everything that
// is not a page of another host gets in.
func TestOriginPolicy(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []struct {
		name    string
		headers []string
		allowed bool
	}{
		{"no Origin", nil, true},
		{"own host", []string{"Origin: http://example.test"}, true},
		{"own host behind a proxy that ends TLS", []string{"Origin: https://example.test"}, true},
		{"own host in capitals", []string{"Origin: http://EXAMPLE.test"}, true},
		{"own host with the default port", []string{"Origin: https://example.test:443"}, true},
		{"other host", []string{"Origin: https://evil.test"}, false},
		{"subdomain", []string{"Origin: https://x.example.test"}, false},
		{"parent", []string{"Origin: https://test"}, false},
		{"longer", []string{"Origin: https://example.test.evil.test"}, false},
		{"other port", []string{"Origin: https://example.test:8443"}, false},
		{"opaque", []string{"Origin: null"}, false},
		{"own host as user", []string{"Origin: https://example.test@evil.test"}, false},
		{"no URL", []string{"Origin: example.test"}, false},
		{"garbage", []string{"Origin: ://"}, false},
		{"file", []string{"Origin: file://"}, false},
		{"browser vouches", []string{"Origin: http://front.test", "Sec-Fetch-Site: same-origin"}, true},
		{"browser says cross-site", []string{"Origin: http://front.test", "Sec-Fetch-Site: cross-site"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !c.allowed {
				for _, query := range []string{pollingQuery, streamQuery} {
					r := s.get(query, c.headers...)
					if r.status != 403 || r.header.Get("Content-Type") != "application/json" {
						t.Errorf("%s: %v, want 403", query, r)
					}
				}
				r := s.refusedUpgrade(wsQuery, c.headers...)
				if r.status != 403 || r.body == "" {
					t.Errorf("websocket: %v, want 403 and a reason", r)
				}
				return
			}
			if r := s.get(pollingQuery, c.headers...); r.status != 200 {
				t.Errorf("polling: %v", r)
			}
			st := s.stream(streamQuery, c.headers...)
			if st.status != 200 {
				t.Errorf("streaming: %d", st.status)
			}
			st.close()
			s.dialWS(wsQuery, "", c.headers...).close()
		})
	}
	// Knowing a session's id does not help a page.
	p := s.poll()
	for _, method := range []string{"GET", "POST"} {
		if r := s.do(method, p.query(), "4x", "Origin: https://evil.test"); r.status != 403 {
			t.Errorf("%s with a sid: %v, want 403", method, r)
		}
	}
	if r := s.refusedUpgrade(wsQuery+"&sid="+p.sid, "Origin: https://evil.test"); r.status != 403 {
		t.Errorf("upgrade with a sid: %v, want 403", r)
	}
	p.post("4fine")
	p.peer.expectMessage("fine")
}
