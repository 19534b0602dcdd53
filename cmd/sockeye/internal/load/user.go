package load

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/event"
)

// A session is a client's connection.
type session interface {
	Emit(name string, args ...any) error
	EmitWithAck(ctx context.Context, name string, args ...any) (*event.Ack, error)
	Transport() string
	Close()
}

// A listener is told what happens on a session. Calls of message come one at a time.
type listener interface {
	message(m *event.Message)
	lost(reason string, err error)
	back()
}

type state uint8

const (
	running  state = iota // a goroutine is in advance
	sleeping              // until the timer
	awaiting              // an event, or the timer
	resting               // its steps are over, it stays connected
	gone
)

// A user is one simulated client: a program counter, and what it has to remember until something wakes it.
type user struct {
	run   *runner
	sc    *Scenario
	id    int
	share *Share // how it connects

	mu      sync.Mutex
	state   state
	conn    session
	up      bool // the connection is there, and counted
	again   bool // it has been connected before
	timer   *time.Timer
	pc      int
	due     time.Duration // of what comes next
	asked   time.Duration // when the last emit of the turn was due, from which an expected event is measured; or never
	turns   []turn        // of the loops around pc
	backlog []arrival     // events that a step to come expects
	got     *arrival      // what ended the awaiting, nil if the time did
	waited  bool          // the awaiting of the step at pc has ended, or has begun
	wake    time.Duration // when the timer is due: a firing before that is one that was stopped too late
	early   *loss         // of a connection that was lost while it was being made
	saved   map[string]jsontext.Value
}

// never is no time.
const never = time.Duration(-1)

type loss struct {
	reason string
	err    error
}

type turn struct {
	start time.Duration
	due   time.Duration // of this turn
	n     int
}

type arrival struct {
	m  *event.Message
	at time.Duration
}

// maxBacklog bounds what a client keeps of events that it will want later. It is for the few that overtake an
// acknowledgement, not for a flood.
const maxBacklog = 64

// maxStamped is in how many arguments of an event a stamp is looked for.
const maxStamped = 4

// scope is what the variables of the next step are.
func (u *user) scope() scope {
	s := u.matching()
	s.due = u.due
	return s
}

// matching is a scope without the time. It may be called with mu held, too: what it reads is changed with mu held.
func (u *user) matching() scope {
	s := scope{run: u.run.id, client: u.id, saved: u.saved}
	if len(u.turns) > 0 {
		s.n = u.turns[len(u.turns)-1].n
	}
	if users := u.run.plan.Users; len(users) > 0 {
		s.user = users[u.id%len(users)]
	}
	return s
}

// jump sets what step comes next.
func (u *user) jump(pc int) {
	u.mu.Lock()
	u.pc = pc
	u.mu.Unlock()
}

// advance takes steps until one has to wait. It runs on a goroutine of its own, at most one for each user.
func (u *user) advance() {
	for u.step() {
	}
}

// step takes one step and reports whether another can follow at once.
func (u *user) step() bool {
	r := u.run
	if r.stopping.Load() || u.pc >= len(u.sc.steps) {
		return u.rest(resting)
	}
	if u.is(gone) {
		return u.rest(gone)
	}
	st := &u.sc.steps[u.pc]
	var ok bool
	switch st.do {
	case doConnect:
		ok = u.connect()
	case doDisconnect:
		u.disconnect()
		ok = true
		u.due = r.now()
	case doEmit:
		ok = u.emit(st)
	case doExpect:
		if !u.waited && !u.await(st) {
			return false
		}
		ok = u.expected(st)
	case doThink:
		d := st.from
		if st.to > st.from {
			d += mathrand.N(st.to - st.from + 1)
		}
		u.jump(u.pc + 1)
		return u.sleep(r.now() + d)
	case doLoop:
		return u.begin(st)
	case doNext:
		u.turned(st)
		u.jump(st.other)
		return true
	}
	if ok {
		u.jump(u.pc + 1)
		return true
	}
	return u.failed()
}

// begin begins a turn of a loop, or leaves the loop.
func (u *user) begin(st *step) bool {
	now := u.run.now()
	u.mu.Lock()
	if len(u.turns) < st.depth {
		t := turn{start: now}
		if st.every > 0 && !st.together {
			t.start += mathrand.N(st.every)
		}
		u.turns = append(u.turns, t)
	} else {
		u.turns[st.depth-1].n++
	}
	t := &u.turns[st.depth-1]
	if st.times > 0 && t.n >= st.times {
		u.turns = u.turns[:st.depth-1]
		u.pc, u.due = st.other+1, now
		u.mu.Unlock()
		return true
	}
	t.due = now
	if st.every > 0 {
		t.due = t.start + time.Duration(t.n)*st.every
		if t.n > 0 && t.due < now-time.Millisecond {
			u.run.counts.late.Add(1)
		}
	}
	due := t.due
	u.due, u.asked = due, never
	u.backlog = nil
	u.pc++
	u.mu.Unlock()
	if due > now {
		return u.sleep(due)
	}
	return true
}

