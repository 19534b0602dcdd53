package doctor

import (
	"slices"
	"time"
)

// Verdict is the outcome of a step.
type Verdict string

// The verdicts, from best to worst.
const (
	OK      Verdict = "ok"
	Skipped Verdict = "skipped" // not examined, or it could not be judged; the summary says why
	Warning Verdict = "warning" // works, or for some only
	Problem Verdict = "problem" // doesn't work
)

func (v Verdict) rank() int { return slices.Index([]Verdict{OK, Skipped, Warning, Problem}, v) }

// Report is everything that an examination found.
type Report struct {
	URL       string    `json:"url"`       // as examined, without what is secret in it
	Path      string    `json:"path"`      // of the Engine.IO server
	Namespace string    `json:"namespace"` // that was joined
	Started   time.Time `json:"started"`
	Millis    int64     `json:"milliseconds"`
	Verdict   Verdict   `json:"verdict"` // the worst of all steps, skipped ones left aside
	Reached   bool      `json:"reached"` // at least one address took a connection
	Server    Server    `json:"server"`
	Steps     []*Step   `json:"steps"`
	Summary   Summary   `json:"summary"`
}

// Server is what is known about the server itself.
type Server struct {
	Kind         string   `json:"kind,omitempty"`      // "Sockeye", "python-socketio" or "Socket.IO on Node.js, …"; empty if it can't be told
	Protocols    []int    `json:"protocols,omitempty"` // Engine.IO versions that it speaks
	Upgrades     []string `json:"upgrades,omitempty"`
	PingInterval int64    `json:"pingInterval,omitempty"` // milliseconds
	PingTimeout  int64    `json:"pingTimeout,omitempty"`  // milliseconds
	MaxPayload   int      `json:"maxPayload,omitempty"`   // bytes; 0 if not announced
}

// Summary is the report in two sentences.
type Summary struct {
	Works []string `json:"works"`
	// First is the step whose finding to act on first, and its code; empty if there is nothing to change.
	FirstStep string `json:"firstStep,omitempty"`
	FirstCode string `json:"firstCode,omitempty"`
	First     string `json:"first,omitempty"`
}

// Step is one thing that was examined.
type Step struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Verdict  Verdict   `json:"verdict"`
	Summary  string    `json:"summary"`
	Findings []Finding `json:"findings,omitempty"`
	// Evidence is what was sent and seen, a line each, nothing secret in full.
	Evidence []string `json:"evidence,omitempty"`
	Millis   int64    `json:"milliseconds"`
}

// Finding is something that is wrong, and what to do about it.
type Finding struct {
	Code    string  `json:"code"` // stable, for scripts
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`
	Fix     string  `json:"fix,omitempty"`
	Config  string  `json:"config,omitempty"` // what to write into which file, if it can be said so exactly
	// Because names the step with the cause, if this is only a consequence.
	Because string `json:"because,omitempty"`
}

// Step returns the step with the id, or nil.
func (r *Report) Step(id string) *Step {
	for _, s := range r.Steps {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// ExitCode is what the command exits with: 0 all well, 1 problems, 3 the host can't be reached.
func (r *Report) ExitCode() int {
	switch {
	case !r.Reached:
		return 3
	case r.Verdict == Problem:
		return 1
	}
	return 0
}

// has reports whether the step has a finding with the code.
func (s *Step) has(code string) bool {
	return slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Code == code })
}

// settle gives the step the verdict and the summary of its worst finding, or what was said for the case that all is
// well.
func (s *Step) settle() {
	if s.Verdict == Skipped {
		return
	}
	s.Verdict = OK
	for _, f := range s.Findings {
		if f.Verdict.rank() > s.Verdict.rank() {
			s.Verdict, s.Summary = f.Verdict, f.Text
		}
	}
}
