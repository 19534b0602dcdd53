package load

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// about says what latencies mean.
var about = map[string]string{
	"ack":      "from when an emit was due to its acknowledgement",
	"service":  "from when it was sent to its acknowledgement",
	"delivery": "from when an emit with ${now} was due to its arrival at a client of this run",
	"expect":   "from when an emit was due to the event that is expected after it",
	"connect":  "from when a connect was due to being let into the namespace",
	"turn":     "a turn of a loop, from when it was due to its end",
	"lag":      "how late this process began what was due: its own fault",
}

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	c := r.Counts
	fmt.Fprintf(&b, "\n%s\n%s", r.URL, r.summary())
	b.WriteString("\n\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, n int64, rate float64, more string) {
		if n > 0 || rate > 0 || name == "errors" || name == "connects" {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", name, count(n), perSecond(rate), more)
		}
	}
	row("connects", c.Connects, r.Rates.Connects, "")
	row("sent", c.Sent, r.Rates.Sent, "")
	row("acknowledged", c.Acked, r.Rates.Acked, "")
	row("received", c.Received, r.Rates.Received, "")
	for _, x := range []struct {
		name string
		n    int64
	}{{"turns", c.Turns}, {"turns begun late", c.Late}, {"reconnects", c.Reconnects}, {"connections lost", c.Disconnects}, {"lost", c.Lost}, {"errors", c.Errors}} {
		if x.n > 0 || x.name == "errors" {
			fmt.Fprintf(t, "  %s\t%s\t\t\n", x.name, count(x.n))
		}
	}
	t.Flush()
	if len(r.Latency) > 0 {
		b.WriteString("\n")
		t.Init(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(t, "  latency\tcount\tmin\tp50\tp90\tp99\tp99.9\tmax\t\n")
		put := func(name string, l *Latency) {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, count(l.Count), formatMillis(l.Min), formatMillis(l.P50),
				formatMillis(l.P90), formatMillis(l.P99), formatMillis(l.P999), formatMillis(l.Max))
		}
		for _, name := range latencies {
			if l := r.Latency[name]; l != nil {
				put(name, l)
			}
		}
		if len(r.Steps) > 1 {
			for _, s := range r.Steps {
				name := s.Step
				if len(r.Scenarios) > 1 {
					name = s.Scenario + ": " + name
				}
				put(fit(show.Clean(name), 40), s.Latency)
			}
		}
		t.Flush()
		b.WriteString("\n")
		for _, name := range latencies {
			if r.Latency[name] != nil {
				fmt.Fprintf(&b, "  %-9s %s\n", name, about[name])
			}
		}
		if r.Closed {
			b.WriteString("  No loop has a schedule (every): each client waits for one answer before it asks again, so a slow server is asked less.\n")
		}
	}
	if len(r.Errors) > 0 {
		b.WriteString("\nErrors\n")
		for _, e := range r.Errors {
			fmt.Fprintf(&b, "  %8s × %s: %s\n", count(e.Count), e.During, show.Clean(e.Kind))
			if e.Detail != "" && !strings.Contains(e.Kind, e.Detail) {
				fmt.Fprintf(&b, "             first after %.1f s: %s\n", e.First, show.Clean(fit(e.Detail, 160)))
			}
		}
	}
	p := r.Process
	fmt.Fprintf(&b, "\nThis process: CPU %.0f%% of %d cores (%.0f%% in its busiest second, %.1f s in all)", p.CPU, p.Cores, p.CPUMax, p.Seconds)
	if p.RSS > 0 {
		fmt.Fprintf(&b, ", memory %s MB", formatNumber(float64(p.RSS>>20)))
	}
	b.WriteString("\n")
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "Warning: %s\n", w)
	}
	if len(r.Checks) > 0 {
		b.WriteString("\nChecks\n")
		for _, v := range r.Checks {
			mark := "passed"
			if v.Failed {
				mark = "FAILED"
			}
			fmt.Fprintf(&b, "  %s  fail if %s: it is %s\n", mark, v.Check, v.Text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// summary says in a line what was done.
func (r *Result) summary() string {
	names := make([]string, 0, len(r.Transports))
	for name := range r.Transports {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return r.Transports[b] - r.Transports[a] })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s over %s", count(int64(r.Transports[name])), name)
	}
	out := fmt.Sprintf("%s clients for %.1f s, at most %s connected at the same time", count(r.Counts.Clients), r.Seconds, count(r.Counts.ConnectedMax))
	if len(names) > 0 {
		out += " (" + strings.Join(names, ", ") + ")"
	}
	if r.Interrupted {
		out += ", interrupted"
	}
	return out
}
