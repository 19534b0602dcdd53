package doctor

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sockeye is a Socket.IO server that is fine.
func sockeye(t *testing.T, o engineio.Options) http.Handler {
	t.Helper()
	io := socketio.NewServer(&socketio.Options{Engine: o, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = io.Close() })
	return io
}

// serve puts the handler on a free port.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// examine runs the examination, with a short watch of silence unless told otherwise.
func examine(t *testing.T, url string, o Options) *Report {
	t.Helper()
	if o.Idle == 0 {
		o.Idle = 50 * time.Millisecond
	}
	if o.Sessions == 0 {
		o.Sessions = 2
	}
	r, err := Run(t.Context(), url, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			var b strings.Builder
			_ = r.WriteJSON(&b)
			t.Log(b.String())
		}
	})
	return r
}

// expect fails unless the step has the verdict, and the finding if a code is given.
func expect(t *testing.T, r *Report, step string, v Verdict, code string) *Finding {
	t.Helper()
	s := r.Step(step)
	if s == nil {
		t.Fatalf("there is no step %s", step)
	}
	if s.Verdict != v {
		t.Errorf("%s: %s (%s), want %s", step, s.Verdict, s.Summary, v)
	}
	if code == "" {
		if len(s.Findings) > 0 {
			t.Errorf("%s: there are findings: %+v", step, s.Findings)
		}
		return nil
	}
	for i := range s.Findings {
		if s.Findings[i].Code == code {
			return &s.Findings[i]
		}
	}
	t.Errorf("%s: there is no finding %s: %+v", step, code, s.Findings)
	return &Finding{}
}

// wrap is a middleware.
func wrap(next http.Handler, f func(w http.ResponseWriter, r *http.Request, next http.Handler)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, next) })
}

func TestAllWell(t *testing.T) {
	r := examine(t, serve(t, sockeye(t, engineio.Options{})), Options{})
	for _, s := range r.Steps {
		if s.Verdict != OK && s.Verdict != Skipped {
			t.Errorf("%s: %s, %s", s.ID, s.Verdict, s.Summary)
		}
		if s.Summary == "" {
			t.Errorf("%s says nothing", s.ID)
		}
	}
	if r.Verdict != OK || r.ExitCode() != 0 || !r.Reached {
		t.Errorf("verdict %s, exit code %d, reached %v", r.Verdict, r.ExitCode(), r.Reached)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Timeout: -1}, {Idle: -1}, {Sessions: -1}, {Auth: json.RawMessage(`"x"`)}, {Auth: json.RawMessage(`{`)},
		{Origin: "example.com"}, {Origin: "https://example.com/page"}, {Namespace: "/a,b"},
	} {
		if _, err := Run(t.Context(), "http://127.0.0.1:1", &o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func (deaf) Message(bool, []byte)               {}
func (deaf) Closed(engineio.CloseReason, error) {}

func TestClock(t *testing.T) {
	for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			next.ServeHTTP(w, r)
		})
		f := expect(t, examine(t, serve(t, h), Options{}), "clock", Warning, "clock-skew")
		if !strings.Contains(f.Text, map[bool]string{true: "ahead of", false: "behind"}[off > 0]) {
			t.Errorf("off by %v: %s", off, f.Text)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := Run(ctx, serve(t, sockeye(t, engineio.Options{})), &Options{Begin: func(title string) {
		if title == "WebSocket" {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r, "polling", OK, "")
	for _, id := range []string{"websocket", "sticky", "latency"} {
		expect(t, r, id, Skipped, "")
	}
}
