//go:build linux

package main

import (
	"fmt"
	"html"
	"strings"
)

// Measures of the chart, in pixels.
const (
	chartWidth = 860
	chartLeft  = 24
	chartTop   = 92
	rowHeight  = 78
	barHeight  = 12
	barSpan    = 620.0 // what the longest bar takes
)

// chart draws each line of the table as bars, relative to the costliest server of the line, with a mark where the
// budget is. It is SVG with its own dark colours.
func (rep *report) chart(title string) string {
	var rows []row
	for _, r := range rep.rows {
		if r.unit != "" {
			rows = append(rows, r)
		}
	}
	height := chartTop + len(rows)*rowHeight + 8
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d">`+"\n",
		chartWidth, height, chartWidth, height)
	b.WriteString(`<title id="t">` + title + "</title>\n<desc id=\"d\">" + html.EscapeString(rep.chartText(rows)) + "</desc>\n")
	b.WriteString(chartStyle)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d" rx="10"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text class="head" x="%d" y="36">%s</text>`+"\n", chartLeft, title)
	x := chartLeft
	for _, s := range rep.servers {
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="53" width="12" height="12" rx="3"/><text class="key" x="%d" y="63">%s</text>`+"\n",
			s.name, x, x+18, html.EscapeString(s.title))
		x += 18 + 8*len([]rune(s.title)) + 26
	}
	fmt.Fprintf(&b, `<path class="mark" d="M%d 51v16"/><text class="key" x="%d" y="63">budget</text>`+"\n", x+6, x+14)
	for i, r := range rows {
		rep.chartRow(&b, r, chartTop+i*rowHeight)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (rep *report) chartRow(b *strings.Builder, r row, y int) {
	longest := r.limit
	for _, v := range r.values {
		longest = max(longest, v)
	}
	if longest <= 0 {
		return
	}
	fmt.Fprintf(b, `<text class="row" x="%d" y="%d">%s</text>`+"\n", chartLeft, y+14, html.EscapeString(chartTitle(r)))
	y += 22
	for _, s := range rep.servers {
		v, ok := r.values[s.name]
		if !ok {
			continue
		}
		w := max(barSpan*v/longest, 2)
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, s.name, chartLeft, y, w, barHeight)
		at := float64(chartLeft) + w + 8
		if s.name == ours && r.limit > 0 {
			mark := float64(chartLeft) + barSpan*r.limit/longest
			fmt.Fprintf(b, `<path class="mark" d="M%.1f %dv%d"/>`, mark, y-2, barHeight+4)
			if at < mark+6 && at+60 > mark { // the figure would lie on the mark
				at = mark + 8
			}
		}
		fmt.Fprintf(b, `<text class="num" x="%.1f" y="%d">%s</text>`+"\n", at, y+10, html.EscapeString(r.figure(s.name)))
		y += barHeight + 3
	}
}

// chartTitle spells out what the table says with "the same".
func chartTitle(r row) string {
	switch r.scenario {
	case "echo16":
		return "CPU for an echo with acknowledgement, 16 in flight on each of 50 clients"
	case "broadcast10":
		return "CPU for a delivered message, broadcast to 1,000, 10 in flight"
	}
	return r.title
}

func (rep *report) chartText(rows []row) string {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(chartTitle(r) + ":")
		for i, s := range rep.servers {
			if _, ok := r.values[s.name]; ok {
				if i > 0 {
					b.WriteString(",")
				}
				b.WriteString(" " + s.title + " " + r.figure(s.name))
			}
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}

const chartStyle = `<style>
.page{fill:#fff}.head{fill:#14202b;font:600 19px system-ui,sans-serif}.key,.num{fill:#4b5b69;font:13px system-ui,sans-serif}
.num{font-variant-numeric:tabular-nums;font-size:12px}.row{fill:#14202b;font:500 14px system-ui,sans-serif}
.target{fill:#d9492f}.floor{fill:#9fb0bd}.node{fill:#4f7d5c}.mark{stroke:#14202b;stroke-width:2;fill:none}
@media (prefers-color-scheme:dark){.page{fill:#11181f}.head,.row{fill:#eef3f6}.key,.num{fill:#a9b8c4}
.target{fill:#ff7a5c}.floor{fill:#5d7080}.node{fill:#6fae82}.mark{stroke:#eef3f6}}
</style>
`
