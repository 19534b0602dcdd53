package connect

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// History keeps the lines that were typed, in a file that only its owner may read. It has the methods that package term
// asks for.
type History struct {
	path    string // "" keeps nothing on disk
	secrets *show.Secrets
	lines   []string // the newest at the end
}

// maxHistory is how many lines are kept. The file may have twice as many before it is written anew.
const maxHistory = 1000

// OpenHistory reads a history. A file that can't be read or written is no reason not to work: nothing is kept then.
func OpenHistory(path string, secrets *show.Secrets) *History {
	h := &History{path: path, secrets: secrets}
	if path == "" {
		return h
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(data)) {
		// What is not as Add writes it was written by something else.
		if line = strings.TrimSuffix(line, "\n"); line != "" && show.Clean(line) == line {
			h.lines = append(h.lines, line)
		}
	}
	if len(h.lines) > 2*maxHistory || len(data) > maxHistory*1024 {
		h.lines = h.lines[max(0, len(h.lines)-maxHistory):]
		h.rewrite()
	}
	return h
}

func (h *History) rewrite() {
	var b bytes.Buffer
	for _, line := range h.lines {
		b.WriteString(line + "\n")
	}
	temp := h.path + ".new"
	if os.WriteFile(temp, b.Bytes(), 0o600) == nil {
		_ = os.Rename(temp, h.path) // the old one does as well
	}
}

// Add keeps a line, unless it begins with a space. One with a credential in it is kept in memory only.
func (h *History) Add(line string) {
	if strings.TrimSpace(line) == "" || strings.HasPrefix(line, " ") || show.Clean(line) != line {
		return
	}
	if n := len(h.lines); n > 0 && h.lines[n-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if len(h.lines) > 2*maxHistory {
		h.lines = append([]string(nil), h.lines[maxHistory:]...)
	}
	if h.path == "" || h.secrets.In(line) {
		return
	}
	if os.MkdirAll(filepath.Dir(h.path), 0o700) != nil {
		return
	}
	f, err := os.OpenFile(h.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(line + "\n") // a full disk costs the history, not the session
	f.Close()
}

// Len returns the number of lines.
func (h *History) Len() int { return len(h.lines) }

// At returns a line, the newest for 0.
func (h *History) At(i int) string { return h.lines[len(h.lines)-1-i] }

// HistoryPath returns where the history is: in $XDG_STATE_HOME/sockeye, by default ~/.local/state/sockeye, and where
// programs keep such things on Windows. "" if there is no such place.
func HistoryPath() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		if runtime.GOOS == "windows" {
			dir = os.Getenv("LOCALAPPDATA")
		} else if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".local", "state")
		}
	}
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "sockeye", "history")
}
