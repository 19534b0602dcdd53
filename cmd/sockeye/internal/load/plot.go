package load

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// A plot is a picture over time, drawn as SVG in a box of 1000 by 260.
type plot struct {
	b      strings.Builder
	from   float64 // seconds
	to     float64
	lowest float64 // of the y axis
	most   float64
	log    bool
}

const (
	plotWidth, plotHeight               = 1000.0, 260.0
	plotLeft, plotRight, plotTop, plotX = 64.0, 14.0, 10.0, 232.0 // plotX is where the time axis is
)

func (p *plot) x(seconds float64) float64 {
	return plotLeft + (plotWidth-plotLeft-plotRight)*(seconds-p.from)/max(p.to-p.from, 1e-9)
}

func (p *plot) y(v float64) float64 {
	part := (v - p.lowest) / max(p.most-p.lowest, 1e-12)
	if p.log {
		part = (math.Log(max(v, p.lowest)) - math.Log(p.lowest)) / max(math.Log(p.most)-math.Log(p.lowest), 1e-12)
	}
	return plotX - (plotX-plotTop)*min(max(part, 0), 1)
}

// nice returns the next of 1, 2, 5, 10, … that is not below v.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5, 10} {
		if base*f >= v*(1-1e-9) {
			return base * f
		}
	}
	return base * 10
}

