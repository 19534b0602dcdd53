package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A meter collects one latency. Values are kept to three significant digits, between a microsecond and an hour; what is
// outside counts as the nearest of these.
type meter struct {
	mu    sync.Mutex
	live  *hdrhistogram.Histogram // since the last roll
	span  *hdrhistogram.Histogram // since the last cut
	total *hdrhistogram.Histogram // closed: without live
	sum   float64                 // of all, in microseconds: the mean without the histogram's rounding
}

const longest = int64(time.Hour / time.Microsecond)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// record is called by many goroutines. The histograms, 190 KB each, are made when there is something to put into them.
func (m *meter) record(d time.Duration) {
	us := min(max(int64((d+time.Microsecond/2)/time.Microsecond), 1), longest)
	m.mu.Lock()
	if m.live == nil {
		m.live, m.span, m.total = newHistogram(), newHistogram(), newHistogram()
	}
	_ = m.live.RecordValue(us) // fails outside the limits only
	m.sum += float64(d) / 1e3
	m.mu.Unlock()
}

// roll closes the current second and returns what was measured in it, nil if nothing.
func (m *meter) roll() *Point {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live == nil || m.live.TotalCount() == 0 {
		return nil
	}
	p := pointOf(m.live)
	m.span.Merge(m.live)
	m.total.Merge(m.live)
	m.live.Reset()
	return p
}

// cut closes a point of the report's plots.
func (m *meter) cut() *Point {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.span == nil || m.span.TotalCount() == 0 {
		return nil
	}
	p := pointOf(m.span)
	p.bars = bars(m.span)
	m.span.Reset()
	return p
}

// sofar returns everything that has been rolled.
func (m *meter) sofar() *Latency {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.total == nil || m.total.TotalCount() == 0 {
		return nil
	}
	h := m.total
	l := &Latency{
		Count: h.TotalCount(), Min: millis(h.Min()), Max: millis(h.Max()),
		P50: millis(h.ValueAtQuantile(50)), P75: millis(h.ValueAtQuantile(75)), P90: millis(h.ValueAtQuantile(90)),
		P95: millis(h.ValueAtQuantile(95)), P99: millis(h.ValueAtQuantile(99)), P999: millis(h.ValueAtQuantile(99.9)),
	}
	l.Mean = m.sum / 1e3 / float64(l.Count+m.live.TotalCount())
	l.at = h.ValueAtQuantile
	l.Histogram = bars(h)
	return l
}

func millis(us int64) float64 { return float64(us) / 1e3 }

func pointOf(h *hdrhistogram.Histogram) *Point {
	return &Point{
		Count: h.TotalCount(), P50: millis(h.ValueAtQuantile(50)), P90: millis(h.ValueAtQuantile(90)),
		P99: millis(h.ValueAtQuantile(99)), Max: millis(h.Max()),
	}
}

// A Bar is a part of a histogram: how many latencies were above the one before and up to UpTo.
type Bar struct {
	UpTo  float64 `json:"upTo"` // milliseconds
	Count int64   `json:"count"`
}

// barEdges are the limits of bars in microseconds: eight to a factor of ten, so that a bar is a third wider than the
// last and a microsecond and an hour fit into one picture.
var barEdges = func() []int64 {
	var edges []int64
	steps := []float64{1, 1.33, 1.78, 2.37, 3.16, 4.22, 5.62, 7.5}
	for decade := 1.0; decade < float64(longest); decade *= 10 {
		for _, s := range steps {
			if e := int64(decade*s + 0.5); len(edges) == 0 || e > edges[len(edges)-1] {
				edges = append(edges, e)
			}
		}
	}
	return append(edges, longest+longest/100) // the histogram's last bucket reaches past the hour
}()

// bars returns the bars from the first to the last that has something in it.
func bars(h *hdrhistogram.Histogram) []Bar {
	var out []Bar
	i, count := 0, int64(0)
	flush := func() {
		if count > 0 || len(out) > 0 {
			out = append(out, Bar{millis(barEdges[i]), count})
		}
		count = 0
		i++
	}
	for _, b := range h.Distribution() {
		if b.Count == 0 {
			continue
		}
		for i < len(barEdges)-1 && b.From > barEdges[i] {
			flush()
		}
		count += b.Count
	}
	flush()
	return out
}

// any reports whether there is something in it.
func (m *meter) any() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live != nil
}
