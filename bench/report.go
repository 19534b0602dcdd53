//go:build linux

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
)

// report turns measurements into what people read.
type report struct {
	servers []*program
	rows    []row
	timings []timing
	missed  int // budgets
	machine string
	repeat  int
	quick   bool
	// clients is the report on the client programs; nil in that one itself.
	clients *report
	// across is the report on several servers as one; nil likewise.
	across        *report
	acrossTimings string
}

// row is a line of the table with its figures: what each server took, as a median over the rounds.
type row struct {
	line
	values map[string]float64
	// ratios are ours to the other server's, round by round: median, least and greatest.
	ratios  map[string]spread
	verdict verdict
	limit   float64 // the budget in the row's unit; 0 where it has none
}

type spread struct{ median, least, greatest float64 }

type verdict string

const (
	none   verdict = ""
	passed verdict = "pass"
	failed verdict = "**missed**"
)

// timing is what the pair of generator and server reached, which is no measure of a server alone.
type timing struct {
	scenario string
	server   string
	rate     float64 // operations a second
	p50, p99 time.Duration
}

const ours = "target"

// newReport makes the table of the lines, for servers or for clients.
func newReport(o *options, m *measurements, servers []*program, lines []line) *report {
	rep := &report{servers: servers, machine: machine(), repeat: o.repeat, quick: o.quick}
	for _, l := range lines {
		if r, ok := newRow(l, m.results[l.scenario]); ok {
			if r.verdict == failed {
				rep.missed++
			}
			r.title = strings.Replace(r.title, "10,000", thousands(m.clients), 1)
			rep.rows = append(rep.rows, r)
		}
	}
	for _, sc := range scenarios {
		for _, s := range servers {
			if results := m.results[sc.name][s.name]; len(results) > 0 {
				rep.timings = append(rep.timings, newTiming(sc.name, s.title, results))
			}
		}
	}
	return rep
}

func newRow(l line, results map[string][]*load.Result) (row, bool) {
	r := row{line: l, values: map[string]float64{}, ratios: map[string]spread{}}
	all := map[string][]float64{}
	for name, rs := range results {
		for _, res := range rs {
			all[name] = append(all[name], l.value(res))
		}
		if len(rs) > 0 {
			r.values[name] = median(all[name])
		}
	}
	for name, theirs := range all {
		var ratios []float64
		for i := range min(len(theirs), len(all[ours])) {
			if theirs[i] > 0 {
				ratios = append(ratios, all[ours][i]/theirs[i])
			}
		}
		if name != ours && len(ratios) > 0 {
			r.ratios[name] = spread{median(ratios), slices.Min(ratios), slices.Max(ratios)}
		}
	}
	mine, have := r.values[ours]
	if b := l.budget; b != nil {
		reached := mine
		if b.against != "" {
			ratio, ok := r.ratios[b.against]
			have = have && ok
			reached = ratio.median
			r.limit = b.limit * r.values[b.against]
		} else {
			r.limit = b.limit
			if l.unit == "" && have { // a count: no round may be over it
				reached = slices.Max(all[ours])
			}
		}
		if have {
			r.verdict = passed
			if reached > b.limit {
				r.verdict = failed
			}
		}
	}
	return r, len(r.values) > 0
}

