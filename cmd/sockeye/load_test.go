package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// startLoadTarget serves what the scenarios in examples/load need, and returns its URL.
func startLoadTarget(t testing.TB) string {
	t.Helper()
	server := socketio.NewServer(nil)
	server.OnConnection(func(s *socketio.Socket) {
		s.On("echo", func(_ context.Context, m *socketio.Message) error {
			args, err := m.Args()
			if err != nil {
				return err
			}
			return m.Ack(args...)
		})
		s.On("join", func(_ context.Context, m *socketio.Message) error {
			var room string
			if err := m.Bind(&room); err != nil {
				return err
			}
			s.Join(room)
			return m.Ack()
		})
		s.On("say", func(_ context.Context, m *socketio.Message) error {
			var room string
			var what map[string]any
			if err := m.Bind(&room, &what); err != nil {
				return err
			}
			return server.To(room).Emit("said", what)
		})
	})
	members := server.Of("/members")
	members.Use(func(_ context.Context, s *socketio.Socket) error {
		var auth struct {
			Token string `json:"token"`
		}
		if err := s.Auth(&auth); err != nil || !strings.HasPrefix(auth.Token, "t-") {
			return event.Errorf("token", "the token is wrong")
		}
		return nil
	})
	members.OnConnection(func(s *socketio.Socket) {
		s.On("enter", func(_ context.Context, m *socketio.Message) error { return m.Ack(map[string]string{"seat": "7b"}) })
		s.On("look", func(_ context.Context, m *socketio.Message) error {
			var where struct {
				Seat string `json:"seat"`
			}
			if err := m.Bind(&where); err != nil {
				return err
			}
			if where.Seat != "7b" {
				return event.Errorf("seat", "not yours")
			}
			return m.Ack()
		})
	})
	h := httptest.NewServer(server)
	t.Cleanup(func() {
		server.Close()
		h.Close()
	})
	return h.URL
}

func sockeyeLoad(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(append([]string{"load"}, args...), streams{&out, &errs})
	return code, out.String(), errs.String()
}

func TestLoadExitCodes(t *testing.T) {
	url := startLoadTarget(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + ln.Addr().String()
	ln.Close()
	file := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(file, []byte("clients: 3\nsteps:\n  - emti: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	short := []string{"-c", "3", "-d", "300ms", "-q"}
	for _, c := range []struct {
		code int
		args []string
		want string // in what is written to either stream
	}{
		{exitOK, append([]string{url}, short...), "3 clients"},
		{exitUsage, append([]string{url, "-e", "echo", "-p", `"x"`, "-p", `${n}`}, short...), "quotes"}, // that is not JSON
		{exitOK, append([]string{url, "-e", "echo", "--size", "10", "--every", "50ms", "--ack", "-f", "errors>0", "-f", "p99>1m"}, short...), "passed"},
		{exitCheck, append([]string{url, "-f", "connected<1000"}, short...), "FAILED"},
		{exitCheck, append([]string{url, "-f", "ack.p99>1m"}, short...), "nothing was measured"},
		{exitConnect, append([]string{nobody, "-f", "errors>0"}, short...), "not one client connected"},
		{exitUsage, []string{"--scenario", file}, "line 3"},
		{exitUsage, []string{url, "-f", "p99>50"}, "unit"},
		{exitUsage, []string{url, "-t", "pigeon=1"}, "pigeon"},
		{exitUsage, []string{url, "-p", "1"}, "--emit"},
		{exitUsage, []string{url, "--rate", "5", "--ramp", "5s"}, "one of them"},
		{exitUsage, []string{url, "--auth", "secret"}, "JSON object"},
		{exitUsage, []string{url, "--no-such-flag"}, "no-such-flag"},
		{exitUsage, []string{}, "no URL"},
		{exitUsage, []string{"ftp://x"}, "ftp"},
		{exitError, append([]string{url, "--report", filepath.Join(t.TempDir(), "no", "such", "folder", "r.html")}, short...), "no such file"},
		{exitError, []string{url, "-c", "900000", "-q"}, "--clients"},
	} {
		if strings.Contains(c.want, "--clients") && runtime.GOOS != "linux" {
			continue // elsewhere the machine doesn't say how many ports it has
		}
		code, out, errs := sockeyeLoad(c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%q: exit code %d, want %d with %q:\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}

func TestLoadHelp(t *testing.T) {
	code, out, _ := sockeyeLoad("--help")
	for _, want := range []string{"Examples:", "Exit codes:", "${user.NAME}", "--fail-if", "not from when it was sent", "a check failed"} {
		if code != exitOK || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("the help lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "$${") {
		t.Errorf("there are two dollars in the help:\n%s", out)
	}
}

func TestLoadJSON(t *testing.T) {
	code, out, errs := sockeyeLoad(startLoadTarget(t)+"/", "-c", "4", "-d", "500ms", "-e", "echo", "-p", `{"n":"${n}"}`, "--every", "50ms", "--ack", "--json", "-q")
	var r struct {
		Counts  map[string]int
		Latency map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || errs != "" {
		t.Fatalf("exit code %d, %v:\n%s%s", code, err, out, errs)
	}
	if r.Counts["connects"] != 4 || r.Counts["acked"] < 4 || r.Latency["ack"]["p99"] == nil {
		t.Errorf("got %+v", r)
	}
}

// The examples run as they are, only smaller and shorter.
func TestLoadExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/load/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	url := startLoadTarget(t)
	namespace := regexp.MustCompile(`(?m)^url: http://localhost:3000(\S*)$`)
	// How fast this machine is at present is not what is tested.
	fast := regexp.MustCompile(`(p\d+>)\w+`)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/load")); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		file = filepath.Join(dir, filepath.Base(file))
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, fast.ReplaceAll(text, []byte("${1}60m")), 0o644); err != nil {
				t.Fatal(err)
			}
			m := namespace.FindSubmatch(text)
			if m == nil {
				t.Fatal("it has no URL")
			}
			code, out, errs := sockeyeLoad(url+string(m[1]), "--scenario", file, "-c", "10", "--ramp", "100ms", "-d", "12s", "--json", "-q")
			var r struct {
				Counts map[string]int
				Errors []any
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatalf("%v\n%s", err, errs)
			}
			// chat.yaml asks for 200 clients, and there are ten: that check has to fail.
			want := exitOK
			if filepath.Base(file) == "chat.yaml" {
				want = exitCheck
			}
			if code != want || r.Counts["errors"] != 0 || r.Counts["connects"] != 10 || r.Counts["sent"] < 10 {
				t.Errorf("exit code %d: %+v %v\n%s", code, r.Counts, r.Errors, errs)
			}
		})
	}
}

// Ctrl+C ends the load with everything that belongs to its end.
func TestLoadCtrlC(t *testing.T) {
	url := startLoadTarget(t)
	report := filepath.Join(t.TempDir(), "report.html")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "load", url, "-c", "5", "-d", "10m", "-e", "echo", "--size", "5", "--ack", "--every", "100ms", "--report", report)
	cmd.Env = append(os.Environ(), "SOCKEYE_TEST_MAIN=1")
	out, progress := newScreen(), newScreen()
	cmd.Stdout, cmd.Stderr = out, progress
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	progress.waitFor(t, `5 of 5 connected.*ack p50`)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, progress)
	}
	if s := out.String(); !strings.Contains(s, "interrupted") || !strings.Contains(s, "acknowledged") {
		t.Errorf("the table is\n%s", s)
	}
	if page, err := os.ReadFile(report); err != nil || !bytes.Contains(page, []byte("</html>")) {
		t.Errorf("the report has %d bytes, %v", len(page), err)
	}
}