func (u *user) turned(st *step) {
	u.run.counts.turns.Add(1)
	u.run.meters["turn"].record(u.run.now() - u.turns[st.depth-1].due)
}

// failed goes on after a step that failed: with the next turn of the innermost loop, so that one failure is not followed
// by those of all the steps that built on it. Outside of loops a client without a connection is through, unless it is to
// connect again, and one with a connection does nothing more.
func (u *user) failed() bool {
	if u.is(gone) {
		return u.rest(gone)
	}
	if n := len(u.turns); n > 0 {
		for i := u.pc; i < len(u.sc.steps); i++ {
			if st := &u.sc.steps[i]; st.do == doNext && st.depth == n {
				u.jump(st.other)
				break
			}
		}
		if u.sc.steps[u.pc].every == 0 {
			return u.sleep(u.run.now() + time.Second) // a loop without a schedule must not spin on its errors
		}
		return true
	}
	u.mu.Lock()
	up := u.up
	u.mu.Unlock()
	if up {
		return u.rest(resting)
	}
	if u.run.plan.Reconnect && u.sc.steps[u.pc].do == doConnect {
		return u.sleep(u.run.now() + time.Second + mathrand.N(4*time.Second))
	}
	return u.rest(gone)
}

func (u *user) is(s state) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state == s
}

// rest ends the steps.
func (u *user) rest(s state) bool {
	u.mu.Lock()
	if u.state == gone {
		s = gone
	}
	if u.conn == nil && !u.run.stopping.Load() {
		s = gone // the steps are over, and so is the connection
	}
	u.state = s
	u.mu.Unlock()
	if s == gone {
		u.disconnect()
		u.run.finished()
	}
	u.run.leave()
	return false
}

// sleep lets the timer go on at a time.
func (u *user) sleep(until time.Duration) bool {
	u.mu.Lock()
	if u.state == gone {
		u.mu.Unlock()
		return u.rest(gone)
	}
	u.state = sleeping
	u.due = until
	u.arm(until)
	u.mu.Unlock()
	u.run.leave()
	return false
}

// arm sets the timer, with mu held.
func (u *user) arm(at time.Duration) {
	u.wake = at
	d := at - u.run.now()
	if u.timer == nil {
		u.timer = time.AfterFunc(d, u.fired)
	} else {
		u.timer.Reset(d)
	}
}

func (u *user) fired() {
	u.mu.Lock()
	now := u.run.now()
	switch {
	case now < u.wake:
		u.mu.Unlock()
		return
	case u.state == sleeping:
		u.run.meters["lag"].record(now - u.wake)
		u.run.enter()
	case u.state == awaiting:
	default:
		u.mu.Unlock()
		return // what it was for has come
	}
	u.state = running
	u.mu.Unlock()
	u.advance()
}

func (u *user) connect() bool {
	u.mu.Lock()
	already := u.conn != nil
	u.mu.Unlock()
	if already {
		return true
	}
	r := u.run
	select {
	case r.slots <- struct{}{}:
	case <-r.ctx.Done():
		return false
	}
	s := u.scope()
	conn, err := r.dial(r.ctx, u, &s)
	<-r.slots
	now := r.now()
	if err != nil {
		if r.ctx.Err() == nil {
			r.fail("connect", err)
		}
		return false
	}
	u.mu.Lock()
	u.conn = conn
	u.rise()
	first := !u.again
	u.again = true
	early := u.early
	u.early = nil
	u.mu.Unlock()
	r.connected(conn.Transport(), first)
	r.meters["connect"].record(now - u.due)
	u.due, u.asked = now, now
	if early != nil {
		u.lost(early.reason, early.err)
		return false
	}
	return true
}

// rise counts the connection, with mu held.
func (u *user) rise() {
	if !u.up {
		u.up = true
		u.run.rise()
	}
}

