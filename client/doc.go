// Package client is a Socket.IO client. It talks to this project's server, to Node's socket.io 3 and 4, and to
// python-socketio, over WebSocket, HTTP long-polling and HTTP streaming.
//
//	s, err := client.Dial(ctx, "https://example.com/chat", nil)
//	if err != nil {
//		return err
//	}
//	defer s.Client().Close()
//	Say.On(s, func(ctx context.Context, m Said) error { … })
//	sum, err := Add.Call(ctx, s, AddRequest{1, 2})
//
// A [Client] is one connection, which is made again whenever it is lost. A [Socket] is a namespace on it: events,
// acknowledgements, and being connected to the server or not. Events are declared as in package event, whose
// declarations work on both sides, or go by name.
//
// # When an event arrives
//
// What is emitted while there is no connection waits for one, within [BufferOptions], and is sent before OnConnect
// runs. What one goroutine emits arrives in that order, whether it waited or not.
//
// An event that was handed to a connection which then broke may be lost, as with every Socket.IO client. Who must know
// asks for an acknowledgement. Who must not lose anything sets [Options.Retries]: then every event is sent until it is
// acknowledged, one at a time, and a server with socketio.DropRepeats handles each exactly once.
//
// In the other direction a server with connection state recovery sends again what was missed, see [Socket.Recovered].
//
// # Handlers
//
// Handlers of one socket run one at a time, in the order in which the events came in, on a goroutine that exists only
// while there is something to do. Acknowledgements don't wait for them, so a handler may call EmitWithAck. The context
// of a handler ends when the connection does. What becomes of its error, or of a panic, is said at [Socket.OnError];
// the sender is answered as described at [event.Error].
//
// All methods are safe for concurrent use.
package client
