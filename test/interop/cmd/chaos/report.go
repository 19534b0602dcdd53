//go:build linux

package main

import (
	"errors"
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

// header begins the table of the results.
const header = `| adapter | run | emitted | receipts due | lost | repeated | reordered | missed: away | missed: cut off | died with a server | again | together again |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
`

// A row is a line of the table.
type row struct {
	key  string // adapter and run
	text string
}

func rows(results []*chaos.Result) []row {
	var all []row
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
		all = append(all, row{name + "/" + r.Run, fmt.Sprintf("| %s | %s × %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			name, r.Run, r.Times, number(c.Acked), number(c.Due), number(c.Lost), number(c.Repeated), number(c.Reordered),
			number(c.Away), number(c.Outage), number(c.Killed), number(c.Again), back)})
	}
	return all
}

// parseRows reads the table of an earlier time.
func parseRows(table string) []row {
	var all []row
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.HasPrefix(line, "|--") || strings.HasPrefix(line, "| adapter ") {
			continue
		}
		run, _, _ := strings.Cut(strings.TrimSpace(cells[2]), " ")
		all = append(all, row{strings.TrimSpace(cells[1]) + "/" + run, line})
	}
	return all
}

// merge returns the rows of both, and of those that both have the later ones, in the order of order.
func merge(before, later []row, order []string) []row {
	texts := map[string]string{}
	for _, r := range append(slices.Clone(before), later...) {
		texts[r.key] = r.text
	}
	var all []row
	for _, key := range order {
		if text, ok := texts[key]; ok {
			all = append(all, row{key, text})
		}
	}
	return all
}

func markdown(rows []row) string {
	text := header
	for _, r := range rows {
		text += r.text
	}
	return text
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

// writeDocs puts the figures between the marks in reliability.md, in place of those that were there of the same runs.
func writeDocs(folder string, later []row, order []string) error {
	path := filepath.Join(folder, "reliability.md")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := insert(string(data), later, order)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func insert(text string, later []row, order []string) (string, error) {
	before, rest, ok := strings.Cut(text, begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", errors.New("there are no marks for the figures")
	}
	return before + begin + "\n" + markdown(merge(parseRows(table), later, order)) + "\n" + end + after, nil
}
