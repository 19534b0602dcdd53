// Package postgres makes Socket.IO servers act as one by way of PostgreSQL, in a cluster with Node servers that use
// @socket.io/postgres-adapter 0.5 if there are any.
//
//	broker, err := postgres.Open(postgres.Options{DSN: "postgres://user:secret@localhost/app"})
//	…
//	io := socketio.NewServer(&socketio.Options{Adapter: broker.Adapter()})
//
// A [Broker] is one server's connection to PostgreSQL, shared by all namespaces. It publishes on connections of a pool,
// and listens on one of its own, which must not go through a pooler that shares connections between clients, such as
// PgBouncer with pool_mode transaction. The encoding of the database has to be UTF8.
//
// # On the wire
//
// Each namespace has a channel, "socket.io#/" for the main one, and messages are notifications on it. PostgreSQL takes
// up to 7,999 bytes in a notification and no binary. What is longer, or has binary in it, is a row of the table
// socket_io_attachments, and the notification says which. The table is made if it is missing and may be made:
//
//	CREATE TABLE socket_io_attachments (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea)
//
// Rows are deleted when they are older than [Options].CleanupInterval, by whichever server comes first.
//
// PostgreSQL has no channels with names longer than 63 bytes, and Node servers can't have such namespaces. Here these
// channels are called "sockeye#" and the first 32 hexadecimal digits of the SHA-256 of the name.
//
// # Order, and what can be lost
//
// What one server publishes arrives at each other server in that order, whether it is in a notification or in the table.
//
// PostgreSQL keeps nothing for a server that does not listen: what is published while a server has no connection is lost
// to the clients of that server. Clients are always served by the server they are connected to, with or without
// PostgreSQL. While it can't be reached, operations return [ErrDown]; what had been taken and could not be sent is
// counted, see [Broker.Stats]. Connections are made again by themselves.
//
// # How much it carries
//
// PostgreSQL writes the notifications of all databases to one queue, for which transactions that notify wait for each
// other, and every listening connection of the database is woken for each. That is good for some thousands of messages
// a second. Several messages that wait go in one transaction.
package postgres
