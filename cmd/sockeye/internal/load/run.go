package load

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Observer is told how a run goes. Its methods are called one at a time.
type Observer interface {
	// Progress is called every second.
	Progress(Progress)
}

// Progress is what there is to see of a run while it goes on.
type Progress struct {
	Elapsed, Total time.Duration
	Phase          string // "ramp", "load", "ending" or "closing"
	Clients        int
	Now            Sample // the last second
	Counts         Counts // so far
	Main           string // the latency that matters, "" while there is none
	Errors         []ErrorCount
}

// dialer makes the connection of a user.
type dialer func(ctx context.Context, u *user, s *scope) (session, error)

// A runner is a run that goes on.
type runner struct {
	plan     *Plan
	id       string
	ctx      context.Context // ends when nothing counts any more
	dial     dialer
	start    time.Time
	slots    chan struct{} // one for each that may be connecting
	stamps   bool          // some template has ${now} in it
	stopping atomic.Bool   // no more steps
	closing  atomic.Bool   // connections end because the run does
	alive    atomic.Int64  // users that are not gone, and those to come
	busy     atomic.Int64  // users that are doing something
	changed  chan struct{} // has something in it when alive or busy has become 0
	counts   counters
	meters   map[string]*meter
	steps    map[*step]*meter
	users    []user

	mu         sync.Mutex
	errors     map[[2]string]*ErrorCount
	transports map[string]int

	cpu     cpuClock
	cores   int
	samples []Sample
	every   int // seconds in a sample
	cpuMax  float64
	rss     int64
	rampEnd atomic.Int64 // when the last first connect succeeded
	last    Counts
	lastCPU float64
	prev    time.Duration
	ticks   int
	cutFrom Counts
	cutCPU  float64
}

type counters struct {
	connected, connectedMax                                   atomic.Int64
	connects, reconnects, disconnects                         atomic.Int64
	sent, acked, received, expects, turns, lost, errors, late atomic.Int64
	unfinished                                                atomic.Int64 // acknowledgements that are awaited
}

// maxSamples bounds the points of the plots.
const maxSamples = 600

// Run carries out a plan until it is over or ctx is done, which is no error: the result then says that it was
// interrupted. The error is that of a plan that can't be carried out on this machine.
func Run(ctx context.Context, p *Plan, o Observer) (*Result, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	d, err := newDialer(p)
	if err != nil {
		return nil, err
	}
	return run(ctx, p, o, d.dial), nil
}

func run(ctx context.Context, p *Plan, o Observer, dial dialer) *Result {
	all, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &runner{
		plan: p, id: strings.ToLower(rand.Text()[:6]), ctx: all, dial: dial, start: time.Now(),
		slots: make(chan struct{}, p.Connecting), changed: make(chan struct{}, 1), stamps: p.stamped(),
		meters: map[string]*meter{}, steps: map[*step]*meter{}, errors: map[[2]string]*ErrorCount{}, transports: map[string]int{},
		cores: runtime.GOMAXPROCS(0),
	}
	for _, name := range latencies {
		r.meters[name] = &meter{}
	}
	weights := make([]int, len(p.Scenarios))
	for i, sc := range p.Scenarios {
		weights[i] = sc.Weight
		for j := range sc.steps {
			if st := &sc.steps[j]; st.do == doEmit && st.ack || st.do == doExpect {
				r.steps[st] = &meter{}
			}
		}
	}
	whose := spread(p.Clients, weights)
	shares := make([]int, len(p.Mix))
	for i, s := range p.Mix {
		shares[i] = s.Weight
	}
	// Transports are mixed within each scenario: both sequences over the same clients would give all of one transport
	// to one scenario.
	perScenario := make([]int, len(weights))
	by := spread(p.Clients, shares)
	r.users = make([]user, p.Clients)
	for i := range r.users {
		u := &r.users[i]
		u.run, u.sc, u.id = r, p.Scenarios[whose[i]], i
		u.share = &p.Mix[by[perScenario[whose[i]]]]
		perScenario[whose[i]]++
	}
	r.every = max(1, int((p.Ramp+p.Duration).Seconds()+maxSamples-1)/maxSamples)
	r.alive.Store(int64(p.Clients))
	r.cpu.seconds() // from here

	interrupted := r.follow(ctx, o)
	r.sample(r.now(), true)
	res := r.result(interrupted)
	for i, name := range p.Scenarios {
		n := 0
		for _, w := range whose {
			if w == i {
				n++
			}
		}
		res.Scenarios = append(res.Scenarios, ScenarioCount{name.Name, n})
	}
	for _, c := range p.Checks {
		res.Checks = append(res.Checks, c.judge(res))
	}
	r.tell(o, "closing", nil)
	cancel()
	r.closeAll()
	return res
}

