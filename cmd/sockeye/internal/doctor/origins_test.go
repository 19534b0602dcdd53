package doctor

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
)

func TestCookies(t *testing.T) {
	for _, c := range []struct {
		cookie  string
		verdict Verdict
		code    string
	}{
		{"route=0123456789abcdef; Path=/; HttpOnly", OK, ""},
		{"route=0123456789abcdef; Path=/; Secure", OK, ""}, // loopback counts as secure
		{"route=0123456789abcdef; Path=/elsewhere", Warning, "cookie-rejected"},
		{"route=0123456789abcdef; Domain=example.com", Warning, "cookie-rejected"},
	} {
		h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Set-Cookie", c.cookie)
			next.ServeHTTP(w, r)
		})
		r := examine(t, serve(t, h), Options{})
		expect(t, r, "cookies", c.verdict, c.code)
		if text := strings.Join(r.Step("cookies").Evidence, "\n"); strings.Contains(text, "0123456789") || !strings.Contains(text, "route=01…") {
			t.Errorf("the evidence is %s", text)
		}
	}
}

func TestSecureCookieByHTTP(t *testing.T) {
	x := &exam{secrets: &secrets{}, report: &Report{}, cookies: []*http.Cookie{{Name: "route", Value: "x", Secure: true}}}
	if err := x.parse("http://example.com"); err != nil {
		t.Fatal(err)
	}
	s := &Step{}
	x.examineCookies(t.Context(), s)
	s.settle()
	if s.Verdict != Warning || !strings.Contains(s.Summary, "it is Secure, and the URL is http") {
		t.Errorf("%+v", s)
	}
}

func TestCORS(t *testing.T) {
	const origin = "https://app.example.com"
	headers := func(set http.Header) http.Handler {
		// No streams: the middleware would hold them back.
		o := engineio.Options{CORS: &engineio.CORS{Origins: []string{origin}}, Transports: []string{"polling", "websocket"}}
		return wrap(sockeye(t, o), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Upgrade") != "" {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			for name := range rec.Header() {
				if !strings.HasPrefix(name, "Access-Control-") {
					w.Header()[name] = rec.Header()[name]
				}
			}
			for name, values := range set {
				w.Header()[name] = values
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
	const allow, credentials = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
	for name, c := range map[string]struct {
		set     http.Header
		verdict Verdict
		code    string
	}{
		"none":      {nil, Problem, "cors-missing"},
		"twice":     {http.Header{allow: {origin, origin}}, Problem, "cors-twice"},
		"two":       {http.Header{allow: {origin + ", *"}}, Problem, "cors-twice"},
		"another":   {http.Header{allow: {"https://example.com"}}, Problem, "cors-other"},
		"all":       {http.Header{allow: {"*"}}, OK, ""},
		"this":      {http.Header{allow: {origin}}, OK, ""},
		"cookies":   {http.Header{allow: {"*"}, "Set-Cookie": {"a=b"}}, Warning, "cors-credentials"},
		"with them": {http.Header{allow: {origin}, credentials: {"true"}, "Set-Cookie": {"a=b"}}, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, serve(t, headers(c.set)), Options{Origin: origin})
			expect(t, r, "cors", c.verdict, c.code)
		})
	}
	t.Run("preflight", func(t *testing.T) {
		o := Options{Origin: origin, Header: http.Header{"X-Token": {"sesame"}}}
		r := examine(t, serve(t, headers(http.Header{allow: {origin}})), o)
		expect(t, r, "cors", Problem, "cors-preflight")
		r = examine(t, serve(t, sockeye(t, engineio.Options{CORS: &engineio.CORS{Origins: []string{origin}}})), o)
		expect(t, r, "cors", OK, "")
	})
}
