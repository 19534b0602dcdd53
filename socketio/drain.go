package socketio

import "context"

// Drain takes the server out of service, and leaves it running. New clients are refused with 503 and Retry-After. The
// connections of the others are closed spread over the time until ctx's deadline, ten a second at least, so that they
// do not all connect elsewhere in the same moment; without a deadline, straight away. What is queued for a client is
// sent before. Clients take it for a failing connection: they connect again by themselves, and with recovery come back
// to their sessions; OnDisconnect gets [ReasonServerShutdown].
//
// Until its turn comes a client is served as ever, and the adapters go on until [Server.Shutdown] or [Server.Close],
// one of which is to be called afterwards. Drain returns nil when everybody is gone and all handlers have returned, or
// ctx's error when ctx is done first; those who are left then stay connected.
func (srv *Server) Drain(ctx context.Context) error {
	if err := srv.engine.Drain(ctx); err != nil {
		return err
	}
	return srv.work.wait(ctx)
}

// Draining reports whether new clients are refused, because the server is being drained or is closed. It is what a
// load balancer wants to know: answer its question after readiness with 503 then.
func (srv *Server) Draining() bool { return srv.engine.Draining() }
