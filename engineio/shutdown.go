package engineio

import (
	"context"
	"time"
)

// Close refuses further handshakes with 503 and closes every session at once;
// what they had queued is discarded.
func (srv *Server) Close() error {
	srv.stopped.Store(true)
	srv.All(func(s *Session) bool {
		s.finish(ReasonServerShutdown, ErrServerClosed, endAbort)
		return true
	})
	return nil
}

// Refuse makes the server answer handshakes with 503 and Retry-After, while
// sessions go on: the first step of taking it out of service.
func (srv *Server) Refuse() { srv.stopped.Store(true) }

// Draining reports whether handshakes are refused, since Refuse, Drain, Shutdown
// or Close was called. It does not end.
func (srv *Server) Draining() bool { return srv.stopped.Load() }

// Drain takes the server out of service: it refuses further handshakes and
// closes the sessions, each after its outbox was written, spread over the time
// until ctx's deadline (but ten a second at least), so that the clients do not
// all connect elsewhere at once. Without a deadline all are closed straight
// away. Until its turn comes a session goes on as ever. Drain returns nil when
// every session has ended, or ctx's error when ctx is done first; the sessions
// that are left then go on.
func (srv *Server) Drain(ctx context.Context) error {
	srv.stopped.Store(true)
	var sessions []*Session
	srv.All(func(s *Session) bool {
		sessions = append(sessions, s)
		return true
	})
	if err := srv.closeSpread(ctx, sessions); err != nil {
		return err
	}
	return srv.awaitEmpty(ctx)
}

// Shutdown is Drain, except that it leaves nothing: when ctx is done first, it
// ends the rest as Close does and returns ctx's error.
func (srv *Server) Shutdown(ctx context.Context) error {
	err := srv.Drain(ctx)
	if err != nil {
		_ = srv.Close() // never fails
	}
	return err
}

// maxStep is the longest pause between two sessions: ten clients a second are no
// herd, and a server with few clients is gone soon.
const maxStep = 100 * time.Millisecond

// closeSpread closes sessions in even steps over the first four fifths of the
// time there is; the rest is for the last ones to fetch what is theirs.
func (srv *Server) closeSpread(ctx context.Context, sessions []*Session) error {
	var step time.Duration
	if deadline, ok := ctx.Deadline(); ok && len(sessions) > 0 {
		step = min(maxStep, time.Until(deadline)*4/5/time.Duration(len(sessions)))
	}
	start := time.Now()
	for i, s := range sessions {
		if wait := time.Until(start.Add(time.Duration(i) * step)); wait > time.Millisecond {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
		}
		s.close(ReasonServerShutdown)
	}
	return nil
}

func (srv *Server) awaitEmpty(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for srv.Sessions() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
