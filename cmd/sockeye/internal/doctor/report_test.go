package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

// Credentials must not appear in full anywhere, even when the server echoes them.
func TestNothingSecret(t *testing.T) {
	const secret = "open-sesame-4711"
	h := wrap(sockeye(t, engineio.Options{AllowRequest: func(r *http.Request) error {
		return fmt.Errorf("%s is not %s, nor %s", r.Header.Get("Authorization"), r.URL.Query().Get("key"), r.Header.Get("Cookie"))
	}}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Set-Cookie", "session="+secret+"-from-the-server")
		next.ServeHTTP(w, r)
	})
	refusing := serve(t, h)
	joins := socketio.NewServer(&socketio.Options{Logger: slog.New(slog.DiscardHandler)})
	defer joins.Close()
	joins.Use(func(_ context.Context, s *socketio.Socket) error {
		var given struct{ Token string }
		_ = s.Auth(&given)
		return fmt.Errorf("bad token %s", given.Token)
	})
	for name, url := range map[string]string{"handshake": refusing, "CONNECT": serve(t, joins), "nobody": "http://127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			url = strings.Replace(url, "http://", "http://user:"+secret+"-password@", 1) + "?key=" + secret + "-in-the-query"
			r := examine(t, url, Options{
				Auth:   json.RawMessage(`{"Token":"` + secret + `-in-auth","n":{"deep":["` + secret + `"]}}`),
				Header: http.Header{"Cookie": {"a=" + secret + "-cookie"}, "X-Key": {secret}},
			})
			var text strings.Builder
			p := Printer{W: &text, Verbose: true}
			for _, s := range r.Steps {
				_ = p.Step(s)
			}
			_ = p.Summary(r)
			_ = r.WriteJSON(&text)
			if strings.Contains(text.String(), secret) {
				t.Errorf("a secret is in the report:\n%s", text.String())
			}
		})
	}
}

func TestPrinter(t *testing.T) {
	steps := []*Step{
		{ID: "tcp", Title: "TCP", Verdict: OK, Summary: "fine", Evidence: []string{"seen"}},
		{ID: "a", Title: "A", Verdict: Skipped, Summary: "because"},
		{ID: "b", Title: "B", Verdict: Skipped, Summary: "because"},
		{ID: "c", Title: "C", Verdict: Problem, Summary: "wrong", Evidence: []string{"a thing"},
			Findings: []Finding{{Code: "x", Verdict: Problem, Text: "wrong", Fix: "Do it.", Config: "one;\n  two;"}, {Code: "y", Verdict: Warning, Text: "odd"}}},
	}
	var b strings.Builder
	p := Printer{W: &b}
	for _, s := range steps {
		if err := p.Step(s); err != nil {
			t.Fatal(err)
		}
	}
	want := `  ok       TCP              fine
  skipped  A                because
  problem  C                wrong
                            · a thing
                            → Do it.
                                one;
                                  two;
                            ! odd
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	p = Printer{W: &b, Color: true, Verbose: true}
	_ = p.Step(steps[0])
	if !strings.Contains(b.String(), "\x1b[32m") || !strings.Contains(b.String(), "seen") {
		t.Errorf("printed %q", b.String())
	}
}

func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`0{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`,
		`96:0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":5000}2:40`, `{"code":0,"message":"Transport unknown"}`,
		`"Invalid session x"`, `40{"sid":"x"}`, `44/chat,{"message":"no","data":{"a":1}}`, `44"no"`, "40\x1e2", "<html>", "", "4",
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		r := readBody(status, body)
		if (r.kind == opened || r.kind == opened3) && (r.open.SID == "" || status != 200) {
			t.Errorf("a session without an id: %+v", r)
		}
		x := &exam{secrets: &secrets{}, namespace: "/chat"}
		if j, ok := x.readJoining(body); ok && j.joined == (j.refused != "") {
			t.Errorf("neither joined nor refused, or both: %+v", j)
		}
		if n := len([]rune(excerpt(body))); n > 121 {
			t.Errorf("an excerpt of %d characters", n)
		}
		if strings.ContainsAny(excerpt(body), "\x1b\n\r\x00") {
			t.Error("control characters are left")
		}
	})
}

// A terminal obeys escape sequences, wherever they come from.
func TestNoEscapes(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusFound, http.StatusNotFound} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Server"] = []string{"red\u009b31mred"}
			w.Header().Set("Location", "/\u009b31m")
			w.Header().Set("Content-Type", "\u009b31m")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "\x1b[2J\u009b31m\u202e")
		})
		r := examine(t, serve(t, h), Options{})
		var b strings.Builder
		p := Printer{W: &b, Verbose: true}
		for _, s := range r.Steps {
			_ = p.Step(s)
		}
		_ = p.Summary(r)
		if i := strings.IndexAny(b.String(), "\x1b\u009b\u202e"); i >= 0 {
			t.Errorf("an escape sequence got through: %q", b.String()[i:])
		}
		if !strings.Contains(b.String(), "31m") {
			t.Errorf("nothing of it is shown:\n%s", b.String())
		}
	}
}
