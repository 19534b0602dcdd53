package sockeyetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest/internal/memnet"
)

// close ends the server with the test, and complains of what does not end. The clients have been closed before.
func (s *Server) close() {
	defer func() {
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
	}()
	s.each(func(l *memnet.Link) { l.SetDown(true); l.Thaw() })
	for _, b := range s.backends {
		_ = b.http.Close() // the listener's error, which has none
		<-b.served
	}
	for _, b := range s.backends {
		for _, io := range b.servers {
			s.shutdown(io)
		}
	}
	s.awaitEnd()
}

// shutdown closes a Socket.IO server and waits for its handlers.
func (s *Server) shutdown(io *socketio.Server) {
	// Connections are gone already, but polling does not notice.
	io.Engine().All(func(session *engineio.Session) bool { session.Abort(); return true })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.AfterFunc(s.Patience, cancel)
	defer timer.Stop()
	if err := io.Shutdown(ctx); err != nil && !errors.Is(err, socketio.ErrServerClosed) {
		s.t.Errorf("sockeyetest: after %v handlers of the Socket.IO server have not returned:\n%s", s.Patience, handlers())
	}
}

// handlers returns the stacks of the goroutines that run handlers of sockets.
func handlers() string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	return strings.Join(slices.DeleteFunc(stacks, func(stack string) bool {
		return !strings.Contains(stack, "socketio.(*Socket).drain")
	}), "\n\n")
}

// awaitEnd waits until the HTTP servers have nothing to do and all connections are closed.
func (s *Server) awaitEnd() {
	timer := time.NewTimer(s.Patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		left, changed := s.left(), s.changed
		s.mu.Unlock()
		if len(left) == 0 {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			s.t.Errorf("sockeyetest: %v after its end the server still has\n    %s", s.Patience, strings.Join(left, "\n    "))
			return
		}
	}
}

// left lists what has not ended. s.mu is held.
func (s *Server) left() []string {
	var left []string
	for _, b := range s.backends {
		for r := range b.requests {
			left = append(left, fmt.Sprintf("a handler of %s %s that has not returned", r.Method, r.URL))
		}
		for c := range b.ends {
			left = append(left, fmt.Sprintf("a connection from %v that is not closed", c.RemoteAddr()))
		}
		if len(b.ends) == 0 && len(b.conns) > 0 {
			left = append(left, fmt.Sprintf("connections that the HTTP server has not done with: %d", len(b.conns)))
		}
	}
	return left
}
