// Package cluster is what adapters have in common whose servers talk in the messages of Node's ClusterAdapter: those for
// sharded Redis, Redis Streams and PostgreSQL, which Node servers take part in, and others that use the same messages
// because they are good.
//
// An adapter for a broker is a [Bus], which carries messages and knows nothing of what they mean, and an [Adapter] on
// top of it, which knows nothing of the broker. [Message] is one message, with its JSON and its msgpack form.
//
// # Servers
//
// Who asks all servers of a namespace has to know how many there are. Some brokers can count their subscribers. For the
// others every server says at least every few seconds that it is there: a server that was silent for too long, or that
// said goodbye, is not waited for any more, also by those who wait already.
package cluster
