package load

import (
	_ "embed"
	"encoding/json"
	"fmt"
	pages "html/template"
	"io"
	"math"
)

//go:embed report.html
var reportText string

var reportTemplate = pages.Must(pages.New("report").Funcs(pages.FuncMap{
	"ms":    formatMillis,
	"num":   formatNumber,
	"count": count,
	"rate":  perSecond,
	"about": func(name string) string { return about[name] },
}).Parse(reportText))

type reportPlot struct {
	Title, Note string
	Keys        []reportKey
	SVG         pages.HTML
}

type reportKey struct{ Class, Name string }

type reportRow struct {
	Name string
	*Latency
	About string
}

type tile struct {
	Name, Value, Note string
	Bad               bool
}

// hover is what the script shows beside the cursor: texts only, so that it needs no formatting of its own.
type hover struct {
	X    []float64  `json:"x"` // in the picture
	At   []string   `json:"at"`
	Rows []hoverRow `json:"rows"`
}

type hoverRow struct {
	Class  string   `json:"class"`
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// WriteReport writes the result as a page that needs nothing but itself.
func (r *Result) WriteReport(w io.Writer) error {
	hovers := map[string]*hover{}
	d := struct {
		*Result
		Summary   string
		Verdict   string
		Bad       bool
		Tiles     []tile
		Plots     []reportPlot
		Histogram pages.HTML
		Rows      []reportRow
		Data      pages.JS
	}{Result: r, Summary: r.summary()}
	failed := 0
	for _, v := range r.Checks {
		if v.Failed {
			failed++
		}
	}
	switch {
	case r.Counts.Connects == 0:
		d.Verdict, d.Bad = "nothing connected", true
	case failed > 0:
		d.Verdict, d.Bad = fmt.Sprintf("%d of %d checks failed", failed, len(r.Checks)), true
	case len(r.Checks) > 0:
		d.Verdict = fmt.Sprintf("all %d checks passed", len(r.Checks))
	}
	d.Tiles = r.tiles()
	d.Plots = r.plots(hovers)
	if l := r.Latency[r.Main]; l != nil {
		d.Histogram = pages.HTML(histogram(l)) // numbers only
	}
	for _, name := range latencies {
		if l := r.Latency[name]; l != nil {
			d.Rows = append(d.Rows, reportRow{name, l, about[name]})
		}
	}
	data, err := json.Marshal(hovers)
	if err != nil {
		return err
	}
	d.Data = pages.JS(data) // json.Marshal escapes what could end the script
	return reportTemplate.Execute(w, d)
}

func (r *Result) tiles() []tile {
	c := r.Counts
	tiles := []tile{{"connected", count(c.ConnectedMax), "of " + count(c.Clients), c.ConnectedMax < c.Clients}}
	if l := r.Latency[r.Main]; l != nil {
		tiles = append(tiles,
			tile{r.Main + " p50", formatMillis(l.P50), "p90 " + formatMillis(l.P90), false},
			tile{r.Main + " p99", formatMillis(l.P99), "max " + formatMillis(l.Max), false})
	}
	if c.Sent > 0 {
		tiles = append(tiles, tile{"sent", perSecond(r.Rates.Sent), count(c.Sent) + " events", false})
	}
	if c.Acked+c.Received > 0 {
		tiles = append(tiles, tile{"came back", perSecond(r.Rates.Acked + r.Rates.Received), count(c.Acked) + " acks, " + count(c.Received) + " events", false})
	}
	return append(tiles,
		tile{"errors", count(c.Errors), "lost: " + count(c.Lost), c.Errors > 0},
		tile{"CPU of the load", formatNumber(math.Round(r.Process.CPU)) + "%", fmt.Sprintf("at most %.0f%% of %d cores", r.Process.CPUMax, r.Process.Cores), r.Process.CPUMax > 85})
}

func (r *Result) plots(hovers map[string]*hover) []reportPlot {
	s := r.Series
	if len(s) == 0 {
		return nil
	}
	add := func(name string, p *plot, rows []hoverRow) {
		h := &hover{Rows: rows}
		for i := range s {
			h.X = append(h.X, math.Round(p.x(s[i].At)*10)/10)
			h.At = append(h.At, clock(s[i].At))
		}
		hovers[name] = h
	}
	texts := func(class, name string, f func(*Sample) string) hoverRow {
		row := hoverRow{Class: class, Name: name}
		for i := range s {
			row.Values = append(row.Values, f(&s[i]))
		}
		return row
	}
	end := s[len(s)-1].At
	var out []reportPlot

	for _, name := range latencies[:4] {
		if name != r.Main && (name == "connect" || !throughout(s, name)) {
			continue
		}
		p := &plot{to: end, log: true}
		low, high := math.Inf(1), 0.0
		for i := range s {
			if l := s[i].Latency[name]; l != nil {
				high = max(high, l.Max)
				if len(l.bars) > 0 {
					low = min(low, l.bars[0].UpTo/1.34)
				}
			}
		}
		if high > 0 {
			p.lowest, p.most = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high*1.01)))
			p.ramp(r.Ramp)
			p.axes(shortMillis)
			p.heat(s, name)
			var rows []hoverRow
			for _, q := range []struct {
				class, name string
				f           func(*Point) float64
			}{
				{"max", "max", func(l *Point) float64 { return l.Max }}, {"p99", "p99", func(l *Point) float64 { return l.P99 }},
				{"p90", "p90", func(l *Point) float64 { return l.P90 }}, {"p50", "p50", func(l *Point) float64 { return l.P50 }},
			} {
				p.line(q.class, s, func(x *Sample) (float64, bool) {
					if l := x.Latency[name]; l != nil {
						return q.f(l), true
					}
					return 0, false
				})
				rows = append(rows, texts(q.class, q.name, func(x *Sample) string {
					if l := x.Latency[name]; l != nil {
						return formatMillis(q.f(l))
					}
					return "–"
				}))
			}
			add("latency-"+name, p, rows)
			out = append(out, reportPlot{"Latency: " + name, about[name] + ". Shades: how many there were of each latency.",
				[]reportKey{{"p50", "p50"}, {"p90", "p90"}, {"p99", "p99"}, {"max", "max"}},
				pages.HTML(p.svg("latency-"+name, "Latency over time: "+name))})
		}
	}

	lines := func(name, title, note string, label func(float64) string, series []struct {
		class, name string
		f           func(*Sample) float64
	}, atLeast float64) {
		p := &plot{to: end, most: atLeast}
		var rows []hoverRow
		var keys []reportKey
		most := 0.0
		for _, l := range series {
			for i := range s {
				most = max(most, l.f(&s[i]))
			}
		}
		p.most = max(atLeast, most)
		step := nice(p.most / 5)
		p.most = math.Ceil(p.most/step-1e-9) * step
		p.ramp(r.Ramp)
		p.axes(label)
		for i, l := range series {
			seen := false
			for j := range s {
				seen = seen || l.f(&s[j]) > 0
			}
			if !seen && i > 0 {
				continue
			}
			if i == 0 {
				p.area(l.class, s, l.f)
			}
			p.line(l.class, s, func(x *Sample) (float64, bool) { return l.f(x), true })
			rows = append(rows, texts(l.class, l.name, func(x *Sample) string { return label(math.Round(l.f(x)*10) / 10) }))
			keys = append(keys, reportKey{l.class, l.name})
		}
		add(name, p, rows)
		out = append(out, reportPlot{title, note, keys, pages.HTML(p.svg(name, title))})
	}
	type series = []struct {
		class, name string
		f           func(*Sample) float64
	}
	if r.Counts.Sent+r.Counts.Received > 0 {
		lines("rates", "Messages per second", "Received are events; acknowledgements are counted on their own.", formatNumber, series{
			{"sent", "sent", func(x *Sample) float64 { return x.Sent }},
			{"acked", "acknowledged", func(x *Sample) float64 { return x.Acked }},
			{"received", "received", func(x *Sample) float64 { return x.Received }},
		}, 1)
	}
	lines("connected", "Connected clients", "", formatNumber, series{
		{"connected", "connected", func(x *Sample) float64 { return float64(x.Connected) }},
		{"connects", "connects per second", func(x *Sample) float64 { return x.Connects }},
	}, 1)
	if r.Counts.Errors > 0 {
		lines("errors", "Errors per second", "", formatNumber, series{{"error", "errors", func(x *Sample) float64 { return x.Errors }}}, 1)
	}
	lines("cpu", "CPU of the load process", "Near 100 % the latencies above are those of this process rather than the server's.",
		func(v float64) string { return formatNumber(v) + "%" }, series{{"cpu", "CPU", func(x *Sample) float64 { return x.CPU }}}, 100)
	return out
}

// throughout reports whether a latency was measured in at least half of the intervals: then it is worth a plot.
func throughout(s []Sample, name string) bool {
	n := 0
	for i := range s {
		if s[i].Latency[name] != nil {
			n++
		}
	}
	return n > 0 && 2*n >= len(s)
}
