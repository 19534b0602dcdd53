package lab

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// kind is what a connection to the server is carrying at a moment.
type kind int32

const (
	kindGet    kind = iota // a poll, or a response that stays open: server → browser
	kindPost               // browser → server
	kindSocket             // a WebSocket, both ways
	kinds
)

func (k kind) String() string { return [...]string{"get", "post", "socket"}[k] }

// traffic counts what crossed the wire for one kind. Bytes are those of the TCP stream: request lines, headers, bodies, frames.
type traffic struct {
	requests, up, down atomic.Int64
}

// meteredConn is a connection to the server whose bytes are counted, and delayed by the trouble in force, each way.
// A connection carries one request at a time, so its bytes belong to the request that was given it last.
type meteredConn struct {
	net.Conn
	lane    *lane
	kind    atomic.Int32
	in, out *delayLine
	closing sync.Once
}

func meter(c net.Conn, l *lane) *meteredConn {
	m := &meteredConn{Conn: c, lane: l, in: newDelayLine(), out: newDelayLine()}
	go m.pumpIn()
	go m.pumpOut()
	return m
}

func (m *meteredConn) traffic() *traffic { return &m.lane.traffic[m.kind.Load()] }

// pumpIn reads ahead of the reader, noting when each piece arrived, so that a delay doesn't also limit the throughput.
func (m *meteredConn) pumpIn() {
	buf := make([]byte, 16<<10)
	for {
		n, err := m.Conn.Read(buf)
		m.traffic().down.Add(int64(n))
		if n > 0 && !m.in.put(buf[:n], m.lane.delay()) {
			return
		}
		if err != nil {
			m.in.end(err, m.lane.delay())
			return
		}
	}
}

func (m *meteredConn) pumpOut() {
	buf := make([]byte, 16<<10)
	for {
		n, err := m.out.get(buf)
		if err != nil {
			return
		}
		if _, err := m.Conn.Write(buf[:n]); err != nil {
			m.Close()
			return
		}
	}
}

func (m *meteredConn) Read(p []byte) (int, error) { return m.in.get(p) }

func (m *meteredConn) Write(p []byte) (int, error) {
	m.traffic().up.Add(int64(len(p)))
	if !m.out.put(p, m.lane.delay()) {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func (m *meteredConn) Close() error {
	err := net.ErrClosed
	m.closing.Do(func() {
		err = m.Conn.Close()
		m.in.close()
		m.out.close()
		m.lane.forget(m)
	})
	return err
}

// delayLineBytes bounds what a delay line holds; a writer waits when it is full.
const delayLineBytes = 256 << 10

// delayLine is a queue of bytes, each piece readable some time after it was put in, in order.
type delayLine struct {
	mu     sync.Mutex
	change sync.Cond
	pieces []piece
	bytes  int
	err    error // why the line ends, once due
	errDue time.Time
	closed bool
	timer  *time.Timer
}

type piece struct {
	data []byte
	due  time.Time
}

func newDelayLine() *delayLine {
	d := &delayLine{}
	d.change.L = &d.mu
	return d
}

// put appends a copy of p; false means that the line is closed.
func (d *delayLine) put(p []byte, delay time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.bytes > 0 && d.bytes+len(p) > delayLineBytes && !d.closed {
		d.change.Wait()
	}
	if d.closed {
		return false
	}
	d.pieces = append(d.pieces, piece{append([]byte(nil), p...), time.Now().Add(delay)})
	d.bytes += len(p)
	d.change.Broadcast()
	return true
}

// end makes get return err after what was put in.
func (d *delayLine) end(err error, delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.errDue = err, time.Now().Add(delay)
	d.change.Broadcast()
}

func (d *delayLine) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.pieces, d.bytes = nil, 0
	if d.timer != nil {
		d.timer.Stop()
	}
	d.change.Broadcast()
}

// get waits for the first piece that is due and copies from it.
func (d *delayLine) get(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		var due time.Time
		switch {
		case d.closed:
			return 0, net.ErrClosed
		case len(d.pieces) > 0:
			due = d.pieces[0].due
		case d.err != nil:
			due = d.errDue
		default:
			d.change.Wait()
			continue
		}
		if wait := time.Until(due); wait > 0 {
			d.wakeIn(wait)
			d.change.Wait()
			continue
		}
		if len(d.pieces) == 0 {
			return 0, d.err
		}
		first := &d.pieces[0]
		n := copy(p, first.data)
		d.bytes -= n
		if first.data = first.data[n:]; len(first.data) == 0 {
			d.pieces = d.pieces[1:]
		}
		d.change.Broadcast()
		return n, nil
	}
}

func (d *delayLine) wakeIn(wait time.Duration) {
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			d.change.Broadcast()
			d.mu.Unlock()
		})
		return
	}
	d.timer.Reset(wait)
}
