// Package engine is an Engine.IO v4 client: one connection to a server over
// WebSocket, HTTP long-polling or HTTP streaming, over which messages go both
// ways in order.
//
// [Dial] tries the transports in turn until a server's handshake has arrived
// and asks the accept function for the [Receiver] that consumes the connection,
// before the first message can be read:
//
//	conn, err := engine.Dial(ctx, "https://example.com", nil, func(c *engine.Conn) engine.Receiver {
//		return &printer{}
//	})
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	err = conn.Send(engine.Message{Data: []byte("hello")})
//
// A connection that is lost stays lost: reconnecting, and everything else about
// Socket.IO, is the business of package client.
//
// # Transports
//
// Without Options.Transports the order is websocket, polling, streaming (which
// only Sockeye servers have), each for at most Options.AttemptTimeout while
// others are left. An attempt has succeeded when the handshake has arrived, not
// before: a proxy that lets a WebSocket open and then passes nothing does not
// count. What worked is remembered in a [Memory], if there is one. A list that is
// given is kept to the letter; if it begins with another transport than
// websocket, the connection goes on to a later one as stock clients do, without
// losing or reordering a message. An address that cannot be reached, or whose
// certificate is not trusted, is not tried again over another transport.
//
// All requests, the one that opens a WebSocket included, go through one
// http.Client, so that proxies, TLS, cookies and dialers are configured in one
// place. Over TLS, HTTP/2 carries polling and streaming; a WebSocket has an
// HTTP/1.1 connection of its own. A forward proxy is asked to CONNECT for https
// addresses; for http addresses the WebSocket's request passes through it like
// any other, which not every proxy can do, and then polling takes over.
//
// permessage-deflate is not offered: it costs more memory than everything else
// about a connection, and servers rarely have it on.
//
// # Cost
//
// An idle connection over WebSocket holds one goroutine, blocked in the kernel
// without a buffer, and one timer. A goroutine writes while there is something to
// write, many messages with one write. Polling and streaming have one goroutine
// that reads, beside those of net/http.
package engine
