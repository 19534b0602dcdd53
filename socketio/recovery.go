package socketio

import (
	"container/list"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// Connection state recovery.
//
// Every session has a log of what was sent to it, in the order in which it was sent: references to packets that all
// recipients share. An event carries an offset, which is only a name: the client says which event it received last,
// and everything behind that one in the log of its own session is what it missed, whether it was on its way when the
// connection broke or was sent while there was none. No order between sessions is needed, so emitting to different
// rooms never waits for one another.
//
// While the client is away its member stays in its rooms and its log grows. What is older than the heartbeat can
// leave unnoticed has been received, and is dropped from the log.

// Offsets count up from the time at which the namespace was made, so that those of an earlier process are smaller.
var offsetEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func firstOffset() uint64 { return uint64(max(time.Since(offsetEpoch).Microseconds(), 1e13)) }

func formatOffset(id uint64) string { return strconv.FormatUint(id, 36) }

func parseOffset(s string) (uint64, bool) {
	if len(s) < 9 || len(s) > 12 { // no offset of firstOffset or later
		return 0, false
	}
	id, err := strconv.ParseUint(s, 36, 64)
	return id, err == nil
}

// logged is an event as the logs of its recipients keep it.
type logged struct {
	id   uint64 // its offset
	at   time.Time
	ms   []*engineio.Message // nil for a volatile event: it is never sent again
	size int

	// With a log for all servers:
	mark  *mark                          // its offset
	inLog bool                           // it is an entry
	again func(*mark) (*delivery, error) // encodes it with another offset, if it is not
}

// entryOverhead is what an entry takes for each recipient, besides the shared messages.
const entryOverhead = 16

// An eventLog is what a session may have to send again. It is guarded by its member.
type eventLog struct {
	pid     string // with which the client claims the session
	entries []*logged
	bytes   int
	start   uint64    // the last offset given before the session began
	base    uint64    // the offset of the last entry dropped, 0 if there is none
	pinned  bool      // a client is coming back: nothing may be dropped
	resent  time.Time // when the client came back last, and got all that was there
	data    any       // of the socket, while the client is away
	repeats *repeats  // of the sockets before
	place   *list.Element
	shared  *shared // if there is a log for all servers, in place of what is above except pid and repeats
}

// push adds an entry. If the client is there, away is false, what it has surely received makes room.
func (l *eventLog) push(e *logged, away bool, store *sessionStore) {
	if !l.pinned {
		n := max(len(l.entries)-store.maxPackets+1, 0)
		if !away {
			n = max(n, l.received(e.at, store))
		}
		l.drop(n, store)
	}
	l.entries = append(l.entries, e)
	l.bytes += e.size + entryOverhead
	store.bytes.Add(int64(e.size + entryOverhead))
}

// received returns how many entries a client that is there has surely received.
func (l *eventLog) received(now time.Time, store *sessionStore) int {
	if now.Sub(l.resent) <= store.window {
		return 0
	}
	n := 0
	for n < len(l.entries) && now.Sub(l.entries[n].at) > store.window {
		n++
	}
	return n
}

// drop forgets the oldest n entries.
func (l *eventLog) drop(n int, store *sessionStore) {
	if n <= 0 {
		return
	}
	freed := 0
	for _, e := range l.entries[:n] {
		freed += e.size + entryOverhead
	}
	l.base = l.entries[n-1].id
	clear(l.entries[:n])
	l.entries = l.entries[n:] // append moves the rest when it has to, which is seldom
	if len(l.entries) == 0 {
		l.entries = nil
	}
	l.bytes -= freed
	store.bytes.Add(-int64(freed))
}

// since returns how many entries a client has received that names the offset as its last one. It reports false if the
// log can't tell.
func (l *eventLog) since(offset string) (received int, ok bool) {
	nothing := l.base == 0 // was dropped: the log begins where the session did
	if offset == "" {
		return 0, nothing
	}
	id, ok := parseOffset(offset)
	if !ok {
		return 0, false
	}
	for i := len(l.entries) - 1; i >= 0; i-- {
		if l.entries[i].id == id {
			return i + 1, true
		}
	}
	// Stock clients keep the offset of the session before, until they receive the first event of this one.
	return 0, id == l.base || (nothing && id <= l.start)
}

// resume returns what to send to a client that has come back.
func (l *eventLog) resume() []*logged {
	l.pinned = false
	l.resent = time.Now()
	return l.entries
}

// A sessionStore keeps the sessions of a server whose clients are away.
type sessionStore struct {
	server     *Server
	keep       time.Duration
	window     time.Duration // after which an event has surely been received, or the connection found dead
	maxPackets int
	bytes      atomic.Int64 // in all logs

	timed  atomic.Bool // the timer is set
	mu     sync.Mutex
	live   map[string]*member // whose clients are connected
	away   map[string]*member // whose clients may come back
	taken  map[string]taking  // who have come back, and are not connected yet
	oldest list.List          // of *awaySession
	timer  *time.Timer
	closed bool
}

// A taking is a session on its way from away to live, or back.
type taking struct {
	m    *member
	done chan struct{} // closed when it has arrived
}

type awaySession struct {
	m       *member
	expires time.Time
}

func newSessionStore(srv *Server) *sessionStore {
	o := srv.opts
	interval, timeout := o.Engine.PingInterval, o.Engine.PingTimeout
	if interval == 0 {
		interval = 25 * time.Second
	}
	if timeout == 0 {
		timeout = 20 * time.Second
	}
	return &sessionStore{
		server: srv,
		keep:   o.Recovery.MaxDisconnection,
		// The last pong came at most interval+2*timeout ago, its ping was sent at most timeout before that, and
		// everything sent before that ping was received before it.
		window:     interval + 3*timeout,
		maxPackets: o.Recovery.MaxPackets,
		live:       make(map[string]*member),
		away:       make(map[string]*member),
		taken:      make(map[string]taking),
	}
}

// suspend keeps the session of a member whose client has gone. m.mu is held.
func (st *sessionStore) suspend(m *member, data any) bool {
	m.log.data = data
	return st.put(m)
}

func (st *sessionStore) put(m *member) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed || len(st.away) >= st.server.opts.Recovery.MaxSessions {
		return false
	}
	delete(st.live, m.log.pid)
	st.arrived(m)
	st.away[m.log.pid] = m
	m.log.place = st.oldest.PushBack(&awaySession{m, time.Now().Add(st.keep)})
	st.arm(st.keep)
	return true
}

