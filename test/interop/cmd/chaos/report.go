//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/chaos"
)

// line is a result on one line.
func line(r *chaos.Result) string {
	c := r.Report
	text := fmt.Sprintf("×%d in %v: %d sent, %d refused, %d unanswered; received %d of %d; missed %d away, %d outage, %d killed; %d again; lost %d, repeated %d, reordered %d, stray %d",
		r.Times, r.Took.Round(time.Second), c.Sent, c.Failed, c.Unknown, c.Due-c.Lost, c.Due, c.Away, c.Outage, c.Killed, c.Again, c.Lost, c.Repeated, c.Reordered, c.Stray)
	if len(r.Back) > 0 {
		text += fmt.Sprintf("; whole again after %v, at most %v", median(r.Back), slices.Max(r.Back).Round(time.Millisecond))
	}
	if r.Recovery {
		text += fmt.Sprintf("; %d came back without their session", r.Fresh)
	}
	return text
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2].Round(time.Millisecond)
}

// markdown is the table of the results.
func markdown(results []*chaos.Result) string {
	var b strings.Builder
	b.WriteString("| adapter | run | messages | to be received | received | missed: away | missed: cut off | died with a server | lost | repeated | reordered | whole again |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, r := range results {
		if r == nil {
			continue
		}
		name := r.Adapter
		if r.Recovery {
			name += ", recovery"
		}
		back := ""
		if len(r.Back) > 0 {
			back = fmt.Sprintf("%v (max %v)", median(r.Back), slices.Max(r.Back).Round(time.Millisecond))
		}
		c := r.Report
		fmt.Fprintf(&b, "| %s | %s × %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			name, r.Run, r.Times, number(c.Acked), number(c.Due), number(c.Due-c.Lost), number(c.Away), number(c.Outage), number(c.Killed),
			number(c.Lost+c.Stray), number(c.Repeated), number(c.Reordered), back)
	}
	return b.String()
}

// number writes 12,345.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

const (
	begin = "<!-- figures: written by make chaos -->\n"
	end   = "<!-- end of figures -->"
)

// writeDocs puts the table between the marks in reliability.md.
func writeDocs(folder, table string) error {
	path := filepath.Join(folder, "reliability.md")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no marks for the figures", path)
	}
	text := before + begin + "\n" + table + "\n" + end + after
	return os.WriteFile(path, []byte(text), 0o644)
}
