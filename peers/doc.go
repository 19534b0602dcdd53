// Package peers lets servers answer for one another, so that a load balancer may send any request to any of them: no
// sticky sessions are needed.
//
// A session lives on one server. With long-polling every request is one of its own, and so is the WebSocket that a
// session moves to; where a balancer spreads them, most arrive at a server that does not know the session. Here the
// first characters of a session's id name its server, and a request that arrives elsewhere is carried there over HTTP,
// the WebSocket and the stream that stays open included. A server that is gone, or was never there, is answered for
// with 400 "Session ID unknown", upon which clients connect anew.
//
//	p, err := peers.New(peers.Options{ID: "A", Secret: secret, Directory: peers.Static{
//		"A": "http://10.0.0.1:3000",
//		"B": "http://10.0.0.2:3000",
//	}})
//	…
//	options := &socketio.Options{}
//	p.Configure(&options.Engine)
//	io := socketio.NewServer(options)
//
// A balancer that can look at the query string may also use the names to find the right server at once, as
// docs/scaling.md shows; then nothing has to be carried.
//
// What is carried is signed with a secret that all servers share, and never carried twice.
package peers
