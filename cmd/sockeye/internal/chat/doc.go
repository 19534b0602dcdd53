// Package chat is the demo's chat: rooms, names, presence, typing and a bounded history, spoken over one namespace.
//
// Nothing a visitor sends is trusted: names, room names and texts are cleaned and cut to size, and every visitor has a
// budget of messages and typing notices (see [Limits]). The pages never build HTML from what arrives here.
//
// # The events
//
// Any Socket.IO client may take part. The namespace is /chat, the CONNECT payload may hold {"name": "Ada", "key": "…"}: a
// secret by which a page that comes back over a new connection takes the place of its former self. Each call takes one object and acknowledges with one object, or with {"error": {"code", "message"}} when it is refused.
//
//	client → server, with acknowledgement
//	  join    {room}        → {room, members: [{id, name, away?}], history: [message]}
//	  leave   {room}        → {}
//	  say     {room, text, key?}  → message         the same key again returns the message that is there
//	  rename  {name}        → {id, name}
//	client → server
//	  typing  {room, on}
//	server → client
//	  welcome {id, name, resumed, boot, limits}
//	  rooms   [{name, people}]                      the busiest rooms first, at most a few changes a second
//	  message {id, room, from: {id, name}, text, at}      id counts up within the room, at is milliseconds since 1970
//	  typing  {room, user, on}
//	  joined  {room, user}
//	  left    {room, user}
//	  changed {user}                                a visitor has a new name, or is away or back
//
// A visitor whose connection breaks is shown as away and keeps his place for [Limits].Grace; connection state recovery
// brings him what was said meanwhile. One who leaves on purpose is gone at once.
package chat