// arm sets the timer unless it is set. st.mu is held.
func (st *sessionStore) arm(d time.Duration) {
	if st.timer == nil && !st.closed {
		st.timer = time.AfterFunc(min(d, st.window), st.sweep)
		st.timed.Store(true)
	}
}

// putBack returns a session that was taken and not used.
func (st *sessionStore) putBack(m *member) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log.pinned = false
	m.holds = !m.gone && st.put(m)
	return m.holds
}

// take hands out a session of the namespace, to one caller only. To others it returns a channel that is closed when
// that one has connected, or has not.
func (st *sessionStore) take(ns *Namespace, pid string) (*member, <-chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if t, ok := st.taken[pid]; ok && t.m.ns == ns {
		return nil, t.done
	}
	m := st.away[pid]
	if m == nil || m.ns != ns {
		return nil, nil
	}
	st.removeLocked(m)
	st.taken[pid] = taking{m, make(chan struct{})}
	return m, nil
}

// arrived lets others have a session that was taken. st.mu is held.
func (st *sessionStore) arrived(m *member) {
	if t, ok := st.taken[m.log.pid]; ok && t.m == m {
		delete(st.taken, m.log.pid)
		close(t.done)
	}
}

// enter notes that a member's client is connected.
func (st *sessionStore) enter(m *member) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.arrived(m)
	if !st.closed {
		st.live[m.log.pid] = m
	}
}

// exit forgets a member that is gone for ever.
func (st *sessionStore) exit(m *member) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.arrived(m)
	if st.live[m.log.pid] == m {
		delete(st.live, m.log.pid)
	}
}

// probeTime is how long a connection has to prove that it is alive when another one claims its session.
const probeTime = 2 * time.Second

var errReplaced = errors.New("socketio: client came back on another connection")

// claim hands out the session that a client has come back to, to one caller only.
func (st *sessionStore) claim(ns *Namespace, pid string) *member {
	for {
		m, taken := st.take(ns, pid)
		switch {
		case m != nil:
			return m
		case taken != nil:
			// Another connection has it. If that one is dead too, its client having tried again while the server was
			// still probing, the session is for this one.
			<-taken
		case !st.evict(ns, pid):
			return nil
		}
	}
}

// evict makes a session available whose connection is dead, though nobody has noticed yet: the client changed networks,
// or its proxy died. A connection that is alive keeps its session, whoever else knows the pid. It reports whether it is
// worth to try again.
func (st *sessionStore) evict(ns *Namespace, pid string) bool {
	st.mu.Lock()
	m := st.live[pid]
	_, taken := st.taken[pid]
	away := st.away[pid]
	st.mu.Unlock()
	if m == nil || m.ns != ns {
		return taken || away != nil && away.ns == ns // since we looked
	}
	if s := m.sock.Load(); s.conn != nil { // else it has ended this moment
		if s.conn.session.Probe(probeTime) {
			return false
		}
		s.close(ReasonTransportClose, errReplaced)
		s.conn.session.Abort()
	}
	m.mu.Lock() // waits for another goroutine that may be closing the socket
	defer m.mu.Unlock()
	return true
}

