// Package redis makes Socket.IO servers act as one by way of Redis, in a cluster with Node servers if there are any.
//
//	broker, err := redis.Open(redis.Options{Redis: goredis.UniversalOptions{Addrs: []string{"localhost:6379"}}})
//	…
//	io := socketio.NewServer(&socketio.Options{Adapter: broker.Classic()})
//
// A [Broker] is one server's connection to Redis: one for what it publishes, and one or a few for what it is told. It is
// made once and shared by all namespaces. Its adapters differ in what they put on the wire:
//
//   - [Broker.Classic] is what @socket.io/redis-adapter and its emitter speak: PUBLISH and SUBSCRIBE.
//   - [Broker.Sharded] is what createShardedAdapter of that package speaks: SPUBLISH and SSUBSCRIBE, which a Redis
//     Cluster does not have to tell all its nodes. It needs Redis 7.
//   - [Broker.Streams] is what @socket.io/redis-streams-adapter speaks: operations are entries of a stream, which a
//     server that had lost its connection reads on where it was. With recovery turned on, clients come back to any server.
//   - [Broker.Python] is what servers of python-socketio and Flask-SocketIO speak with their RedisManager. With package
//     bridge, a server is in a cluster of theirs and in one of Node's at the same time.
//
// Redis Cluster and Sentinel are a matter of the options, which are those of go-redis.
//
// # Order, and what can be lost
//
// What one server publishes arrives at each other server in that order, with one exception: in a Redis Cluster the
// channels of Sharded live on different nodes, each of which has an order of its own. Therefore all events of a
// namespace go over one channel there.
//
// With Classic and Sharded, Redis keeps nothing: what is published while a server has no connection is lost to the clients of that server.
// Clients are always served by the server they are connected to, with or without Redis, except by Streams with recovery:
// see there. While Redis can't be reached,
// operations return [ErrDown]; what had been taken and could not be sent is counted, see [Broker.Stats]. Connections are
// made again by themselves. Nothing is sent a second time, so nothing arrives twice. A Redis that is silent is noticed
// after 3 s by who publishes (the ReadTimeout of the options), and after 20 s by who only receives.
//
// # Servers that die
//
// Redis knows how many servers subscribe, so that a server that has died is not waited for longer than half a second
// once Redis has noticed; nor are its clients, unless it is a Node server of the classic kind, which do not say who they
// are: then acknowledgements take their full time. Redis notices at once that a process has died; where a machine or its
// network has, see the setting tcp-keepalive of Redis.
//
// # Costs
//
// Publishing takes one command for each operation, many of which share a round trip. With Classic each server gets each
// event, and drops those to a room that it doesn't have without decoding them. With Sharded it doesn't get them, at the
// price of two commands for each room that gets its first or loses its last member on a server. Asking the other servers
// for something takes a round trip for counting them before.
package redis
