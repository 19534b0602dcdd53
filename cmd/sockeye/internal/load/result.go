package load

import (
	"slices"
	"time"
)

// A Result is what came of a run. Its JSON is what --json prints; members are added to it but don't change.
type Result struct {
	URL         string              `json:"url"`
	Started     time.Time           `json:"started"`
	Seconds     float64             `json:"seconds"` // from the first connect to the end, without the farewell
	Ramp        float64             `json:"rampSeconds"`
	Interrupted bool                `json:"interrupted"`
	Closed      bool                `json:"closedLoop"` // nothing had a schedule: latencies are those of a polite load
	Scenarios   []ScenarioCount     `json:"scenarios"`
	Transports  map[string]int      `json:"transports"` // what the clients connected by
	Counts      Counts              `json:"counts"`
	Rates       Rates               `json:"rates"`
	Main        string              `json:"main"` // the latency that the run is about, "" if it measured none
	Latency     map[string]*Latency `json:"latency"`
	Steps       []StepLatency       `json:"steps"`
	Errors      []ErrorCount        `json:"errors"`
	Process     Process             `json:"process"`
	Warnings    []string            `json:"warnings"`
	Checks      []Verdict           `json:"checks"`
	Series      []Sample            `json:"series"`
}

// ScenarioCount says how many clients followed a scenario.
type ScenarioCount struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
}

// Counts are over the whole run.
type Counts struct {
	Clients      int64 `json:"clients"`      // that the plan asks for
	Connects     int64 `json:"connects"`     // that succeeded, first ones
	Reconnects   int64 `json:"reconnects"`   // that succeeded, later ones
	ConnectedMax int64 `json:"connectedMax"` // at the same time
	ConnectedEnd int64 `json:"connectedEnd"` // when the time was up, or when the last client had finished
	Disconnects  int64 `json:"disconnects"`  // that the scenario did not ask for
	Sent         int64 `json:"sent"`         // events
	Acked        int64 `json:"acked"`        // acknowledgements that came
	Received     int64 `json:"received"`     // events
	Expects      int64 `json:"expects"`      // events that were waited for
	Turns        int64 `json:"turns"`        // of loops
	Lost         int64 `json:"lost"`         // acknowledgements and expected events that did not come
	Errors       int64 `json:"errors"`
	Unfinished   int64 `json:"unfinished"` // acknowledgements that were still awaited at the end
	Late         int64 `json:"late"`       // turns that began after they were due because the client was still busy
}

// Rates are per second, over the whole run.
type Rates struct {
	Connects float64 `json:"connects"` // until the last one had connected
	Sent     float64 `json:"sent"`
	Received float64 `json:"received"`
	Acked    float64 `json:"acked"`
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	Count     int64   `json:"count"`
	Min       float64 `json:"min"`
	Mean      float64 `json:"mean"`
	P50       float64 `json:"p50"`
	P75       float64 `json:"p75"`
	P90       float64 `json:"p90"`
	P95       float64 `json:"p95"`
	P99       float64 `json:"p99"`
	P999      float64 `json:"p99.9"`
	Max       float64 `json:"max"`
	Histogram []Bar   `json:"histogram"`

	at func(q float64) int64 // microseconds
}

// StepLatency is the latency of one step of a scenario: of an acknowledgement, or of an expected event.
type StepLatency struct {
	Scenario string `json:"scenario"`
	Step     string `json:"step"`
	*Latency
}

// ErrorCount is one kind of error.
type ErrorCount struct {
	During string  `json:"during"` // connect, disconnect, emit, ack, expect or server
	Kind   string  `json:"kind"`
	Count  int64   `json:"count"`
	First  float64 `json:"first"`  // seconds after the start
	Detail string  `json:"detail"` // of the first one
}

// Process is about the process that made the load.
type Process struct {
	CPU        float64 `json:"cpu"`     // per cent of the cores that it may use, over the run
	CPUMax     float64 `json:"cpuMax"`  // of its busiest second
	Seconds    float64 `json:"seconds"` // of CPU
	Cores      int     `json:"cores"`
	RSS        int64   `json:"rss"` // bytes, the most that was seen; 0 where it is not known
	Goroutines int     `json:"goroutines"`
}

// A Sample is a point of the plots.
type Sample struct {
	At        float64           `json:"at"` // seconds after the start, the end of the interval
	Connected int64             `json:"connected"`
	Connects  float64           `json:"connects"` // this and the following per second
	Sent      float64           `json:"sent"`
	Received  float64           `json:"received"`
	Acked     float64           `json:"acked"`
	Errors    float64           `json:"errors"`
	CPU       float64           `json:"cpu"` // per cent
	Latency   map[string]*Point `json:"latency"`
}

// A Point is a distribution within an interval, in milliseconds.
type Point struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`

	bars []Bar
}

func (r *Result) errorsOf(during string) int64 {
	var n int64
	for _, e := range r.Errors {
		if e.During == during {
			n += e.Count
		}
	}
	return n
}

// Failed reports whether a check failed.
func (r *Result) Failed() bool {
	return slices.ContainsFunc(r.Checks, func(v Verdict) bool { return v.Failed })
}

func (l *Latency) stat(name string) float64 {
	switch name {
	case "min":
		return l.Min
	case "mean":
		return l.Mean
	case "max":
		return l.Max
	}
	return millis(l.at(parseQuantile(name)))
}
