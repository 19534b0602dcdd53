package load

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"
)

// busy is the result of a run with a bit of everything, and with names that try to break out of where they stand.
func busy(t *testing.T) *Result {
	t.Helper()
	var r *Result
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{dialing: 20 * time.Millisecond, answer: func(since time.Duration) time.Duration {
			return time.Duration(1+int(since.Seconds()*7)%40) * time.Millisecond
		}}
		r = play(t, s, `
clients: 30
ramp: 5s
duration: 25s
fail-if: [p99>1ms, connected<30]
scenarios:
  - {name: "</script><script>alert(1)</script>", steps: [{loop: {every: 1s, steps: [{emit: "<img src=x onerror=alert(1)>", ack: true}]}}]}
  - {name: other, steps: [{expect: "\e[2J", timeout: 2s}]}`)
	})
	r.URL = `http://host/"><script>alert(2)</script>`
	return r
}

func TestReportIsValidAndNeedsNothingElse(t *testing.T) {
	r := busy(t)
	var b bytes.Buffer
	if err := r.WriteReport(&b); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	open := 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		for _, a := range n.Attr {
			switch a.Key {
			case "src", "href", "xlink:href", "srcset", "action", "data", "poster":
				t.Errorf("<%s %s=%q> loads something", n.Data, a.Key, a.Val)
			case "style":
				t.Errorf("<%s> has a style of its own: %q", n.Data, a.Val)
			}
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s> has a handler: %s", n.Data, a.Key)
			}
		}
		if n.Data == "style" || n.Data == "script" {
			text := n.FirstChild.Data
			if regexp.MustCompile(`url\(|@import|fetch\(|XMLHttpRequest|import\(`).MatchString(text) {
				t.Errorf("the %s loads something", n.Data)
			}
			if n.Data == "script" {
				_, rest, _ := strings.Cut(text, "const data = ")
				line, _, _ := strings.Cut(rest, ";\n")
				var data map[string]hover
				if err := json.Unmarshal([]byte(line), &data); err != nil {
					t.Errorf("the data of the script is no JSON: %v", err)
				}
				for name, h := range data {
					for _, row := range h.Rows {
						if len(h.X) != len(r.Series) || len(h.At) != len(h.X) || len(row.Values) != len(h.X) {
							t.Errorf("%s has %d points, its %s %d", name, len(h.X), row.Name, len(row.Values))
						}
					}
				}
			}
		}
		open++
	}
	// Latency, rates, connected, errors, CPU and the distribution.
	if count["svg"] != 6 || count["script"] != 1 || count["img"] != 0 || count["h1"] != 1 || count["table"] < 4 || open < 300 {
		t.Errorf("elements are %v", count)
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Error("there is a number in it that is none")
	}
	// What the parser forgives must not be there: every element that is opened is closed.
	z := html.NewTokenizer(bytes.NewReader(b.Bytes()))
	var stack []string
	for {
		switch tt := z.Next(); tt {
		case html.ErrorToken:
			if len(stack) != 0 {
				t.Errorf("left open: %v", stack)
			}
			return
		case html.StartTagToken:
			name, _ := z.TagName()
			switch string(name) {
			case "meta", "br":
			default:
				stack = append(stack, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(stack) == 0 || stack[len(stack)-1] != string(name) {
				t.Fatalf("</%s> closes %v", name, stack)
			}
			stack = stack[:len(stack)-1]
		}
	}
}

func TestReportOfNothing(t *testing.T) {
	for _, r := range []*Result{{}, {Series: []Sample{{At: 1}}}, {Latency: map[string]*Latency{}}} {
		var b bytes.Buffer
		if err := r.WriteReport(&b); err != nil {
			t.Error(err)
		}
		if !strings.Contains(b.String(), "nothing connected") || strings.Contains(b.String(), "NaN") {
			t.Errorf("got %s", b.String())
		}
		if err := r.WriteTable(&b); err != nil {
			t.Error(err)
		}
	}
}

func TestJSON(t *testing.T) {
	b, err := json.Marshal(busy(t))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		URL     string
		Seconds float64
		Counts  map[string]int64
		Latency map[string]struct {
			Count     int64
			P50, P99  float64
			P999      float64 `json:"p99.9"`
			Histogram []struct {
				UpTo  float64
				Count int64
			}
		}
		Errors []struct{ During, Kind, Detail string }
		Checks []struct {
			Check  string
			Failed bool
			Value  float64
		}
		Series []struct {
			At        float64
			Connected int64
			Latency   map[string]map[string]float64
		}
		Scenarios []struct {
			Name    string
			Clients int
		}
		Steps []struct {
			Step string
			P50  float64
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	ack := got.Latency["ack"]
	if got.Counts["connects"] != 30 || ack.Count < 300 || ack.P50 <= 0 || ack.P999 < ack.P99 || len(ack.Histogram) == 0 ||
		len(got.Series) < 29 || got.Series[10].Connected != 30 || got.Series[10].Latency["ack"]["p99"] <= 0 ||
		len(got.Checks) != 2 || !got.Checks[0].Failed || got.Checks[1].Failed || len(got.Errors) == 0 ||
		len(got.Scenarios) != 2 || got.Scenarios[0].Clients != 15 || len(got.Steps) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestScreen(t *testing.T) {
	p := Progress{Elapsed: 5 * time.Second, Total: 10 * time.Second, Phase: "load", Clients: 1500, Main: "ack",
		Counts: Counts{ConnectedEnd: 1234, Sent: 5000, Errors: 2},
		Now:    Sample{Sent: 250, Latency: map[string]*Point{"ack": {P50: 1, P90: 2, P99: 3, Max: 4}}},
		Errors: []ErrorCount{{During: "ack", Kind: "\x1b[2J: timeout", Count: 2}},
	}
	var b bytes.Buffer
	s := NewScreen(&b, true)
	s.Progress(p)
	first := b.String()
	for _, want := range []string{"1,234 of 1,500", "250/s", "p99 3.00 ms", "errors", "timeout"} {
		if !strings.Contains(first, want) {
			t.Errorf("the block lacks %q:\n%s", want, first)
		}
	}
	if strings.Contains(first, "\x1b") {
		t.Errorf("the first block moves the cursor, or lets others do it: %q", first)
	}
	b.Reset()
	s.Progress(p)
	if want := "\x1b[" + string(rune('0'+strings.Count(first, "\n"))) + "A\x1b[J" + first; b.String() != want {
		t.Errorf("the second is %q, want %q", b.String(), want)
	}
	b.Reset()
	s = NewScreen(&b, false)
	for i := range 11 {
		p.Elapsed = time.Duration(i) * time.Second
		s.Progress(p)
	}
	if n := strings.Count(b.String(), "\n"); n != 3 || strings.Contains(b.String(), "\x1b") {
		t.Errorf("without a terminal there are %d lines in ten seconds:\n%s", n, b.String())
	}
	b.Reset()
	r := busy(t)
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"acknowledged", "p99.9", "FAILED  fail if p99>1ms", "passed  fail if connected<30", "not received in time"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("the table lets a name act on the terminal")
	}
}
