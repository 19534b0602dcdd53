package load

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Check is a condition that makes a run a failure when it holds, such as "p99>50ms".
type Check struct {
	text    string
	metric  string // of a latency; "" is the run's main one
	stat    string // of a latency: min, mean, max, or pNN
	count   string // of a count or a rate, instead of metric and stat
	percent bool   // of a count: as a share of what was tried
	op      string
	limit   float64 // milliseconds for latencies, per cent for cpu and shares
}

// Names that checks can be about.
var (
	// latencies are what is measured, in the order in which a run's main one is looked for, see Plan.mains.
	latencies = []string{"ack", "delivery", "expect", "connect", "service", "turn", "lag"}
	counts    = []string{
		"clients", "connected", "connected.end", "connects", "reconnects", "disconnects", "errors", "errors.connect",
		"errors.disconnect", "errors.emit", "errors.ack", "errors.expect", "errors.server", "lost", "sent", "received",
		"acked", "turns", "connects.rate", "sent.rate", "received.rate", "acked.rate", "cpu",
	}
)

var (
	checkForm = regexp.MustCompile(`^\s*([a-zA-Z][a-zA-Z0-9.]*)\s*(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµ%/]*)\s*$`)
	quantile  = regexp.MustCompile(`^p([0-9]{1,2}(?:\.[0-9]{1,3})?|100)$`)
)

// ParseCheck reads a check: a name, one of > >= < <= == !=, and a number with its unit.
func ParseCheck(text string) (Check, error) {
	fail := func(format string, args ...any) (Check, error) {
		return Check{}, fmt.Errorf("check %q: %s", text, fmt.Sprintf(format, args...))
	}
	m := checkForm.FindStringSubmatch(text)
	if m == nil {
		return fail(`want NAME OPERATOR NUMBER, such as "p99>50ms", "errors>0" or "connected<1000"`)
	}
	name, op, unit := m[1], m[2], m[4]
	n, err := strconv.ParseFloat(m[3], 64)
	if err != nil || math.IsInf(n, 0) {
		return fail("%s is no number that can be used", m[3])
	}
	c := Check{text: strings.Join(m[1:5], ""), op: op, limit: n}
	if slices.Contains(counts, name) {
		c.count = name
		share := name == "errors" || name == "lost"
		switch {
		case name == "cpu" && unit != "%":
			return fail("cpu is in per cent of the cores that the process may use: cpu>90%%")
		case unit == "%" && (share || name == "cpu"):
			c.percent = share
		case unit == "/s" && strings.HasSuffix(name, ".rate"):
		case unit != "":
			return fail("%s has no unit %q", name, unit)
		}
		return c, nil
	}
	stat := name
	if metric, rest, ok := strings.Cut(name, "."); ok && slices.Contains(latencies, metric) {
		c.metric, stat = metric, rest
	}
	if q := quantile.FindStringSubmatch(stat); q == nil && !slices.Contains([]string{"min", "mean", "max"}, stat) {
		return fail("no %q is measured; there are %s, each of %s in front of a dot (connect.p99) or of the run's main latency without; and %s",
			name, "p50, p99, p99.9 and any other percentile, min, mean and max", strings.Join(latencies, ", "), strings.Join(counts, ", "))
	}
	c.stat = stat
	scale, ok := map[string]float64{"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1, "s": 1e3, "m": 60e3}[unit]
	if !ok {
		return fail("a latency needs a unit: us, ms, s or m")
	}
	c.limit *= scale
	return c, nil
}

// String returns the check as it was written, without spaces.
func (c Check) String() string { return c.text }

// A Verdict is what came of a check.
type Verdict struct {
	Check  string  `json:"check"`
	Failed bool    `json:"failed"`
	Value  float64 `json:"value"` // in the unit of the check: milliseconds, per cent, or a number
	Text   string  `json:"text"`  // the value with its unit, or why there is none
}

// judge holds a result against the check. A latency of which nothing was measured fails: whoever asks for a limit wants
// to know that it was kept.
func (c Check) judge(r *Result) Verdict {
	v := Verdict{Check: c.text}
	if c.count != "" {
		v.Value, v.Text = c.counted(r)
	} else {
		metric := c.metric
		if metric == "" {
			metric = r.Main
		}
		l := r.Latency[metric]
		if l == nil || l.Count == 0 {
			v.Failed, v.Text = true, "nothing was measured"
			return v
		}
		v.Value = l.stat(c.stat)
		v.Text = formatMillis(v.Value)
		if c.metric == "" {
			v.Text += " (" + metric + ")"
		}
	}
	switch c.op {
	case ">":
		v.Failed = v.Value > c.limit
	case ">=":
		v.Failed = v.Value >= c.limit
	case "<":
		v.Failed = v.Value < c.limit
	case "<=":
		v.Failed = v.Value <= c.limit
	case "==":
		v.Failed = v.Value == c.limit
	case "!=":
		v.Failed = v.Value != c.limit
	}
	return v
}

func (c Check) counted(r *Result) (float64, string) {
	n := &r.Counts
	var v float64
	switch c.count {
	case "clients":
		v = float64(n.Clients)
	case "connected":
		v = float64(n.ConnectedMax)
	case "connected.end":
		v = float64(n.ConnectedEnd)
	case "connects":
		v = float64(n.Connects)
	case "reconnects":
		v = float64(n.Reconnects)
	case "disconnects":
		v = float64(n.Disconnects)
	case "errors":
		v = float64(n.Errors)
	case "lost":
		v = float64(n.Lost)
	case "sent":
		v = float64(n.Sent)
	case "received":
		v = float64(n.Received)
	case "acked":
		v = float64(n.Acked)
	case "turns":
		v = float64(n.Turns)
	case "connects.rate":
		v = r.Rates.Connects
	case "sent.rate":
		v = r.Rates.Sent
	case "received.rate":
		v = r.Rates.Received
	case "acked.rate":
		v = r.Rates.Acked
	case "cpu":
		return r.Process.CPU, formatNumber(r.Process.CPU) + "%"
	default:
		v = float64(r.errorsOf(strings.TrimPrefix(c.count, "errors.")))
	}
	if c.percent {
		tried := n.Connects + n.Reconnects + r.errorsOf("connect") + n.Sent + n.Expects
		if tried > 0 {
			v = 100 * v / float64(tried)
		}
		return v, formatNumber(v) + "%"
	}
	return v, formatNumber(v)
}

// formatMillis writes a latency with the unit that fits.
func formatMillis(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", ms*1e3)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", ms)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", ms)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", ms/1e3)
	}
	return d.Round(time.Second).String()
}

// formatNumber writes a number with separators between thousands, and decimals only where they say something.
func formatNumber(v float64) string {
	digits := 0
	if v != math.Trunc(v) {
		switch {
		case v < 1:
			digits = 3
		case v < 100:
			digits = 1
		}
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		return whole + "." + fraction
	}
	return whole
}

func parseQuantile(stat string) float64 {
	q, _ := strconv.ParseFloat(strings.TrimPrefix(stat, "p"), 64)
	return q
}
