package socketio

import (
	"context"
	"iter"
	"time"
)

// What can be done with all sockets of a namespace, without naming rooms first, and on a server, which does it with
// the namespace "/". A socket's To and its relatives leave out the socket itself.

func (ns *Namespace) all() Broadcast { return Broadcast{ns: ns} }

// To returns a [Broadcast] to rooms.
func (ns *Namespace) To(rooms ...string) Broadcast { return ns.all().To(rooms...) }

// In is To.
func (ns *Namespace) In(rooms ...string) Broadcast { return ns.all().To(rooms...) }

// Except returns a Broadcast to all sockets but those in the rooms.
func (ns *Namespace) Except(rooms ...string) Broadcast { return ns.all().Except(rooms...) }

// Local returns a Broadcast to the sockets of this server.
func (ns *Namespace) Local() Broadcast { return ns.all().Local() }

// Volatile returns a Broadcast whose events may be lost.
func (ns *Namespace) Volatile() Broadcast { return ns.all().Volatile() }

// Compress returns a Broadcast whose events may be compressed, or not.
func (ns *Namespace) Compress(compress bool) Broadcast { return ns.all().Compress(compress) }

// Timeout returns a Broadcast that waits no longer than d.
func (ns *Namespace) Timeout(d time.Duration) Broadcast { return ns.all().Timeout(d) }

// Emit is [Broadcast.Emit] to all sockets.
func (ns *Namespace) Emit(event string, args ...any) error { return ns.all().Emit(event, args...) }

// Send is Emit of the event "message".
func (ns *Namespace) Send(args ...any) error { return ns.all().Send(args...) }

// EmitWithAck is [Broadcast.EmitWithAck] to all sockets.
func (ns *Namespace) EmitWithAck(ctx context.Context, event string, args ...any) ([]*Ack, error) {
	return ns.all().EmitWithAck(ctx, event, args...)
}

// Sockets is [Broadcast.Sockets] of all sockets.
func (ns *Namespace) Sockets(ctx context.Context) ([]*RemoteSocket, error) {
	return ns.all().Sockets(ctx)
}

// Join puts all sockets into rooms.
func (ns *Namespace) Join(rooms ...string) error { return ns.all().Join(rooms...) }

// Leave takes all sockets out of rooms.
func (ns *Namespace) Leave(rooms ...string) error { return ns.all().Leave(rooms...) }

// DisconnectSockets disconnects all sockets, see [Socket.Disconnect].
func (ns *Namespace) DisconnectSockets(closeConn bool) error { return ns.all().Disconnect(closeConn) }

// OnConnection is [Namespace.OnConnection] of "/".
func (srv *Server) OnConnection(f func(*Socket)) Subscription { return srv.root.OnConnection(f) }

// All is [Namespace.All] of "/".
func (srv *Server) All() iter.Seq[*Socket] { return srv.root.All() }

// RoomLen is [Namespace.RoomLen] of "/".
func (srv *Server) RoomLen(room string) int { return srv.root.RoomLen(room) }

// Use is [Namespace.Use] of "/".
func (srv *Server) Use(m Middleware) Subscription { return srv.root.Use(m) }

// To returns a [Broadcast] to rooms of "/".
func (srv *Server) To(rooms ...string) Broadcast { return srv.root.To(rooms...) }

// In is To.
func (srv *Server) In(rooms ...string) Broadcast { return srv.root.To(rooms...) }

// Except returns a Broadcast to all sockets of "/" but those in the rooms.
func (srv *Server) Except(rooms ...string) Broadcast { return srv.root.Except(rooms...) }

// Local returns a Broadcast to the sockets of "/" on this server.
func (srv *Server) Local() Broadcast { return srv.root.Local() }

// Volatile returns a Broadcast whose events may be lost.
func (srv *Server) Volatile() Broadcast { return srv.root.Volatile() }

// Compress returns a Broadcast whose events may be compressed, or not.
func (srv *Server) Compress(compress bool) Broadcast { return srv.root.Compress(compress) }

// Timeout returns a Broadcast that waits no longer than d.
func (srv *Server) Timeout(d time.Duration) Broadcast { return srv.root.Timeout(d) }

// Emit is [Broadcast.Emit] to all sockets of "/".
func (srv *Server) Emit(event string, args ...any) error { return srv.root.Emit(event, args...) }

// Send is Emit of the event "message".
func (srv *Server) Send(args ...any) error { return srv.root.Send(args...) }

// EmitWithAck is [Broadcast.EmitWithAck] to all sockets of "/".
func (srv *Server) EmitWithAck(ctx context.Context, event string, args ...any) ([]*Ack, error) {
	return srv.root.EmitWithAck(ctx, event, args...)
}

// Sockets is [Broadcast.Sockets] of "/".
func (srv *Server) Sockets(ctx context.Context) ([]*RemoteSocket, error) {
	return srv.root.Sockets(ctx)
}

// Join puts all sockets of "/" into rooms.
func (srv *Server) Join(rooms ...string) error { return srv.root.Join(rooms...) }

// Leave takes all sockets of "/" out of rooms.
func (srv *Server) Leave(rooms ...string) error { return srv.root.Leave(rooms...) }

// DisconnectSockets disconnects all sockets of "/", see [Socket.Disconnect].
func (srv *Server) DisconnectSockets(closeConn bool) error {
	return srv.root.DisconnectSockets(closeConn)
}

// OnServerSide is [Namespace.OnServerSide] of "/".
func (srv *Server) OnServerSide(event string, h Handler) Subscription {
	return srv.root.OnServerSide(event, h)
}

// ServerSideEmit is [Namespace.ServerSideEmit] of "/".
func (srv *Server) ServerSideEmit(event string, args ...any) error {
	return srv.root.ServerSideEmit(event, args...)
}

// ServerSideEmitWithAck is [Namespace.ServerSideEmitWithAck] of "/".
func (srv *Server) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]*Ack, error) {
	return srv.root.ServerSideEmitWithAck(ctx, event, args...)
}

// Broadcast returns a [Broadcast] to all sockets of the namespace but this one.
func (s *Socket) Broadcast() Broadcast { return s.ns.Except(s.ID()) }

// To returns a Broadcast to rooms without this socket.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// In is To.
func (s *Socket) In(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// Except returns a Broadcast to all sockets but this one and those in the rooms.
func (s *Socket) Except(rooms ...string) Broadcast { return s.Broadcast().Except(rooms...) }

// Local returns a Broadcast to the other sockets of this server.
func (s *Socket) Local() Broadcast { return s.Broadcast().Local() }