// The report works in a browser: nothing overflows, the pointer shows numbers, in light and dark.
func TestLoadReportInABrowser(t *testing.T) {
	b := browser(t)
	report := filepath.Join(t.TempDir(), "report.html")
	code, out, errs := sockeyeLoad(startLoadTarget(t), "-c", "20", "-d", "3s", "-e", "echo", "--size", "20", "--ack", "--every", "100ms", "-f", "errors>0", "--report", report, "-q")
	if code != exitOK {
		t.Fatal(code, out, errs)
	}
	for _, screen := range []struct {
		width int64
		theme string
	}{{1200, "light"}, {390, "dark"}} {
		p := openTab(t, b, "report "+screen.theme, "file://"+report, screenOf(screen.width, 900, screen.theme))
		p.until("the page", `document.querySelectorAll("svg").length >= 5`)
		if wide := p.eval(`document.documentElement.scrollWidth > innerWidth`); wide != "false" {
			t.Errorf("at %d pixels the page is wider than the screen: %s", screen.width, wide)
		}
		p.run(`{
			const svg = document.querySelector("svg[data-plot=latency-ack]"), box = svg.getBoundingClientRect();
			svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width / 2, clientY: box.top + 50 }));
		}`)
		p.until("numbers beside the pointer", `/p99.*(ms|µs)/s.test(document.getElementById("tip").innerText)`)
		p.run(`document.querySelector("svg[data-plot=latency-ack]").dispatchEvent(new PointerEvent("pointerleave"))`)
		p.until("none without it", `document.getElementById("tip").style.display === "none"`)
		chromedp.Cancel(p.ctx)
	}
}

func TestDocsLoadPicture(t *testing.T) {
	wantDocs(t)
	b := browser(t)
	report := filepath.Join(t.TempDir(), "report.html")
	url := startLoadTarget(t)
	code, _, errs := sockeyeLoad(url, "--scenario", "../../examples/load/chat.yaml", "-c", "600", "--ramp", "8s", "-d", "32s",
		"--report", report, "-q", "-f", "ack.p99>2s")
	if code != exitOK {
		t.Fatal(code, errs)
	}
	page, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(report, bytes.ReplaceAll(page, []byte(strings.TrimPrefix(url, "http://")), []byte("localhost:3000")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, theme := range []string{"light", "dark"} {
		name := "load-report"
		if theme == "dark" {
			name += "-dark"
		}
		p := openTab(t, b, name, "file://"+report, screenOf(1180, 1330, theme))
		p.until("the page", `document.querySelectorAll("svg").length >= 5`)
		p.shoot(name)
		chromedp.Cancel(p.ctx)
	}
}
