// Package lab is the transport lab: one stream of events, sent to a browser over five transports side by side, with every
// byte on the wire counted.
//
// A visit is one open page. It has five lanes, each a connection of its own that is forced to one transport. A lane's
// address is a path of this process, where a proxy carries the requests to the server over real TCP connections: there the
// bytes are counted, per direction and per kind of request, and there the simulated trouble happens (see [Trouble]). What
// the figures leave out is what all lanes share: TCP and IP headers, TLS, and the opening of connections.
//
// Times are milliseconds since the visit began, by the clock of the server; the page learns the difference to its own with
// the call "clock". Latencies are one-way: from the moment before the server emits, or the browser does, to the moment the
// handler of the other side runs.
//
// The page talks to the lab over the namespace /lab:
//
//	server → page
//	  visit    {id, lanes: [{name, path}], limits}
//	  figures  {at, lanes: {name: figures}}        four times a second
//	page → server, with acknowledgement
//	  clock    {}        → {at}
//	  settings settings  → settings                  what was asked for, within the limits
//
// and over each lane's own connection, namespace /, CONNECT payload {visit, lane}:
//
//	server → page   tick(n, at, padding)
//	page → server   up(n, at, padding)
package lab