// follow starts the users and waits until the time is up, everybody has finished, or ctx is done.
func (r *runner) follow(ctx context.Context, o Observer) (interrupted bool) {
	p := r.plan
	total := p.Ramp + p.Duration
	end := time.NewTimer(total)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()

	ramping := make(chan struct{})
	stopRamp := make(chan struct{})
	go func() {
		defer close(ramping)
		r.ramp(stopRamp)
	}()
	var grace <-chan time.Time
	stop := func() {
		if !r.stopping.Swap(true) {
			r.endSteps()
			close(stopRamp)
			<-ramping
			grace = time.After(p.Grace)
			r.wake()
		}
	}
	defer func() { <-ramping }()
	for {
		phase := "load"
		switch {
		case r.stopping.Load():
			phase = "ending"
		case r.now() < p.Ramp:
			phase = "ramp"
		}
		select {
		case <-tick.C:
			s := r.sample(r.now(), false)
			r.tell(o, phase, &s)
		case <-end.C:
			stop()
		case <-ctx.Done():
			interrupted = true
			ctx = context.Background()
			stop()
		case <-r.changed:
			if r.stopping.Load() && r.busy.Load() == 0 {
				return interrupted
			}
			if r.alive.Load() == 0 {
				stop()
			}
		case <-grace:
			return interrupted
		}
	}
}

// ramp lets the users connect, evenly over the ramp.
func (r *runner) ramp(stop <-chan struct{}) {
	t := time.NewTimer(0)
	defer t.Stop()
	for i := range r.users {
		due := time.Duration(float64(r.plan.Ramp) * float64(i) / float64(len(r.users)))
		if wait := due - r.now(); wait > 0 {
			t.Reset(wait)
			select {
			case <-t.C:
			case <-stop:
				return
			}
		}
		if r.stopping.Load() {
			return
		}
		u := &r.users[i]
		u.due = due
		r.enter()
		go u.advance()
	}
}

func (r *runner) now() time.Duration { return time.Since(r.start) }

func (r *runner) enter() { r.busy.Add(1) }

func (r *runner) leave() {
	if r.busy.Add(-1) == 0 {
		r.wake()
	}
}

// finished is called once for every user that has gone.
func (r *runner) finished() {
	if r.alive.Add(-1) == 0 {
		r.wake()
	}
}

func (r *runner) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *runner) rise() {
	n := r.counts.connected.Add(1)
	for {
		most := r.counts.connectedMax.Load()
		if n <= most || r.counts.connectedMax.CompareAndSwap(most, n) {
			return
		}
	}
}

func (r *runner) connected(transport string, first bool) {
	if !first {
		r.counts.reconnects.Add(1)
		return
	}
	r.counts.connects.Add(1)
	r.rampEnd.Store(int64(r.now()))
	r.mu.Lock()
	r.transports[transport]++
	r.mu.Unlock()
}

// closeAll says goodbye, a few at a time, but doesn't wait for ever: the process is about to end.
func (r *runner) closeAll() {
	r.closing.Store(true)
	var wg sync.WaitGroup
	next := make(chan *user)
	for range min(64, len(r.users)) {
		wg.Go(func() {
			for u := range next {
				u.mu.Lock()
				if u.timer != nil {
					u.timer.Stop()
				}
				u.mu.Unlock()
				u.disconnect()
			}
		})
	}
	for i := range r.users {
		next <- &r.users[i]
	}
	close(next)
	wg.Wait()
}

// endSteps ends users that sleep: their next step would come after the end.
func (r *runner) endSteps() {
	for i := range r.users {
		u := &r.users[i]
		u.mu.Lock()
		if u.state == sleeping && u.timer != nil {
			u.timer.Stop()
			u.state = resting
		}
		u.mu.Unlock()
	}
}

