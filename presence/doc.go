// Package presence knows who is in a room on any server of a cluster, without asking the others each time.
//
// Every server of the cluster makes a [Presence] of the same namespace. Each tells the others about its own sockets, and
// keeps what they told it, so that [Presence.Count] and [Presence.Members] are reads of local memory. It needs nothing
// but an adapter that carries ServerSideEmit; messages are plain JSON under the event "sockeye:presence". A server without
// an adapter has a cluster of its own.
//
// # What it sees, and when
//
// Changes on this server show at once, those of others after [Options.Coalesce] and the way through the broker. A socket
// that joins and leaves again within that time is not told of. A server that closes takes its members with it at once;
// one that crashes, or is cut off, after [Options.Timeout]. When it is heard of again its members come back.
//
// What a server tells is numbered. A server that misses a number asks for everything, and so the views are equal again
// after a broker has lost messages: within a heartbeat and about a second, plus the time that the state takes.
//
// Who joins a room in a middleware is a member once the connection is accepted. A client whose connection broke, and who
// may come back to its session (see [socketio.RecoveryOptions]), stays a member for [Options.Away]; if it comes back, on
// this or another server, it has never left.
package presence
