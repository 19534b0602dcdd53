package connect

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

func newSession(t *testing.T) *Session {
	t.Helper()
	c, err := client.New("http://localhost:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return New(Options{Client: c, Secrets: &show.Secrets{}, Out: os.Stderr})
}

func TestComplete(t *testing.T) {
	s := newSession(t)
	s.Use("/")
	s.Use("/room")
	for _, name := range []string{"say", "sing", "chat message", "evil\x1b[2J", strings.Repeat("x", 1000), "say"} {
		s.names.add(name)
	}
	dir := t.TempDir()
	for _, name := range []string{"one.png", "one.txt", "two words", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"s":                       "0 say sing",
		"say":                     "0 say",
		" si":                     "1 sing",
		"ch":                      `0 "chat message"`,
		`"chat m`:                 `0 "chat message"`,
		"x":                       "0",
		"evil":                    "0",
		"":                        `0 "chat message" say sing`,
		"say s":                   "4",
		"/a":                      "0 /ack /answer",
		"/ack s":                  "5 say sing",
		`/ack "chat`:              `5 "chat message"`,
		"/ack say s":              "9",
		"/listen say s":           "12 say sing",
		"/ns /":                   "4 / /room",
		"/leave /r":               "7 /room",
		"/binary s":               "8 say sing",
		"/binary s " + dir + "/o": fmt.Sprintf("10 %s/one.png %s/one.txt", dir, dir),
		"/binary s " + dir + "/":  fmt.Sprintf("10 %s/one.png %s/one.txt", dir, dir),
		"/binary s /nowhere/":     "10",
	} {
		from, candidates := s.Complete(line)
		if got := strings.TrimSpace(fmt.Sprint(from, " ", strings.Join(candidates, " "))); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
	for i := range 2 * maxNames {
		s.names.add(fmt.Sprint("name", i))
	}
	if n := len(s.names.beginning("")); n != maxNames {
		t.Errorf("%d names are kept", n)
	}
	if got := common([]string{"züge", "zügel", "zü"}); got != "zü" {
		t.Errorf("%q", got)
	}
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "history")
	var secrets show.Secrets
	secrets.Add("secret-token")
	h := OpenHistory(path, &secrets)
	for _, line := range []string{"one", "one", "  ", " hidden", "login secret-token", "evil \x1b", "two"} {
		h.Add(line)
	}
	if h.Len() != 3 || h.At(0) != "two" || h.At(1) != "login secret-token" {
		t.Errorf("%q", h.lines)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "one\ntwo\n" {
		t.Errorf("%q %v", data, err)
	}

	// What somebody else wrote into the file is not shown.
	if err := os.WriteFile(path, append(data, "\x1b[2J\nthree\n\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	h = OpenHistory(path, &secrets)
	if !slices.Equal(h.lines, []string{"one", "two", "three"}) {
		t.Errorf("%q", h.lines)
	}
	for i := range 2*maxHistory + 10 {
		h.Add(fmt.Sprint("line ", i))
	}
	if h.Len() > 2*maxHistory {
		t.Errorf("%d lines are kept", h.Len())
	}
	h = OpenHistory(path, &secrets)
	if h.Len() != maxHistory || h.At(0) != fmt.Sprint("line ", 2*maxHistory+9) {
		t.Errorf("%d lines, the last is %q", h.Len(), h.At(0))
	}
	data, err = os.ReadFile(path)
	if n := strings.Count(string(data), "\n"); err != nil || n != maxHistory {
		t.Errorf("%d lines are in the file, %v", n, err)
	}

	none := OpenHistory("", &secrets)
	none.Add("one")
	if none.Len() != 1 {
		t.Error("nothing is kept for the arrows")
	}
	t.Setenv("XDG_STATE_HOME", "/state")
	if p := HistoryPath(); p != filepath.Join("/state", "sockeye", "history") {
		t.Error(p)
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	t.Setenv("HOME", "/home/me")
	if p := HistoryPath(); filepath.Separator == '/' && p != "/home/me/.local/state/sockeye/history" {
		t.Error(p)
	}
}
