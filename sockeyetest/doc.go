// Package sockeyetest tests Socket.IO programs in one process: a server and any
// number of clients over connections in memory. There are no ports, nothing waits
// longer than it must, and inside testing/synctest the clock is fake, so that a
// heartbeat that fails after 45 seconds fails at once.
//
//	func TestChat(t *testing.T) {
//		io := socketio.NewServer(nil)
//		io.OnConnection(welcome) // what is tested
//
//		srv := sockeyetest.Start(t, io)
//		ada := srv.Connect(t, "/", sockeyetest.Named("Ada"))
//		bob := srv.Connect(t, "/", sockeyetest.Named("Bob"))
//
//		ada.MustEmit(t, "say", "Hello")
//		bob.Expect(t, "said", "Ada", "Hello")
//		ada.ExpectNone(t)
//	}
//
// # What is real
//
// The server is yours, behind an http.Server. A [Client] is a client.Socket, with
// everything that it can do, over whichever transport. Only the network is made of
// memory: its connections have buffers, deadlines and half-closes, and can be cut,
// frozen and refused.
//
// # What a client has received
//
// Every event that comes in is kept as a value in the [End] of its client, in
// order, until the test looks at it. Arguments are compared as what they are on
// the wire, so a struct equals the object that it is encoded as, and a []byte is
// binary.
//
// What fails says what was expected and what came instead, where the two differ,
// what else has come, and what the connection has been through.
//
// # Time
//
// Waiting for something ends when it is there, or after [Server.Patience]: an hour
// in a bubble of testing/synctest, where that costs nothing, and 10 seconds
// outside.
//
// That something does not happen is checked without waiting for a while, by
// letting the server and all clients come to rest first, see [Server.Settle].
//
// # Rules
//
// What takes a testing.TB may end the test and must be called from the test's own
// goroutine. In a bubble, [Start] must be called within the bubble, with its t.
package sockeyetest
