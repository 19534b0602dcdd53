package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/socketio"
)

func TestDoctorExitCodes(t *testing.T) {
	io := socketio.NewServer(&socketio.Options{Logger: slog.New(slog.DiscardHandler)})
	defer io.Close()
	good := httptest.NewServer(io)
	defer good.Close()
	site := httptest.NewServer(http.NotFoundHandler())
	defer site.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + ln.Addr().String()
	ln.Close()
	for _, c := range []struct {
		args []string
		exit int
	}{
		{[]string{good.URL}, 0},
		{[]string{good.URL, "--json"}, 0},
		{[]string{site.URL}, 1},
		{[]string{site.URL, "--json"}, 1},
		{[]string{}, 2},
		{[]string{"ftp://example.com"}, 2},
		{[]string{good.URL, "--auth", "[1]"}, 2},
		{[]string{good.URL, "--auth", "@" + filepath.Join(t.TempDir(), "none")}, 2},
		{[]string{good.URL, "--header", "no colon"}, 2},
		{[]string{good.URL, "--header", "A: b\nC: d"}, 2},
		{[]string{good.URL, "--origin", "example.com"}, 2},
		{[]string{good.URL, "--timeout", "0s"}, 2},
		{[]string{good.URL, "--idle", "soon"}, 2},
		{[]string{gone}, 3},
		{[]string{gone, "--json"}, 3},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"doctor", "--sessions", "2"}, c.args...)
		if len(c.args) > 0 && c.exit < 2 {
			args = append(args, "--idle", "20ms")
		}
		if got := run(args, streams{&out, &errs}); got != c.exit {
			t.Errorf("%q: exit code %d, want %d\n%s%s", c.args, got, c.exit, out.String(), errs.String())
		}
		switch {
		case c.exit == 2:
			if errs.Len() == 0 {
				t.Errorf("%q: nothing is said", c.args)
			}
		case len(c.args) == 2:
			var report struct{ Steps []struct{ ID string } }
			if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Steps) == 0 {
				t.Errorf("%q: %v, %d steps", c.args, err, len(report.Steps))
			}
		default:
			if s := out.String(); !strings.Contains(s, "What works: ") || strings.Contains(s, "\x1b") {
				t.Errorf("%q: %s", c.args, s)
			}
		}
	}
}

func TestDoctorHelp(t *testing.T) {
	var out, errs bytes.Buffer
	if got := run([]string{"doctor", "--help"}, streams{&out, &errs}); got != 0 {
		t.Errorf("exit code %d: %s", got, errs.String())
	}
	for _, part := range []string{"Examples:", "Exit codes:", "the host can't be reached at all", "--origin", "--idle"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the help doesn't say %q:\n%s", part, out.String())
		}
	}
}

func TestDoctorSecretsFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(file, []byte("{\"token\":\"x\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := doctorCommand{Auth: "@" + file, Timeout: 1, Idle: 1, Sessions: 1, Header: []string{"Authorization: Bearer a:b"}}
	o, err := c.options()
	if err != nil {
		t.Fatal(err)
	}
	if string(o.Auth) != `{"token":"x"}` || o.Header.Get("Authorization") != "Bearer a:b" {
		t.Errorf("auth %s, header %q", o.Auth, o.Header)
	}
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("A: b\n\nCookie: c=d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCTOR_TEST_AUTH", `{"token":"y"}`)
	c = doctorCommand{Auth: "env:DOCTOR_TEST_AUTH", Timeout: 1, Idle: 1, Sessions: 1, Header: []string{"@" + headers}}
	if o, err = c.options(); err != nil {
		t.Fatal(err)
	}
	if string(o.Auth) != `{"token":"y"}` || o.Header.Get("A") != "b" || o.Header.Get("Cookie") != "c=d" {
		t.Errorf("auth %s, header %q", o.Auth, o.Header)
	}
}

func TestColorful(t *testing.T) {
	if terminal(&bytes.Buffer{}) {
		t.Error("a buffer is taken for a terminal")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if terminal(f) {
		t.Error("a file is taken for a terminal")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if colorful(null) {
		t.Error("NO_COLOR is not respected")
	}
}
