package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how much one direction of a connection holds before its writer
// has to wait: what a socket of an idle system begins with, about.
const bufferSize = 64 << 10

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	changed sync.Cond

	buf    []byte // written and not read yet
	ended  bool   // the writing end is closed; what is in buf comes first
	left   bool   // the reading end is closed
	broken error  // the connection is cut
	frozen bool   // nothing arrives, not even an end

	// By who owns the end.
	readClosed, writeClosed     bool // by Close
	readDeadline, writeDeadline deadline
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	return s
}

// deadline is a time at which waiting ends.
type deadline struct {
	timer  *time.Timer
	passed bool
}

// set replaces the deadline; the zero time is none. s.mu is held.
func (d *deadline) set(s *stream, at time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	if !at.IsZero() {
		if left := time.Until(at); left <= 0 {
			d.passed = true
		} else {
			var timer *time.Timer
			timer = time.AfterFunc(left, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if d.timer == timer { // it has not been replaced while this began
					d.passed = true
					s.changed.Broadcast()
				}
			})
			d.timer = timer
		}
	}
	s.changed.Broadcast()
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readClosed:
			return 0, net.ErrClosed
		case s.readDeadline.passed:
			return 0, os.ErrDeadlineExceeded
		case s.broken != nil:
			return 0, s.broken
		case len(p) == 0:
			return 0, nil
		case len(s.buf) > 0 && !s.frozen:
			n := copy(p, s.buf)
			s.buf = s.buf[:copy(s.buf, s.buf[n:])]
			if len(s.buf) == 0 {
				s.buf = nil // an idle connection holds no buffer
			}
			s.changed.Broadcast()
			return n, nil
		case s.ended && !s.frozen:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.writeClosed:
			return written, net.ErrClosed
		case s.ended:
			return written, syscall.EPIPE
		case s.writeDeadline.passed:
			return written, os.ErrDeadlineExceeded
		case s.broken != nil:
			return written, s.broken
		case s.left && !s.frozen:
			return written, syscall.EPIPE
		}
		if room := bufferSize - len(s.buf); room > 0 && len(p) > 0 {
			n := min(room, len(p))
			s.buf = append(s.buf, p[:n]...)
			p = p[n:]
			written += n
			s.changed.Broadcast()
		}
		if len(p) == 0 {
			return written, nil
		}
		s.changed.Wait()
	}
}

// do changes the stream and wakes who waits.
func (s *stream) do(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}

// cut breaks the stream: what is on its way is lost.
func (s *stream) cut(err error) {
	s.do(func() {
		if s.broken == nil {
			s.broken, s.buf, s.frozen = err, nil, false
		}
	})
}
