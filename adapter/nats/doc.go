// Package nats makes Socket.IO servers act as one by way of NATS.
//
//	broker, err := nats.Open(nats.Options{URL: "nats://localhost:4222"})
//	…
//	io := socketio.NewServer(&socketio.Options{Adapter: broker.Adapter()})
//
// A [Broker] is one server's connection to NATS, shared by all its namespaces. NATS itself may be a server or a cluster
// of them; with package embedded it is a part of each Socket.IO server, and there is nothing to install. [Directory] lets
// the servers tell each other where they are, for package peers.
//
// # Who receives what
//
// Every server subscribes to one subject for each namespace that it has, one for the answers to what it asks, and one
// for each room that has a socket here. A broadcast to exactly one room goes over the room's subject, and so only to
// servers that have somebody in it; everything else goes over that of the namespace, broadcasts to a socket's id
// included. The names, with "sockeye" as [Options].Prefix, "%" for the namespace "/" and "chat" for "/chat":
//
//	sockeye.chat.all           everything that concerns all servers of the namespace
//	sockeye.chat.room.lobby    broadcasts to a room
//	sockeye.chat.to.<server>   answers
//	sockeye.@directory         where servers are, for package peers
//
// # Order, and what can be lost
//
// What one server publishes arrives at each other server in that order, over whichever subjects: everything a server
// publishes, its changing interest in rooms included, goes over one connection through one queue, and so does what it
// receives. Messages are numbered: what arrives nevertheless after something that was published later, because it was under
// way while the network was gone and connections were made anew, is dropped, and counted in [Stats].
//
// NATS keeps nothing: what is published while a server has no connection is lost to the clients of that server. Clients
// are always served by the server they are connected to, with or without NATS. While NATS can't be reached, operations
// return [ErrDown]; what had been taken and could not be sent is counted, see [Broker.Stats]. Connections are made again
// by themselves, and rooms subscribed to again.
//
// A server's interest in a room is in the queue to NATS when the first Join to the room returns, ahead of all that the
// server publishes afterwards; only if another goroutine is just then making rooms, it may be a moment later. So whoever hears of the join by way of the same NATS server can emit to the room and
// reaches the socket. What others emit to the room before the interest has arrived, which is half a round trip after
// the join, misses the socket, as if it had joined that much later. In a cluster of NATS servers interest travels from
// one to the next: it can then also be overtaken by news of the join that went through a third.
//
// Messages larger than NATS takes are sent in parts.
//
// # JetStream
//
// With [Broker.JetStream] instead of [Broker.Adapter], and recovery turned on, events are kept in a stream, and clients come
// back to any server. Then events reach every server that has the namespace, in one order for all, and those larger than
// NATS takes are refused; see package adapter, Log. The servers of package embedded have no JetStream.
package nats
