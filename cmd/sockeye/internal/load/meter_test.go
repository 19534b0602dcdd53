package load

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMeter(t *testing.T) {
	m := &meter{}
	if m.roll() != nil || m.cut() != nil || m.sofar() != nil || m.any() {
		t.Fatal("an empty meter has something to say")
	}
	for i := 1; i <= 1000; i++ {
		m.record(time.Duration(i) * time.Millisecond)
	}
	p := m.roll()
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want/500 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("p50", p.P50, 500)
	near("p99", p.P99, 990)
	if m.roll() != nil {
		t.Error("rolled twice")
	}
	m.record(3 * time.Hour) // counts as an hour
	m.record(-time.Second)  // as a microsecond
	m.roll()
	if p := m.cut(); p.Count != 1002 {
		t.Errorf("%d in the cut", p.Count)
	}
	if m.cut() != nil {
		t.Error("cut twice")
	}
	l := m.sofar()
	near("p90", l.P90, 900)
	near("max", l.Max, 3_600_000)
	near("min", l.Min, 0.001)
	near("p75", l.stat("p75"), 750)
	if l.Count != 1002 {
		t.Errorf("%d in all", l.Count)
	}
}

// Every value is in exactly one bar, and the bars have no gaps.
func TestBars(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &meter{}
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(2*time.Hour)), 1, 50).Draw(t, "values")
		for _, v := range values {
			m.record(time.Duration(v))
		}
		m.roll()
		bs := m.sofar().Histogram
		var n int64
		for i, b := range bs {
			n += b.Count
			if i > 0 && b.UpTo <= bs[i-1].UpTo {
				t.Fatalf("bar %d ends at %v after %v", i, b.UpTo, bs[i-1].UpTo)
			}
		}
		if n != int64(len(values)) || bs[0].Count == 0 || bs[len(bs)-1].Count == 0 {
			t.Fatalf("%d values make %+v", len(values), bs)
		}
	})
}

func TestSpread(t *testing.T) {
	counts := make([]int, 3)
	for i, w := range spread(1000, []int{80, 15, 5}) {
		counts[w]++
		if i == 19 && (counts[0] != 16 || counts[1] != 3 || counts[2] != 1) {
			t.Errorf("the first 20 are %v", counts)
		}
	}
	if counts[0] != 800 || counts[1] != 150 || counts[2] != 50 {
		t.Errorf("got %v", counts)
	}
}
