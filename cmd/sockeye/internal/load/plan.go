package load

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A Plan is everything that a run needs to know.
type Plan struct {
	URL        string
	Path       string // of the server; empty means /socket.io/
	Clients    int
	Ramp       time.Duration // over which the clients connect
	Duration   time.Duration // after the ramp
	Mix        Mix
	Scenarios  []*Scenario
	Users      []map[string]string // a line each; client i is user i modulo their number
	Header     http.Header
	Insecure   bool     // certificates are not verified
	Local      []string // addresses to connect from
	Connecting int      // how many may be connecting at the same time
	Timeout    time.Duration
	Reconnect  bool
	Grace      time.Duration // for answers that are under way at the end
	Checks     []Check
}

// A Scenario is what some of the clients do.
type Scenario struct {
	Name      string
	Weight    int
	Namespace string
	auth      *template // nil: none
	steps     []step
	expected  map[string][]*step // by the name of the event
}

type action uint8

const (
	doEmit action = iota
	doExpect
	doThink
	doLoop // jump to end+1 when it is done
	doNext // the end of a loop's body, jump back to its begin
	doConnect
	doDisconnect
)

// A step is one instruction of a scenario. Loops are flat: a doLoop and the doNext that belongs to it know each other.
type step struct {
	do   action
	line int // in the file
	name string

	// emit
	event   *template
	args    []argument
	ack     bool
	timeout time.Duration
	match   []*matcher
	save    []pick

	// expect: event, timeout, match and save as above
	await string
	at    int // where it is in the scenario

	// think
	from, to time.Duration

	// loop
	times    int // 0: until the end
	every    time.Duration
	together bool
	other    int // of doLoop its doNext, of doNext its doLoop
	depth    int // of loops around its body
}

// An argument is a template, or so many random bytes.
type argument struct {
	json   *template
	binary []byte
}

// Defaults of a plan.
const (
	defaultClients    = 100
	defaultDuration   = 30 * time.Second
	defaultTimeout    = 20 * time.Second
	defaultStepTime   = 10 * time.Second
	defaultConnecting = 200
	defaultGrace      = 3 * time.Second
	maxClients        = 1_000_000
	maxDepth          = 8 // of loops
)

// complete puts defaults in, and says what is wrong.
func (p *Plan) complete() error {
	p.Clients = cmp.Or(p.Clients, defaultClients)
	p.Duration = cmp.Or(p.Duration, defaultDuration)
	p.Timeout = cmp.Or(p.Timeout, defaultTimeout)
	p.Connecting = cmp.Or(p.Connecting, defaultConnecting)
	p.Grace = cmp.Or(p.Grace, defaultGrace)
	if len(p.Mix) == 0 {
		p.Mix = Mix{{Name: "websocket", Transports: []string{"websocket"}, Weight: 1}}
	}
	if len(p.Scenarios) == 0 {
		p.Scenarios = []*Scenario{{Name: "idle", steps: []step{{do: doConnect, name: "connect"}}}}
	}
	switch {
	case p.URL == "":
		return errors.New("there is no URL to load")
	case p.Clients < 1 || p.Clients > maxClients:
		return fmt.Errorf("clients: want 1 to %d", maxClients)
	case p.Ramp < 0 || p.Duration < 0 || p.Timeout < 0 || p.Connecting < 0:
		return errors.New("times and limits can't be negative")
	}
	total := 0
	for _, sc := range p.Scenarios {
		sc.Weight = cmp.Or(sc.Weight, 1)
		if sc.Weight < 0 {
			return fmt.Errorf("scenario %q: the weight is negative", sc.Name)
		}
		total += sc.Weight
		sc.index()
	}
	return nil
}

// index notes which events are waited for, and where.
func (sc *Scenario) index() {
	sc.expected = map[string][]*step{}
	for i := range sc.steps {
		st := &sc.steps[i]
		if st.do == doExpect {
			st.at = i
			sc.expected[st.await] = append(sc.expected[st.await], st)
		}
	}
}

// open reports whether some loop has a schedule.
func (p *Plan) open() bool {
	for _, sc := range p.Scenarios {
		if slices.ContainsFunc(sc.steps, func(s step) bool { return s.every > 0 }) {
			return true
		}
	}
	return false
}