// stamped reports whether ${now} is anywhere in the plan.
func (p *Plan) stamped() bool {
	for _, sc := range p.Scenarios {
		for _, st := range sc.steps {
			for _, a := range st.args {
				if a.json != nil && a.json.stamped {
					return true
				}
			}
		}
	}
	return false
}

var (
	errNotConnected = errors.New("there is no connection")
	errMismatch     = errors.New("not what match asks for")
	errNotSeen      = errors.New("it did not come in time")
)

// maxKinds bounds how many kinds of errors are told apart.
const maxKinds = 100

func (r *runner) fail(during string, err error) { r.failWith(during, kindOf(err), err) }

func (r *runner) failStep(during string, st *step, err error) {
	r.failWith(during, st.name+": "+kindOf(err), err)
}

func (r *runner) failWith(during, kind string, err error) {
	r.counts.errors.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{during, kind}
	e := r.errors[key]
	if e == nil {
		if len(r.errors) >= maxKinds {
			key[1] = "other"
			e = r.errors[key]
		}
		if e == nil {
			e = &ErrorCount{During: key[0], Kind: key[1], First: r.now().Seconds()}
			if err != nil {
				e.Detail = shorten(err.Error(), 300)
			}
			r.errors[key] = e
		}
	}
	e.Count++
}

func (r *runner) errorList() []ErrorCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]ErrorCount, 0, len(r.errors))
	for _, e := range r.errors {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.During, b.During), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

func (r *runner) snapshot() Counts {
	c := &r.counts
	return Counts{
		Clients: int64(r.plan.Clients), Connects: c.connects.Load(), Reconnects: c.reconnects.Load(),
		ConnectedMax: c.connectedMax.Load(), ConnectedEnd: c.connected.Load(), Disconnects: c.disconnects.Load(),
		Sent: c.sent.Load(), Acked: c.acked.Load(), Received: c.received.Load(), Expects: c.expects.Load(),
		Turns: c.turns.Load(), Lost: c.lost.Load(), Errors: c.errors.Load(), Late: c.late.Load(),
		Unfinished: c.unfinished.Load(),
	}
}

// sample closes a second, and a point of the plots when it is time for one.
func (r *runner) sample(now time.Duration, final bool) Sample {
	rolled := map[string]*Point{}
	for name, m := range r.meters {
		if p := m.roll(); p != nil {
			rolled[name] = p
		}
	}
	for _, m := range r.steps {
		m.roll()
	}
	counts, cpu := r.snapshot(), r.cpu.seconds()
	from := time.Duration(0)
	if n := len(r.samples); n > 0 {
		from = time.Duration(r.samples[n-1].At * float64(time.Second))
	}
	second := r.between(r.prev, now, r.last, counts, cpu-r.lastCPU)
	second.Latency = rolled
	if now-r.prev > 500*time.Millisecond { // what is shorter says little
		r.cpuMax = max(r.cpuMax, second.CPU)
	}
	r.prev, r.last, r.lastCPU = now, counts, cpu
	r.rss = max(r.rss, residentBytes())
	if r.ticks++; !final && r.ticks%r.every == 0 || final && (now-from > 200*time.Millisecond || len(r.samples) == 0) {
		s := r.between(from, now, r.cutFrom, counts, cpu-r.cutCPU)
		s.Latency = map[string]*Point{}
		for name, m := range r.meters {
			if p := m.cut(); p != nil {
				s.Latency[name] = p
			}
		}
		r.cutFrom, r.cutCPU = counts, cpu
		r.samples = append(r.samples, s)
	}
	return second
}

func (r *runner) between(from, to time.Duration, a, b Counts, cpu float64) Sample {
	seconds := max((to - from).Seconds(), 1e-3)
	per := func(x, y int64) float64 { return float64(y-x) / seconds }
	return Sample{
		At: to.Seconds(), Connected: b.ConnectedEnd,
		Connects: per(a.Connects+a.Reconnects, b.Connects+b.Reconnects), Sent: per(a.Sent, b.Sent),
		Received: per(a.Received, b.Received), Acked: per(a.Acked, b.Acked), Errors: per(a.Errors, b.Errors),
		CPU: 100 * cpu / seconds / float64(r.cores),
	}
}