// endIfAway ends a session whose client is away, or is about to come back. It reports whether it was so.
func (m *member) endIfAway() bool {
	st := m.ns.server.store
	st.mu.Lock()
	if st.away[m.log.pid] == m {
		st.removeLocked(m)
	}
	st.mu.Unlock()
	m.mu.Lock()
	away := m.away
	release := away && m.removeLocked()
	m.mu.Unlock()
	m.ns.index.events.drain()
	if release {
		m.ns.release()
	}
	return away
}

func (st *sessionStore) removeLocked(m *member) {
	delete(st.away, m.log.pid)
	st.oldest.Remove(m.log.place)
}

// popOldest removes the session that is away longest, if its time has come, or at once if forced.
func (st *sessionStore) popOldest(now time.Time, forced bool) *member {
	st.mu.Lock()
	defer st.mu.Unlock()
	front := st.oldest.Front()
	if front == nil {
		return nil
	}
	a := front.Value.(*awaySession)
	if !forced && a.expires.After(now) {
		return nil
	}
	st.removeLocked(a.m)
	return a.m
}

// sweep ends the sessions whose time has come, and drops from the logs of the others what is surely received.
func (st *sessionStore) sweep() {
	now := time.Now()
	for m := st.popOldest(now, false); m != nil; m = st.popOldest(now, false) {
		m.remove()
	}
	st.trimAll(func(m *member) int {
		if m.away {
			return 0
		}
		return m.log.received(now, st)
	})
	st.mu.Lock()
	defer st.mu.Unlock()
	st.timer = nil
	st.timed.Store(false)
	if front := st.oldest.Front(); front != nil {
		st.arm(front.Value.(*awaySession).expires.Sub(now))
	} else if st.bytes.Load() > 0 {
		st.arm(st.window)
	}
}

// trimAll drops as many entries of each log as count says.
func (st *sessionStore) trimAll(count func(*member) int) {
	for _, ns := range st.server.allNamespaces() {
		ns.mu.RLock()
		members := slices.Clone(ns.members)
		ns.mu.RUnlock()
		for _, m := range members {
			m.mu.Lock()
			if !m.gone && !m.log.pinned {
				m.log.drop(count(m), st)
			}
			m.mu.Unlock()
		}
	}
}

// enforce keeps the store within its limit, after something was added.
func (st *sessionStore) enforce() {
	limit := int64(st.server.opts.Recovery.MaxBytes)
	if st.bytes.Load() <= limit {
		st.ensureTimer()
		return
	}
	for st.bytes.Load() > limit {
		m := st.popOldest(time.Time{}, true)
		if m == nil {
			break
		}
		m.remove()
	}
	if st.bytes.Load() > limit {
		st.trimAll(func(m *member) int { return (len(m.log.entries) + 1) / 2 })
	}
}

// ensureTimer sees to it that logs are swept one day.
func (st *sessionStore) ensureTimer() {
	if st.timed.Load() {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.arm(st.window)
}

func (st *sessionStore) close() {
	st.mu.Lock()
	st.closed = true
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
	st.mu.Unlock()
	for m := st.popOldest(time.Time{}, true); m != nil; m = st.popOldest(time.Time{}, true) {
		m.remove()
	}
}

// recoverSession gives a new socket the session that its client asks for, if it is there.
func (ns *Namespace) recoverSession(s *Socket) bool {
	st := ns.server.store
	if st == nil || len(s.auth) == 0 {
		return false
	}
	var claim struct {
		PID    any `json:"pid"`
		Offset any `json:"offset"`
	}
	if packet.Unmarshal(s.auth, nil, &claim) != nil {
		return false
	}
	pid, ok := claim.PID.(string)
	offset, isString := claim.Offset.(string)
	if !ok || (!isString && claim.Offset != nil) {
		return false
	}
	if c := ns.cluster.Load(); c != nil {
		return c.resume(s, pid, offset)
	}
	m := st.claim(ns, pid)
	if m == nil {
		return false
	}
	there := !s.conn.hasEnded()
	m.mu.Lock()
	n, ok := m.log.since(offset)
	if !ok || m.gone || !there {
		// This may be an attempt that the client has long given up, with an offset that is history for the attempt after
		// it: it must not end the session.
		kept := !m.gone && st.put(m)
		m.mu.Unlock()
		if !kept {
			m.remove()
		}
		return false
	}
	m.log.drop(n, st)
	m.log.pinned = true
	m.holds = false // the new socket does
	data := m.log.data
	m.mu.Unlock()
	ns.release()
	s.m, s.recovered = m, true
	s.data = data
	return true
}