func (u *user) disconnect() {
	u.mu.Lock()
	u.early = nil
	conn := u.conn
	u.conn = nil
	if u.up {
		u.up = false
		u.run.counts.connected.Add(-1)
	}
	u.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (u *user) emit(st *step) bool {
	r := u.run
	u.mu.Lock()
	conn := u.conn
	u.mu.Unlock()
	s := u.scope()
	u.asked = u.due
	due := u.due
	if conn == nil {
		r.fail("emit", errNotConnected)
		return false
	}
	name := st.event.string(&s)
	args := make([]any, len(st.args))
	for i, a := range st.args {
		if a.json != nil {
			args[i] = a.json.value(&s)
		} else {
			args[i] = a.binary
		}
	}
	if !st.ack {
		if err := conn.Emit(name, args...); err != nil {
			r.failStep("emit", st, err)
			return false
		}
		r.counts.sent.Add(1)
		u.due = r.now()
		return true
	}
	ctx, cancel := context.WithTimeout(r.ctx, st.timeout)
	begun := r.now()
	r.counts.sent.Add(1)
	r.counts.unfinished.Add(1)
	ack, err := conn.EmitWithAck(ctx, name, args...)
	now := r.now()
	cancel()
	if r.ctx.Err() != nil {
		return false // it had until the end, and could still have come
	}
	r.counts.unfinished.Add(-1)
	if err != nil {
		r.counts.lost.Add(1)
		r.failStep("ack", st, err)
		return false
	}
	r.counts.acked.Add(1)
	u.due = now
	r.meters["ack"].record(now - due)
	r.meters["service"].record(now - begun)
	r.steps[st].record(now - due)
	if err := ack.Err(); err != nil {
		r.failStep("server", st, err)
		return false
	}
	if !matchArguments(st.match, ack, &s) {
		r.failStep("ack", st, errMismatch)
		return false
	}
	return u.save(st, ack)
}

func (u *user) save(st *step, args arguments) bool {
	for _, p := range st.save {
		v := p.from(args)
		if v == nil {
			u.run.failStep("expect", st, fmt.Errorf("there is nothing at %s to save", p.pointer))
			return false
		}
		u.mu.Lock()
		if u.saved == nil {
			u.saved = map[string]jsontext.Value{}
		}
		u.saved[p.name] = v
		u.mu.Unlock()
	}
	return true
}

// await reports whether an event that the step expects is here already, or can't come. If not, message or the timer go on.
func (u *user) await(st *step) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waited, u.got = true, nil
	s := u.matching()
	for i, a := range u.backlog {
		if a.m.Event() == st.await && matchArguments(st.match, a.m, &s) {
			u.backlog = append(u.backlog[:i:i], u.backlog[i+1:]...)
			u.got = &a
			return true
		}
	}
	if u.state == gone || u.conn == nil {
		return true
	}
	u.state = awaiting
	u.arm(u.run.now() + st.timeout)
	return false
}

// expected ends a step that waited.
func (u *user) expected(st *step) bool {
	u.mu.Lock()
	got := u.got
	u.got, u.waited = nil, false
	u.mu.Unlock()
	r := u.run
	r.counts.expects.Add(1)
	if got == nil {
		r.counts.lost.Add(1)
		r.failStep("expect", st, errNotSeen)
		return false
	}
	if u.asked != never {
		latency := max(got.at-u.asked, 0)
		r.meters["expect"].record(latency)
		r.steps[st].record(latency)
	}
	u.due = r.now()
	return u.save(st, got.m)
}

// message implements listener.
func (u *user) message(m *event.Message) {
	r := u.run
	at := r.now()
	r.counts.received.Add(1)
	if r.stamps {
		for i := range min(m.Len(), maxStamped) {
			if due, ok := findStamp(m.Raw(i), r.id); ok {
				r.meters["delivery"].record(at - due)
				break
			}
		}
	}
	steps := u.sc.expected[m.Event()]
	if len(steps) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.matching()
	if u.state == awaiting {
		if st := &u.sc.steps[u.pc]; st.await == m.Event() && matchArguments(st.match, m, &s) {
			u.got = &arrival{m, at}
			u.wakeUp()
			return
		}
	}
	for _, st := range steps {
		// An expectation with something saved in it can be judged only when it is there.
		if saved := slices.ContainsFunc(st.match, func(m *matcher) bool { return m.saved }); st.at > u.pc ||
			st.at == u.pc && u.state == running {
			if saved || matchArguments(st.match, m, &s) {
				if len(u.backlog) == maxBacklog {
					u.backlog = append(u.backlog[:0:0], u.backlog[1:]...)
				}
				u.backlog = append(u.backlog, arrival{m, at})
				return
			}
		}
	}
}

// wakeUp goes on after awaiting, with mu held.
func (u *user) wakeUp() {
	u.timer.Stop()
	u.state = running
	go u.advance()
}

// lost implements listener.
func (u *user) lost(reason string, err error) {
	r := u.run
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn == nil {
		u.early = &loss{reason, err}
		return
	}
	if !u.up {
		return
	}
	u.up = false
	r.counts.connected.Add(-1)
	if r.ctx.Err() != nil || r.closing.Load() {
		return
	}
	r.counts.disconnects.Add(1)
	r.failWith("disconnect", reason, err)
	if r.plan.Reconnect {
		return // the client does, and the steps go on meanwhile, failing
	}
	conn := u.conn
	u.conn = nil
	go conn.Close() // not here: Close waits for the goroutine that calls this
	if u.sc.revives() {
		if u.state == awaiting {
			u.wakeUp()
		}
		return
	}
	was := u.state
	u.state = gone
	switch was {
	case sleeping, resting:
		if u.timer != nil {
			u.timer.Stop()
		}
		r.finished()
	case awaiting:
		r.counts.expects.Add(1)
		r.counts.lost.Add(1)
		u.timer.Stop()
		go u.advance()
	case running, gone:
	}
}

// back implements listener.
func (u *user) back() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn != nil && !u.up {
		u.rise()
		u.run.counts.reconnects.Add(1)
	}
}

// revives reports whether a client connects again by itself in a later turn of a loop.
func (sc *Scenario) revives() bool {
	depth := 0
	for i := range sc.steps {
		switch sc.steps[i].do {
		case doLoop:
			depth++
		case doNext:
			depth--
		case doConnect:
			if depth > 0 {
				return true
			}
		}
	}
	return false
}