// axes draws the grid with its labels.
func (p *plot) axes(label func(float64) string) {
	tick := func(v float64) {
		y := p.y(v)
		fmt.Fprintf(&p.b, `<path class="grid" d="M%.1f %.1fH%.1f"/><text class="tick" x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			plotLeft, y, plotWidth-plotRight, plotLeft-8, y+4, html.EscapeString(label(v)))
	}
	if p.log {
		for d := p.lowest; d <= p.most*1.001; d *= 10 {
			tick(d)
		}
	} else {
		step := nice((p.most - p.lowest) / 5)
		for v := p.lowest; v <= p.most+step/1e6; v += step {
			tick(v)
		}
	}
	span := p.to - p.from
	step := nice(span / 8)
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200} {
		if s >= span/9 {
			step = s
			break
		}
	}
	for t := 0.0; t <= p.to; t += step {
		fmt.Fprintf(&p.b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, p.x(t), plotX+19, clock(t))
	}
}

func clock(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if d < time.Minute {
		return fmt.Sprintf("%.0f s", seconds)
	}
	if d < time.Hour {
		return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// line draws a value over time; where value says false it is interrupted.
func (p *plot) line(class string, s []Sample, value func(*Sample) (float64, bool)) {
	var d strings.Builder
	pen := "M"
	for i := range s {
		v, ok := value(&s[i])
		if !ok {
			pen = "M"
			continue
		}
		x, y := p.x(s[i].At), p.y(v)
		fmt.Fprintf(&d, "%s%.1f %.1f", pen, x, y)
		if pen == "M" { // a lonely point is visible, too
			d.WriteString("h.01")
		}
		pen = "L"
	}
	fmt.Fprintf(&p.b, `<path class="line %s" d="%s"/>`, class, d.String())
}

// area fills below a value.
func (p *plot) area(class string, s []Sample, value func(*Sample) float64) {
	if len(s) == 0 {
		return
	}
	var d strings.Builder
	fmt.Fprintf(&d, "M%.1f %.1f", p.x(p.from), plotX)
	for i := range s {
		fmt.Fprintf(&d, "L%.1f %.1f", p.x(s[i].At), p.y(value(&s[i])))
	}
	fmt.Fprintf(&d, "V%.1fZ", plotX)
	fmt.Fprintf(&p.b, `<path class="area %s" d="%s"/>`, class, d.String())
}

// ramp marks the time in which clients were still connecting.
func (p *plot) ramp(until float64) {
	if until <= 0 {
		return
	}
	x := p.x(min(until, p.to))
	fmt.Fprintf(&p.b, `<rect class="ramp" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/><text class="tick" x="%.1f" y="%.1f">ramp</text>`,
		plotLeft, plotTop, x-plotLeft, plotX-plotTop, plotLeft+6, plotTop+14)
}

// heat draws how the latencies of each interval are spread: the darker, the more.
func (p *plot) heat(s []Sample, name string) {
	most := 0.0
	for i := range s {
		if l := s[i].Latency[name]; l != nil {
			for _, b := range l.bars {
				most = max(most, float64(b.Count)/float64(l.Count))
			}
		}
	}
	if most == 0 {
		return
	}
	from := p.from
	for i := range s {
		x, w := p.x(from), p.x(s[i].At)-p.x(from)
		from = s[i].At
		l := s[i].Latency[name]
		if l == nil {
			continue
		}
		for j, b := range l.bars {
			if b.Count == 0 {
				continue
			}
			low := b.UpTo / 1.3335
			if j > 0 {
				low = l.bars[j-1].UpTo
			}
			top, bottom := p.y(b.UpTo), p.y(low)
			shade := 0.06 + 0.5*math.Sqrt(float64(b.Count)/float64(l.Count)/most)
			fmt.Fprintf(&p.b, `<rect class="heat" x="%.1f" y="%.1f" width="%.1f" height="%.1f" opacity="%.2f"/>`, x, top, w, bottom-top, shade)
		}
	}
}

// svg returns the picture. Its title is read to those who can't see it.
func (p *plot) svg(name, title string) string {
	return fmt.Sprintf(`<svg class="plot" data-plot="%s" viewBox="0 0 %g %g" role="img"><title>%s</title>%s<path class="cursor" d="M0 %g V%g"/></svg>`,
		html.EscapeString(name), plotWidth, plotHeight, html.EscapeString(title), p.b.String(), plotTop, plotX)
}

// histogram draws a distribution as bars over logarithmic latency, with marks at percentiles.
func histogram(l *Latency) string {
	var b strings.Builder
	const height = 220.0
	const base, top = height - 28, 30.0
	bs := l.Histogram
	if len(bs) == 0 {
		return ""
	}
	// From the edge below the first bar, so that the axis has something to begin with.
	low, high := bs[0].UpTo/1.3335, bs[len(bs)-1].UpTo
	if high/low < 10 {
		low, high = low/2, high*2
	}
	x := func(ms float64) float64 {
		return plotLeft + (plotWidth-plotLeft-plotRight)*(math.Log(ms)-math.Log(low))/(math.Log(high)-math.Log(low))
	}
	var most int64
	for _, v := range bs {
		most = max(most, v.Count)
	}
	for i, v := range bs {
		from := v.UpTo / 1.3335
		if i > 0 {
			from = bs[i-1].UpTo
		}
		h := (base - top) * float64(v.Count) / float64(most)
		if v.Count > 0 {
			h = max(h, 1.5)
		}
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>up to %s: %s</title></rect>`,
			x(from)+0.75, base-h, max(x(v.UpTo)-x(from)-1.5, 0.5), h, formatMillis(v.UpTo), count(v.Count))
	}
	fmt.Fprintf(&b, `<path class="axis" d="M%.1f %.1fH%.1f"/>`, plotLeft, base, plotWidth-plotRight)
	for d := math.Pow(10, math.Floor(math.Log10(low))); d <= high; d *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if v := d * f; v >= low && v <= high {
				fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x(v), base+19, shortMillis(v))
			}
		}
	}
	last := math.Inf(-1)
	for _, m := range []struct {
		name string
		v    float64
	}{{"p50", l.P50}, {"p90", l.P90}, {"p99", l.P99}, {"p99.9", l.P999}} {
		at := min(max(x(max(m.v, low)), plotLeft), plotWidth-plotRight)
		fmt.Fprintf(&b, `<path class="mark" d="M%.1f %.1fV%.1f"/>`, at, top-8, base)
		if at-last > 42 {
			fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, at, top-14, m.name)
			last = at
		}
	}
	return fmt.Sprintf(`<svg class="histogram" viewBox="0 0 %g %g" role="img"><title>How often which latency was measured</title>%s</svg>`, plotWidth, height, b.String())
}

// shortMillis labels an axis.
func shortMillis(ms float64) string {
	switch {
	case ms < 0.9999:
		return fmt.Sprintf("%.3g µs", ms*1e3)
	case ms < 999.9:
		return fmt.Sprintf("%.3g ms", ms)
	}
	return fmt.Sprintf("%.3g s", ms/1e3)
}