func (r *runner) tell(o Observer, phase string, s *Sample) {
	if o == nil {
		return
	}
	p := Progress{
		Elapsed: r.now(), Total: r.plan.Ramp + r.plan.Duration, Phase: phase, Clients: r.plan.Clients, Counts: r.snapshot(),
		Errors: r.errorList(),
	}
	if s != nil {
		p.Now = *s
		for _, name := range r.plan.mains() {
			if r.meters[name].any() {
				p.Main = name
				break
			}
		}
	}
	o.Progress(p)
}

func (r *runner) result(interrupted bool) *Result {
	p := r.plan
	now := r.now()
	res := &Result{
		URL: p.URL, Started: r.start, Seconds: now.Seconds(), Ramp: min(p.Ramp, now).Seconds(), Interrupted: interrupted,
		Closed: p.measures() && !p.open(), Counts: r.snapshot(), Errors: r.errorList(), Series: r.samples,
		Latency: map[string]*Latency{}, Checks: []Verdict{}, Warnings: []string{}, Steps: []StepLatency{},
	}
	r.mu.Lock()
	res.Transports = maps.Clone(r.transports)
	r.mu.Unlock()
	for name, m := range r.meters {
		if l := m.sofar(); l != nil {
			res.Latency[name] = l
		}
	}
	for _, name := range p.mains() {
		if res.Latency[name] != nil {
			res.Main = name
			break
		}
	}
	for _, sc := range p.Scenarios {
		for i := range sc.steps {
			if m := r.steps[&sc.steps[i]]; m != nil {
				if l := m.sofar(); l != nil {
					res.Steps = append(res.Steps, StepLatency{sc.Name, sc.steps[i].title(), l})
				}
			}
		}
	}
	seconds := max(now.Seconds(), 1e-3)
	res.Rates = Rates{
		Connects: float64(res.Counts.Connects) / max(time.Duration(r.rampEnd.Load()).Seconds(), 1e-3), Sent: float64(res.Counts.Sent) / seconds,
		Received: float64(res.Counts.Received) / seconds, Acked: float64(res.Counts.Acked) / seconds,
	}
	cpu := r.cpu.seconds()
	res.Process = Process{
		CPU: 100 * cpu / seconds / float64(r.cores), CPUMax: r.cpuMax, Seconds: cpu, Cores: r.cores, RSS: r.rss,
		Goroutines: runtime.NumGoroutine(),
	}
	res.warn(p)
	return res
}

// title is what the step is called in tables.
func (st *step) title() string {
	if st.do == doExpect {
		return "expect " + st.name
	}
	return st.name + " → ack"
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// warn says what stands in the way of believing the numbers.
func (res *Result) warn(p *Plan) {
	add := func(format string, args ...any) { res.Warnings = append(res.Warnings, fmt.Sprintf(format, args...)) }
	pr, c := res.Process, res.Counts
	lag := res.Latency["lag"]
	switch {
	case pr.CPUMax > 85:
		add("This process was the bottleneck, at least for a while: it used %.0f%% of its %d cores in its busiest second. Latencies include its own queues; take fewer clients, or several machines.", pr.CPUMax, pr.Cores)
	case lag != nil && lag.P99 > 20:
		add("This machine was too busy to keep the schedule: one step in a hundred began more than %s late. Latencies include that.", formatMillis(lag.P99))
	}
	if c.ConnectedMax < c.Clients {
		add("Of %s clients at most %s were connected at the same time.", formatNumber(float64(c.Clients)), formatNumber(float64(c.ConnectedMax)))
	}
	if c.Unfinished > 0 {
		add("%s acknowledgements were still outstanding %s after the end. They are in no latency.", formatNumber(float64(c.Unfinished)), p.Grace)
	}
	if c.Late > c.Turns/20 && c.Turns > 0 {
		add("%s of %s turns began late because the one before took longer than its time. Latencies are measured from when they were due.", formatNumber(float64(c.Late)), formatNumber(float64(c.Turns)))
	}
}
