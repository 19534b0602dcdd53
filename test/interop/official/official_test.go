// Package official runs the protocol test suites that the Socket.IO project publishes in its repository, unchanged
// but for the address of the server, against our servers. The suites are not part of this project and no registry has
// them: SOCKEYE_SUITES names a checkout of github.com/socketio/socket.io (its docs folder will do). Without it the
// tests are skipped; package conformance proves the same cases everywhere.
package official

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/test/interop/suite"
)

// address is the server's URL as the suites have it.
const address = "http://localhost:3000"

func TestOfficialSuites(t *testing.T) {
	checkout := os.Getenv("SOCKEYE_SUITES")
	if checkout == "" {
		kit.Skip(t, "SOCKEYE_SUITES is not set (to a checkout of github.com/socketio/socket.io, for its docs/*-protocol)")
	}
	for _, s := range []struct {
		name, folder string
		cases        int
	}{
		{"eio4", "engine.io-protocol/v4-test-suite", 25},
		{"sio5", "socket.io-protocol/v5-test-suite", 32},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			text := find(t, checkout, s.folder)
			if !strings.Contains(text, `"`+address+`"`) {
				t.Fatalf("the suite does not name %s", address)
			}
			text = strings.ReplaceAll(text, address, suite.Start(t, s.name, suite.Official))
			run(t, text, s.cases)
		})
	}
}

func find(t *testing.T, checkout, folder string) string {
	t.Helper()
	for _, base := range []string{checkout, filepath.Join(checkout, "docs")} {
		data, err := os.ReadFile(filepath.Join(base, folder, "test-suite.js"))
		if err == nil {
			return string(data)
		}
	}
	t.Fatalf("no %s/test-suite.js in %s or its docs", folder, checkout)
	return ""
}

// run runs the text with mocha, each of its cases a subtest. A suite that shrank would prove less: it must have the
// number of cases that it had when this was written, or more.
func run(t *testing.T, text string, cases int) {
	npm := kit.NPM(t)
	queue, err := os.ReadFile("queue.mjs")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"test-suite.js":   []byte(text),
		"node-imports.js": queue,
		"package.json":    []byte(`{"type":"module"}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	report := filepath.Join(dir, "report.json")
	// Some cases race by design: one sleeps exactly as long as the server waits for a pong. Hence the retries.
	cmd := exec.CommandContext(t.Context(), kit.Need(t, "node"), filepath.Join(npm, "node_modules/mocha/bin/mocha.js"),
		"--exit", "--timeout", "6000", "--retries", "2", "--reporter", "json", "--reporter-option", "output="+report, "test-suite.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NPM_ROOT="+npm)
	out, runErr := cmd.CombinedOutput() // an error is what failed cases cause too
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v: %v\n%s", err, runErr, out)
	}
	var result struct {
		Tests []struct {
			FullTitle string
			Err       struct{ Message, Stack string }
		}
	}
	if err := json.Unmarshal(data, &result); err != nil {
		t.Fatal(err)
	}
	failed := false
	for _, c := range result.Tests {
		t.Run(c.FullTitle, func(t *testing.T) {
			if c.Err.Message != "" {
				failed = true
				t.Errorf("%s\n%s", c.Err.Message, c.Err.Stack)
			}
		})
	}
	if len(result.Tests) < cases {
		t.Errorf("the suite ran %d cases, want %d", len(result.Tests), cases)
	}
	if runErr != nil && !failed {
		t.Errorf("mocha: %v\n%s", runErr, out)
	}
}
