// Package engineio is an Engine.IO v4 server: it turns HTTP long-polling,
// HTTP streaming and WebSocket into one thing, a [Session] over which messages
// go both ways in order, whatever lies between the peers.
//
// A [Server] is an http.Handler. For each handshake it makes a Session and
// asks the accept function for the [Receiver] that consumes it, before the
// first byte from the peer can be read:
//
//	server := engineio.NewServer(nil, func(s *engineio.Session) engineio.Receiver {
//		return &echo{s}
//	})
//	http.Handle("/engine.io/", server)
//
// A session at rest costs one goroutine if it is on WebSocket (blocked in
// read, holding no buffer) and none of its own otherwise; one timer drives its
// heartbeat. What is sent goes into the session's outbox, bounded in bytes;
// whoever empties it makes one write of everything that is there.
//
// The package knows nothing of Socket.IO. The protocol is described at
// https://github.com/socketio/socket.io/tree/main/docs/engine.io-protocol; the
// streaming transport is this project's own and described in docs/transports.md.
package engineio
