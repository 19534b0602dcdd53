package proxy

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is a way in which connections end, or don't.
type Fault int

const (
	Reset  Fault = iota // both sides get an RST; what was on its way is lost
	Close               // both sides get a FIN after what was passed on so far
	Silent              // nothing is taken or arrives any more, in either direction, and nobody is told
	Deaf                // the same, but only towards the server
	faults
)

func (f Fault) String() string {
	return [...]string{"reset", "close", "silent", "deaf"}[f]
}

// RandomFault picks one.
func RandomFault(r *rand.Rand) Fault { return Fault(r.IntN(int(faults))) }

// Line carries TCP connections to a server, byte by byte, and cuts them: after a number of bytes, which may be in the
// middle of a frame, a record or a header. New connections are always accepted.
type Line struct {
	target string
	ln     net.Listener
	open   sync.WaitGroup

	mu    sync.Mutex
	wires map[*wire]struct{}
	armed *cut
	down  chan struct{} // closed at the end
}

// cut is a fault that is to happen once more bytes have passed.
type cut struct {
	fault Fault
	bytes int
	done  chan struct{}
}

// wire is one connection: its client's side and its server's. Silenced is guarded by the line's mutex.
type wire struct {
	client, server *net.TCPConn
	silenced       [2]bool // to the client, to the server
}

// StartLine starts a line on a free port to the server at target (host:port) and ends it with the test.
func StartLine(t testing.TB, target string) *Line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{target: target, ln: ln, wires: map[*wire]struct{}{}, down: make(chan struct{})}
	l.open.Go(l.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		l.mu.Lock()
		close(l.down)
		for w := range l.wires {
			w.close()
		}
		l.mu.Unlock()
		l.open.Wait()
	})
	return l
}

// Addr returns host:port of the line.
func (l *Line) Addr() string { return l.ln.Addr().String() }

// URL returns the base URL without a trailing slash.
func (l *Line) URL() string { return "http://" + l.Addr() }

// Cut lets the fault happen to every connection there is once so many more bytes have passed, in both directions
// together. The returned channel is closed when it has happened. There is one cut at a time.
func (l *Line) Cut(f Fault, bytes int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed != nil {
		panic("proxy: a cut is due already")
	}
	c := &cut{fault: f, bytes: bytes, done: make(chan struct{})}
	l.armed = c
	if bytes <= 0 {
		l.strike()
	}
	return c.done
}

// strike carries out the cut that is due. l.mu is held.
func (l *Line) strike() {
	c := l.armed
	l.armed = nil
	for w := range l.wires {
		switch c.fault {
		case Reset:
			_ = w.client.SetLinger(0)
			_ = w.server.SetLinger(0)
			w.close()
		case Close:
			w.close()
		case Silent:
			w.silenced = [2]bool{true, true}
		case Deaf:
			w.silenced[1] = true
		}
	}
	close(c.done)
}

func (l *Line) accept() {
	for {
		inner, err := l.ln.Accept()
		if err != nil {
			return
		}
		l.open.Go(func() { l.carry(inner.(*net.TCPConn)) })
	}
}

func (l *Line) carry(client *net.TCPConn) {
	inner, err := net.DialTimeout("tcp", l.target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	w := &wire{client: client, server: inner.(*net.TCPConn)}
	l.mu.Lock()
	select {
	case <-l.down:
		l.mu.Unlock()
		w.close()
		return
	default:
	}
	l.wires[w] = struct{}{}
	l.mu.Unlock()
	back := make(chan struct{})
	go func() {
		defer close(back)
		l.copy(w, w.client, w.server, 0)
	}()
	l.copy(w, w.server, w.client, 1)
	<-back
	w.close()
	l.mu.Lock()
	delete(l.wires, w)
	l.mu.Unlock()
}

// forgotten is how long a silent wire is kept, which is longer than anybody should take to find out.
const forgotten = 20 * time.Second

// copy carries one direction. When its source ends so does the wire, unless this direction is silent: then nothing is
// read any more, and the other side is left to find out by itself.
func (l *Line) copy(w *wire, dst, src *net.TCPConn, direction int) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := src.Read(buffer)
		silent, failed := l.pass(w, dst, buffer[:n], direction)
		if silent {
			select {
			case <-time.After(forgotten):
			case <-l.down:
			}
		}
		if silent || failed || err != nil {
			w.close()
			return
		}
	}
}

// pass writes what may still pass, and lets the cut happen that falls due with it.
func (l *Line) pass(w *wire, dst *net.TCPConn, data []byte, direction int) (silent, failed bool) {
	for {
		l.mu.Lock()
		if w.silenced[direction] || len(data) == 0 {
			defer l.mu.Unlock()
			return w.silenced[direction], false
		}
		n := len(data)
		c := l.armed
		if c != nil && n >= c.bytes {
			n = c.bytes
			// What passes before the cut is written under the lock: nobody else's bytes come in between. The peer
			// may not read, but a socket's buffer takes more than one of ours.
			_ = dst.SetWriteDeadline(time.Now().Add(time.Second))
			_, err := dst.Write(data[:n])
			l.strike()
			l.mu.Unlock()
			if err != nil {
				return false, true
			}
			_ = dst.SetWriteDeadline(time.Time{})
			data = data[n:]
			continue
		}
		if c != nil {
			c.bytes -= n
		}
		l.mu.Unlock()
		if _, err := dst.Write(data[:n]); err != nil {
			return false, true
		}
		data = data[n:]
	}
}

func (w *wire) close() {
	_ = w.client.Close()
	_ = w.server.Close()
}