// mains returns latencies in the order in which they matter: what the loops measure, then what is measured once.
func (p *Plan) mains() []string {
	var inLoops []string
	for _, name := range latencies[:3] {
		for _, sc := range p.Scenarios {
			depth := 0
			for _, st := range sc.steps {
				switch {
				case st.do == doLoop:
					depth++
				case st.do == doNext:
					depth--
				case depth > 0 && (name == "ack" && st.do == doEmit && st.ack || name == "expect" && st.do == doExpect ||
					name == "delivery" && slices.ContainsFunc(st.args, func(a argument) bool { return a.json != nil && a.json.stamped })):
					if !slices.Contains(inLoops, name) {
						inLoops = append(inLoops, name)
					}
				}
			}
		}
	}
	return append(inLoops, latencies...)
}

// measures reports whether there is anything that has a latency besides connecting.
func (p *Plan) measures() bool {
	for _, sc := range p.Scenarios {
		if slices.ContainsFunc(sc.steps, func(s step) bool { return s.do == doEmit || s.do == doExpect }) {
			return true
		}
	}
	return false
}

// A Mix says by which transports the clients connect, as shares of the whole.
type Mix []Share

// A Share is one part of a mix.
type Share struct {
	Name       string
	Transports []string // nil: the client library chooses
	Weight     int
}

const transportsHelp = "websocket, polling, streaming, auto (the client's own choice), or several with + between them, tried in that order and upgraded"

// ParseMix reads "websocket=80,polling=15,streaming=5".
func ParseMix(text string) (Mix, error) {
	var m Mix
	for field := range strings.SplitSeq(text, ",") {
		name, weight, ok := strings.Cut(strings.TrimSpace(field), "=")
		w := 1
		if ok {
			var err error
			if w, err = strconv.Atoi(strings.TrimSpace(weight)); err != nil {
				return nil, fmt.Errorf("transport %q: the share %q is no whole number", name, weight)
			}
		}
		var err error
		if m, err = m.add(strings.TrimSpace(name), w); err != nil {
			return nil, err
		}
	}
	return m, m.check()
}

func (m Mix) add(name string, weight int) (Mix, error) {
	if weight < 0 || weight > 1_000_000 {
		return nil, fmt.Errorf("transport %q: want a share from 0 to 1000000", name)
	}
	s := Share{Name: name, Weight: weight}
	if name != "auto" {
		s.Transports = strings.Split(name, "+")
		for i, t := range s.Transports {
			if !slices.Contains([]string{"websocket", "polling", "streaming"}, t) || slices.Contains(s.Transports[:i], t) {
				return nil, fmt.Errorf("transport %q: want %s", name, transportsHelp)
			}
		}
	}
	if slices.ContainsFunc(m, func(o Share) bool { return o.Name == name }) {
		return nil, fmt.Errorf("transport %q is there twice", name)
	}
	return append(m, s), nil
}

func (m Mix) check() error {
	for _, s := range m {
		if s.Weight > 0 {
			return nil
		}
	}
	return errors.New("transport: every share is 0")
}

// spread hands out n places by weight, so that every beginning of the sequence is as close to the weights as it can be:
// of 80 and 20, every fifth is the second.
func spread(n int, weights []int) []int {
	total := 0
	for _, w := range weights {
		total += w
	}
	out, credit := make([]int, n), make([]int, len(weights))
	for i := range out {
		best := 0
		for j, w := range weights {
			credit[j] += w
			if credit[j] > credit[best] {
				best = j
			}
		}
		credit[best] -= total
		out[i] = best
	}
	return out
}

// An Emission is a scenario as flags describe it: connect, join, and then one loop.
type Emission struct {
	Namespace string
	Auth      string // JSON
	Join      string // a room, by emitting "join"
	Event     string // "" emits nothing
	Payload   []string
	Size      int // bytes of text
	Binary    int // bytes of a binary argument
	Every     time.Duration
	Together  bool
	Ack       bool
	Timeout   time.Duration // of acknowledgements and expected events
	Expect    string        // an event to wait for in each turn
	Think     string        // FROM-TO, after each turn
}

