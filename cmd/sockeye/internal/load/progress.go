package load

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// A Screen writes progress: a block that is refreshed on a terminal, and otherwise a line every few seconds.
type Screen struct {
	w        io.Writer
	terminal bool
	lines    int // of the block that is there
	last     time.Duration
}

// NewScreen writes to w.
func NewScreen(w io.Writer, terminal bool) *Screen {
	return &Screen{w: w, terminal: terminal, last: -time.Hour}
}

// lineEvery is how often a line is written where nothing can be refreshed.
const lineEvery = 5 * time.Second

// Progress implements Observer.
func (s *Screen) Progress(p Progress) {
	if !s.terminal {
		if p.Phase == "closing" || p.Elapsed-s.last >= lineEvery-500*time.Millisecond {
			s.last = p.Elapsed
			fmt.Fprintln(s.w, line(p))
		}
		return
	}
	lines := block(p)
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.lines)
	}
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	s.lines = len(lines)
	_, _ = io.WriteString(s.w, b.String())
}

func count(n int64) string { return formatNumber(float64(n)) }

func perSecond(v float64) string {
	if v >= 10 {
		v = float64(int64(v + 0.5))
	}
	return formatNumber(v) + "/s"
}

func line(p Progress) string {
	s := p.Now
	if p.Phase == "closing" {
		return fmt.Sprintf("%4.0fs  saying goodbye to %s clients", p.Elapsed.Seconds(), count(p.Counts.ConnectedEnd))
	}
	out := fmt.Sprintf("%4.0fs  %s of %s connected  out %s  in %s", p.Elapsed.Seconds(), count(p.Counts.ConnectedEnd), count(int64(p.Clients)),
		perSecond(s.Sent), perSecond(s.Received+s.Acked))
	if l := s.Latency[p.Main]; l != nil {
		out += fmt.Sprintf("  %s p50 %s p99 %s", p.Main, formatMillis(l.P50), formatMillis(l.P99))
	}
	return out + fmt.Sprintf("  errors %s  cpu %.0f%%", count(p.Counts.Errors), s.CPU)
}

func block(p Progress) []string {
	const width = 30
	part := min(1, p.Elapsed.Seconds()/max(p.Total.Seconds(), 1e-9))
	full := int(part * width)
	bar := strings.Repeat("━", full) + strings.Repeat("╌", width-full)
	phase := map[string]string{"ramp": "connecting", "load": "under load", "ending": "waiting for the last answers", "closing": "saying goodbye"}[p.Phase]
	lines := []string{fmt.Sprintf("  %s %s of %s  %s", bar, p.Elapsed.Round(time.Second), p.Total, phase)}
	if p.Phase == "closing" {
		return lines
	}
	s := p.Now
	lines = append(lines,
		fmt.Sprintf("  connected %9s of %s   %s", count(p.Counts.ConnectedEnd), count(int64(p.Clients)), perSecond(s.Connects)),
		fmt.Sprintf("  sent      %9s   %9s      received %s   %s", count(p.Counts.Sent), perSecond(s.Sent),
			count(p.Counts.Received+p.Counts.Acked), perSecond(s.Received+s.Acked)))
	for _, name := range latencies {
		if l := s.Latency[name]; l != nil && (name == p.Main || name == "connect" || name == "delivery") {
			lines = append(lines, fmt.Sprintf("  %-9s p50 %-9s p90 %-9s p99 %-9s max %s", name, formatMillis(l.P50), formatMillis(l.P90), formatMillis(l.P99), formatMillis(l.Max)))
		}
	}
	lines = append(lines, fmt.Sprintf("  errors    %9s   lost %s   cpu of this process %.0f%%", count(p.Counts.Errors), count(p.Counts.Lost), s.CPU))
	for _, e := range p.Errors[:min(3, len(p.Errors))] {
		lines = append(lines, "    "+fit(fmt.Sprintf("%s × %s: %s", count(e.Count), e.During, show.Clean(e.Kind)), 74))
	}
	return lines
}

func fit(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