func newTiming(scenario, server string, results []*load.Result) timing {
	var rates, p50, p99 []float64
	for _, r := range results {
		rates = append(rates, float64(r.Ops)/r.Elapsed.Seconds())
		p50 = append(p50, float64(r.P50))
		p99 = append(p99, float64(r.P99))
	}
	return timing{scenario, server, median(rates), time.Duration(median(p50)), time.Duration(median(p99))}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// table is the main table in Markdown, its columns aligned for a terminal.
func (rep *report) table() string {
	head := []string{"work"}
	for _, s := range rep.servers {
		head = append(head, s.title)
	}
	others := slices.DeleteFunc(slices.Clone(rep.servers), func(s *program) bool { return s.name == ours })
	hasOurs := len(others) < len(rep.servers)
	if hasOurs {
		for _, s := range others {
			head = append(head, "Sockeye ÷ "+s.title)
		}
		head = append(head, "budget", "")
	}
	out := [][]string{head}
	for _, r := range rep.rows {
		cells := []string{r.title}
		for _, s := range rep.servers {
			cells = append(cells, r.figure(s.name))
		}
		if hasOurs {
			for _, s := range others {
				cells = append(cells, rep.ratio(r.ratios[s.name]))
			}
			cells = append(cells, r.budgetText(), string(r.verdict))
		}
		out = append(out, cells)
	}
	return markdownTable(out)
}

func (r row) figure(server string) string {
	v, ok := r.values[server]
	switch {
	case !ok:
		return ""
	case r.unit == "":
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return number(v) + " " + r.unit
	}
}

func (rep *report) ratio(s spread) string {
	switch {
	case s.median == 0:
		return ""
	case rep.repeat < 2:
		return fmt.Sprintf("%.2f", s.median)
	default:
		return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.least, s.greatest)
	}
}

func (r row) budgetText() string {
	switch b := r.budget; {
	case b == nil:
		return ""
	case b.limit == 0:
		return "none"
	case b.against == "":
		return "≤ " + strings.TrimSpace(strconv.FormatFloat(b.limit, 'f', -1, 64)+" "+r.unit)
	default:
		name := b.against
		if name == "node" {
			name = "Node"
		}
		return fmt.Sprintf("≤ %.3g × %s", b.limit, name)
	}
}

// tableOrNothing is the table, or nothing where nothing was measured.
func (rep *report) tableOrNothing() string {
	if rep == nil || len(rep.rows) == 0 {
		return ""
	}
	return rep.table()
}

// timingTable is what each server reached together with the generator.
func (rep *report) timingTable() string {
	out := [][]string{{"load", "server", "operations/s", "p50", "p99"}}
	for _, t := range rep.timings {
		out = append(out, []string{t.scenario, t.server, thousands(int(t.rate)), millis(t.p50), millis(t.p99)})
	}
	return markdownTable(out)
}

func millis(d time.Duration) string { return number(float64(d)/float64(time.Millisecond)) + " ms" }

// number has three digits that count.
func number(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// markdownTable lays cells out; all columns but the first are aligned to the right.
func markdownTable(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], len([]rune(c)), 3)
		}
	}
	var b strings.Builder
	for n, r := range rows {
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-len([]rune(c)))
			if i == 0 {
				b.WriteString("| " + c + pad)
			} else {
				b.WriteString(" | " + pad + c)
			}
		}
		b.WriteString(" |\n")
		if n == 0 {
			b.WriteString("|" + strings.Repeat("-", widths[0]+2))
			for _, w := range widths[1:] {
				b.WriteString("|" + strings.Repeat("-", w+1) + ":")
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// machine describes what the figures depend on, without names of hosts or people.
func machine() string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		release, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
		parts = append(parts, "Linux "+release)
	}
	parts = append(parts, "Go "+strings.TrimPrefix(runtime.Version(), "go"))
	if b, err := exec.Command("node", "--version").Output(); err == nil {
		parts = append(parts, "Node.js "+strings.TrimPrefix(strings.TrimSpace(string(b)), "v"))
	}
	return strings.Join(parts, ", ")
}

var (
	//go:embed benchmarks.md.tmpl
	pageText string
	//go:embed notes.md
	notes string

	page = template.Must(template.New("benchmarks").Parse(pageText))
)

// markdown is the page for the documentation.
func (rep *report) markdown() string {
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Machine": rep.machine,
		"Date":    time.Now().UTC().Format(time.DateOnly),
		"Rounds":  rep.repeat,
		"Quick":   rep.quick,
		"Table":   rep.table(),
		"Clients": rep.clients.tableOrNothing(),
		"Across":  rep.across.tableOrNothing(),
		"Timings": rep.timingTable(),

		"AcrossTimings": rep.acrossTimings,
		"Notes":         strings.TrimSpace(notes),
	})
	if err != nil {
		panic(err) // the template is part of the program
	}
	return b.String()
}
