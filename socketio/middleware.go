package socketio

import "context"

// A Middleware decides whether a client may join a namespace; an error refuses it. A [*ConnectError] or
// [*event.Error] is told to the client, and so is an error of [Socket.Auth], as "unexpected auth payload" with a code;
// of any other error, and of a panic, the client only learns that it is an internal one, and the log has the rest.
//
// It runs in a goroutine of its own and may take its time; ctx ends when the client goes away. The socket is not
// connected yet: data may be set, rooms joined, listeners added; what is emitted to the socket itself is sent at once.
type Middleware = func(ctx context.Context, s *Socket) error

// runMiddlewares returns the first error.
func (ns *Namespace) runMiddlewares(s *Socket) error {
	for _, m := range ns.use.Snapshot() {
		if err := protect(func() error { return (*m)(s.Context(), s) }); err != nil {
			return err
		}
		if s.Context().Err() != nil {
			return ErrDisconnected
		}
	}
	return nil
}
