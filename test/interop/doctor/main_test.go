// Package doctor runs `sockeye doctor` against real servers, good ones and those behind proxies that are set up wrongly
// in one way each. Every test says what the one thing is that must be found, and everything else must be found in order.
package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// binary is the command, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sockeye")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sockeye")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(kit.Root(), "..", "..", "cmd", "sockeye")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the command can't be built: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// report is what the tests look at of the JSON output.
type report struct {
	Verdict string
	Reached bool
	Path    string
	Server  struct {
		Kind      string
		Protocols []int
	}
	Steps []struct {
		ID, Verdict, Summary string
		Findings             []struct{ Code, Text, Fix, Config, Because string }
		Evidence             []string
	}
	Summary struct {
		Works                []string
		FirstStep, FirstCode string
		First                string
	}

	exit int
	raw  string
}

// examine runs the command. The silence that it watches is short, since most tests are about something else.
func examine(t *testing.T, url string, args ...string) *report {
	t.Helper()
	return examineWith(t, nil, url, args...)
}

func examineWith(t *testing.T, env []string, url string, args ...string) *report {
	t.Helper()
	all := append([]string{"doctor", "--json", "--idle", "200ms", "--sessions", "4"}, args...)
	cmd := exec.CommandContext(t.Context(), binary, append(all, url)...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := report{exit: cmd.ProcessState.ExitCode(), raw: stdout.String()}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("the report: %v\n%s%s", err, stdout.String(), stderr.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", r.raw)
		}
	})
	return &r
}

// findings are what a test expects: for each step that is not simply ok its verdict and the codes of its findings.
type findings map[string]string

// expect compares the whole report. Of the steps that are not named, all must be ok.
func (r *report) expect(t *testing.T, want findings) {
	t.Helper()
	worst := "ok"
	for _, s := range r.Steps {
		got := s.Verdict
		for _, f := range s.Findings {
			got += " " + f.Code
			if f.Fix == "" {
				t.Errorf("%s: the finding %s has no fix", s.ID, f.Code)
			}
		}
		expected, ok := want[s.ID]
		if !ok {
			expected = "ok"
		}
		if !slices.Contains(strings.Split(expected, "|"), got) {
			t.Errorf("%s is %q (%s), want %q", s.ID, got, s.Summary, expected)
		}
		if s.Verdict == "problem" || s.Verdict == "warning" && worst == "ok" {
			worst = s.Verdict
		}
	}
	if len(r.Steps) < 17 {
		t.Errorf("there are only %d steps", len(r.Steps))
	}
	if r.Verdict != worst {
		t.Errorf("the verdict is %q, want %q", r.Verdict, worst)
	}
	if exit := map[string]int{"problem": 1}[worst]; r.exit != exit {
		t.Errorf("the exit code is %d, want %d", r.exit, exit)
	}
}

// first is what to change first, as step and code.
func (r *report) first(t *testing.T, want string) {
	t.Helper()
	if got := strings.TrimSpace(r.Summary.FirstStep + " " + r.Summary.FirstCode); got != want {
		t.Errorf("what to change first is %q, want %q", got, want)
	}
	if want != "" && r.Summary.First == "" {
		t.Error("what to change first is not said")
	}
}

// advises fails unless the finding's fix, or the lines to write somewhere, contain the text.
func (r *report) advises(t *testing.T, code, text string) {
	t.Helper()
	for _, s := range r.Steps {
		for _, f := range s.Findings {
			if f.Code == code {
				if !strings.Contains(f.Fix+"\n"+f.Config, text) {
					t.Errorf("the fix of %s doesn't say %q: %s\n%s", code, text, f.Fix, f.Config)
				}
				return
			}
		}
	}
	t.Errorf("there is no finding %s", code)
}

// with adds to what is not to be examined everywhere: the servers of the tests are at an address, and mostly without TLS.
func with(more findings) findings {
	all := findings{"dns": "skipped", "tls": "skipped"}
	for k, v := range more {
		all[k] = v
	}
	return all
}

// foreign is with for servers that have no streaming.
func foreign(more findings) findings {
	all := with(findings{"streaming": "skipped"})
	for k, v := range more {
		all[k] = v
	}
	return all
}

// server starts a Sockeye server with nothing but the options.
func server(t *testing.T, o socketio.Options) *kit.Server {
	t.Helper()
	io := socketio.NewServer(&o)
	s := kit.Serve(t, io)
	t.Cleanup(func() { _ = io.Close() })
	return s
}