// Scenario makes a scenario of it.
func (e Emission) Scenario() (*Scenario, error) {
	sc := &Scenario{Name: "flags", Namespace: e.Namespace}
	timeout := cmp.Or(e.Timeout, defaultStepTime)
	if e.Auth != "" {
		v := jsontext.Value(e.Auth)
		if v.Kind() != '{' {
			return nil, fmt.Errorf("auth: want a JSON object, not %s", e.Auth)
		}
		var err error
		if sc.auth, err = parseTemplate(v); err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
	}
	sc.steps = append(sc.steps, step{do: doConnect, name: "connect"})
	if e.Join != "" {
		room, err := jsontext.AppendQuote(nil, e.Join)
		if err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
		t, err := parseTemplate(room)
		if err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
		sc.steps = append(sc.steps, step{do: doEmit, name: "join", event: fixedText("join"), args: []argument{{json: t}}, ack: true, timeout: timeout})
	}
	var body []step
	if e.Event != "" {
		st := step{do: doEmit, name: e.Event, ack: e.Ack, timeout: timeout}
		var err error
		if st.event, err = parseText(e.Event); err != nil {
			return nil, fmt.Errorf("emit: %w", err)
		}
		for _, p := range e.Payload {
			t, err := parseTemplate([]byte(p))
			if err != nil {
				return nil, fmt.Errorf("payload %s: %w (text needs quotes: '\"hello\"')", p, err)
			}
			st.args = append(st.args, argument{json: t})
		}
		if err := st.addSizes(e.Size, e.Binary); err != nil {
			return nil, err
		}
		body = append(body, st)
	}
	if e.Expect != "" {
		body = append(body, step{do: doExpect, name: e.Expect, await: e.Expect, timeout: timeout})
	}
	if e.Think != "" {
		from, to, err := parseRange(e.Think)
		if err != nil {
			return nil, fmt.Errorf("think: %w", err)
		}
		body = append(body, step{do: doThink, name: "think", from: from, to: to})
	}
	if len(body) == 0 {
		return sc, nil
	}
	every := e.Every
	if every == 0 && e.Event != "" && e.Think == "" {
		every = time.Second
	}
	sc.loop(step{name: "loop", every: every, together: e.Together}, 1, body)
	return sc, nil
}

func fixedText(s string) *template { return &template{parts: []part{{literal: []byte(s)}}} }

// loop appends a loop around a body without loops of its own.
func (sc *Scenario) loop(l step, depth int, body []step) {
	l.do, l.depth = doLoop, depth
	begin := len(sc.steps)
	sc.steps = append(sc.steps, l)
	sc.steps = append(sc.steps, body...)
	sc.close(begin)
}

// close ends the loop that begins at a step.
func (sc *Scenario) close(begin int) {
	sc.steps[begin].other = len(sc.steps)
	sc.steps = append(sc.steps, step{do: doNext, name: "loop", other: begin, depth: sc.steps[begin].depth})
}

// addSizes appends arguments of random text and random bytes.
func (st *step) addSizes(text, binary int) error {
	if text < 0 || text > maxText || binary < 0 || binary > maxText {
		return fmt.Errorf("a size is a number of bytes from 1 to %d", maxText)
	}
	if text > 0 {
		t, err := parseTemplate(fmt.Appendf(nil, `"${text:%d}"`, text))
		if err != nil {
			return err
		}
		st.args = append(st.args, argument{json: t})
	}
	if binary > 0 {
		st.args = append(st.args, argument{binary: appendText(nil, binary)})
	}
	return nil
}

// parseRange reads a duration, or two with a - between them.
func parseRange(text string) (from, to time.Duration, err error) {
	a, b, ok := strings.Cut(text, "-")
	if from, err = time.ParseDuration(strings.TrimSpace(a)); err != nil {
		return 0, 0, fmt.Errorf("%q is no time such as 2s or 1s-3s", text)
	}
	to = from
	if ok {
		if to, err = time.ParseDuration(strings.TrimSpace(b)); err != nil {
			return 0, 0, fmt.Errorf("%q is no time such as 2s or 1s-3s", text)
		}
	}
	if from < 0 || to < from {
		return 0, 0, fmt.Errorf("%q: want the shorter time first", text)
	}
	return from, to, nil
}
