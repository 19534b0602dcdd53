// Package socketio is a Socket.IO server, protocol 5: what clients of Socket.IO 3 and 4 speak.
//
// A [Server] is an [net/http.Handler]. It has namespaces ([Server.Of]); "/" is the one that clients join by default,
// and the methods of Server that send or listen are those of "/". A client that joins a namespace is a [Socket].
//
// # Events
//
// [Socket.On] listens to an event, Emit sends one: on a socket to its client, on a [Broadcast] to many. Arguments are
// encoded as encoding/json does, except that a []byte, wherever it is, travels as binary. Package event has typed
// events on top, which a server and a Go client share.
//
// # Order
//
// What one goroutine emits to one client arrives in that order, unicast and broadcast mixed, and before a disconnect
// that follows. The handlers of one socket run one at a time, in the order in which the events arrived, on a goroutine
// that exists only while there is something to do; handlers of different sockets run in parallel.
// Acknowledgements don't wait for handlers, so a handler may emit and wait for the answer. A handler that waits for
// something else keeps back only its own socket's events; start a goroutine for work that need not be in order.
//
// # Errors
//
// What a handler returns as an error goes to the client if it asked for an acknowledgement (package event says in what
// form: only an [event.Error] shows its text), and to the listeners of [Socket.OnError]; if there are none, to the log,
// where what clients do wrong is on level Debug.
// A panic in a handler is an error too, a [*PanicError]: the socket and the server live on.
//
// Emitting never blocks and returns an error if the packet can't be encoded or the client is gone. A client that reads
// too slowly is disconnected, see engineio.OutboxOptions.
package socketio
