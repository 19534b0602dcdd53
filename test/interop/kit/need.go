// Package kit holds what the interoperability tests share: finding the foreign programs they drive, saying plainly
// what was skipped for want of which, starting and stopping servers on free ports, and running driver scripts.
package kit

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// ReportVar names the environment variable with the path of the report file. Every test process appends to it which
// foreign programs it found and which tests it skipped and why; `go run ./cmd/skips FILE` prints the summary. Unset
// means no report is written.
const ReportVar = "SOCKEYE_SKIPS"

// Entry is one line of the report: a skipped test with its reason, or a program that was found and used.
type Entry struct {
	Test    string `json:"test,omitempty"`
	Skipped string `json:"skipped,omitempty"`
	Used    string `json:"used,omitempty"`
}

// tool is a foreign program: how to find it and what to install when it is missing.
type tool struct {
	find    func() (path string, err error)
	install string
	version []string
}

func command(name string) func() (string, error) {
	return func() (string, error) {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
		// Debian keeps daemons where an ordinary user's PATH does not look.
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
			p := filepath.Join(dir, name)
			if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
				return p, nil
			}
		}
		return "", fmt.Errorf("%s is not installed", name)
	}
}

var tools = map[string]tool{
	"chromium":     {command("chromium"), "apt-get install chromium", []string{"--version"}},
	"haproxy":      {command("haproxy"), "apt-get install haproxy", []string{"-v"}},
	"nginx":        {command("nginx"), "apt-get install nginx-light", []string{"-v"}},
	"node":         {command("node"), "install Node.js 18 or newer", []string{"--version"}},
	"npm":          {command("npm"), "install npm", []string{"--version"}},
	"redis-server": {command("redis-server"), "apt-get install redis-server", []string{"--version"}},
	"python3-socketio": {python("socketio", "requests", "websocket"),
		"apt-get install python3-socketio python3-requests python3-websocket", []string{"--version"}},
	"python3-aiohttp": {python("socketio", "aiohttp"),
		"apt-get install python3-socketio python3-aiohttp", []string{"--version"}},
	"python3-uvicorn": {python("socketio", "uvicorn", "websockets"),
		"apt-get install python3-socketio python3-uvicorn python3-websockets", []string{"--version"}},
	"python3-eventlet": {python("socketio", "eventlet"),
		"apt-get install python3-socketio python3-eventlet", []string{"--version"}},
	"python3-redis": {python("socketio", "werkzeug", "redis"),
		"apt-get install python3-socketio python3-werkzeug python3-redis", []string{"--version"}},
	"python3-flask-socketio": {python("flask_socketio", "werkzeug", "redis"),
		"apt-get install python3-flask-socketio python3-werkzeug python3-redis", []string{"--version"}},
	"python3-werkzeug": {python("socketio", "werkzeug"),
		"apt-get install python3-socketio python3-werkzeug", []string{"--version"}},
}

// python looks for an interpreter that can import the modules: Debian's packages belong to Debian's own interpreter,
// which need not be the first python3 in PATH.
func python(modules ...string) func() (string, error) {
	return func() (string, error) {
		for _, p := range []string{"/usr/bin/python3", "python3"} {
			if exec.Command(p, "-c", "import "+strings.Join(modules, ", ")).Run() == nil {
				return p, nil
			}
		}
		return "", fmt.Errorf("no python3 with the modules %s", strings.Join(modules, ", "))
	}
}

var found sync.Map // tool name → func() (string, error), looked up once a process

// Need returns the path of a foreign program, and skips the test with the reason and the remedy when it is missing.
func Need(t testing.TB, name string) string {
	t.Helper()
	tl, ok := tools[name]
	if !ok {
		t.Fatalf("kit: unknown tool %q", name)
	}
	look, _ := found.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		p, err := tl.find()
		if err == nil {
			record(Entry{Used: name + " " + version(p, tl.version)})
		}
		return p, err
	}))
	p, err := look.(func() (string, error))()
	if err != nil {
		Skip(t, "%v (%s)", err, tl.install)
	}
	return p
}

func version(path string, args []string) string {
	var stdout, stderr strings.Builder
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "(version unknown)"
	}
	// Some print their version to standard error; others warn there.
	for _, out := range []string{stdout.String(), stderr.String()} {
		if first, _, _ := strings.Cut(strings.TrimSpace(out), "\n"); first != "" {
			return first
		}
	}
	return "(version unknown)"
}

// Skip skips the test and records the reason in the report.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, args...)
	record(Entry{Test: t.Name(), Skipped: reason})
	t.Skip(reason)
}

// Used records in the report that a test really drove something, for instance a package of a given version.
func Used(what string) { record(Entry{Used: what}) }

func record(e Entry) {
	path := os.Getenv(ReportVar)
	if path == "" {
		return
	}
	line, err := json.Marshal(e)
	if err != nil {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot write the report: %v\n", err)
		return
	}
	// One write per line: appends of this size are atomic, so test processes may share the file.
	_, err = f.Write(append(line, '\n'))
	if cerr := f.Close(); err != nil || cerr != nil {
		fmt.Fprintf(os.Stderr, "cannot write the report: %v %v\n", err, cerr)
	}
}
