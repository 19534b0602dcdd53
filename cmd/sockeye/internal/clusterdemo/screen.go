package clusterdemo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Screen shows lines, and below them the status, which is written again and again if it is a terminal. Its methods may
// be called from any goroutine.
type Screen struct {
	W        io.Writer
	Color    bool
	Terminal bool // lines can be written again, and begin with a carriage return

	mu     sync.Mutex
	status []string
	shown  int // how many lines of status are on the terminal
}

func (s *Screen) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// Bold returns the text in bold.
func (s *Screen) Bold(text string) string { return s.paint("1", text) }

// Say writes lines above the status.
func (s *Screen) Say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	s.write(&text)
}

// Status changes the status; nil leaves the last one on the screen and ends it.
func (s *Screen) Status(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lines == nil {
		s.status, s.shown = nil, 0
		return
	}
	if !s.Terminal || slices.Equal(lines, s.status) && s.shown > 0 {
		return
	}
	s.status = slices.Clone(lines)
	s.write(nil)
}

// write replaces the status on the terminal by text, if there is any, and the status.
func (s *Screen) write(text *string) {
	var b strings.Builder
	newline := "\n"
	if s.Terminal {
		newline = "\r\n" // a raw terminal does not return by itself
		if s.shown > 0 {
			fmt.Fprintf(&b, "\x1b[%dA", s.shown)
		}
		b.WriteString("\r\x1b[J")
	}
	if text != nil {
		b.WriteString(strings.ReplaceAll(*text, "\n", newline) + newline)
	}
	for _, line := range s.status {
		b.WriteString(line + newline)
	}
	s.shown = len(s.status)
	_, _ = io.WriteString(s.W, b.String()) // nobody may be reading any more
}

// node returns the status line of a node.
func (s *Screen) node(name string, n nodeState) string {
	switch {
	case !n.running && n.since.IsZero():
		return fmt.Sprintf("  %s  %s", s.Bold(name), "not started")
	case !n.running:
		return fmt.Sprintf("  %s  %s", s.Bold(name), s.paint("31", "○ gone for "+age(n.since)))
	case !n.up:
		return fmt.Sprintf("  %s  %s", s.Bold(name), s.paint("33", "◌ starting"))
	}
	var kinds []string
	for _, k := range []struct{ id, name string }{{"websocket", "WebSocket"}, {"polling", "long-polling"}, {"streaming", "streaming"}} {
		if n.transports[k.id] > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n.transports[k.id], k.name))
		}
	}
	of := ""
	if len(kinds) > 0 {
		of = " (" + strings.Join(kinds, ", ") + ")"
	}
	connections := "connections"
	if n.sessions == 1 {
		connections = "connection"
	}
	return fmt.Sprintf("  %s  %s %3d %s%s%s", s.Bold(name), s.paint("32", "● serves"), n.sessions, connections, of,
		s.paint("2", fmt.Sprintf("   %d requests carried to others", n.carried)))
}

func age(since time.Time) string {
	return (time.Since(since).Round(time.Second)).String()
}
