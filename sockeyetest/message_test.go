package sockeyetest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

// messages are what failed expectations say. Each happens to a client that is connected and got what emit sends.
var messages = map[string]struct {
	emit func(s *socketio.Socket)
	test func(t testing.TB, c *sockeyetest.Client)
	want string
}{
	"another argument": {
		func(s *socketio.Socket) {
			_ = s.Emit("line", line{"Ada", "Hullo"}, []int{1, 2, 3}, 5)
			_ = s.Emit("present", 2)
		},
		func(t testing.TB, c *sockeyetest.Client) {
			c.Expect(t, "line", line{"Ada", "Hello"}, []int{1, 3}, nil)
		}, `
Ada in /: the next event is another one
    expected    line({"from":"Ada","text":"Hello"}, [1,3], null)
    received    line({"from":"Ada","text":"Hullo"}, [1,2,3], 5)
    difference  argument 0.text: expected "Hello", received "Hullo"
                argument 1[1]: expected 3, received 2
                argument 1[2] is too much: received 3
                argument 2: expected null, received 5
    unread      present(2)
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received line({"from":"Ada","text":"Hullo"}, [1,2,3], 5)
                +0s       received present(2)`,
	},
	"another event": {
		func(s *socketio.Socket) { _ = s.Emit("present", 2) },
		func(t testing.TB, c *sockeyetest.Client) {
			c.Expect(t, "the line", []byte("binary data"), sockeyetest.Any)
		}, `
Ada in /: the next event is another one
    expected    "the line"(<11 bytes: 62 69 6e 61 72 79 20 64…>, Any)
    received    present(2)
    difference  it is "present" and not "the line"
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received present(2)`,
	},
	"nothing": {
		func(s *socketio.Socket) {},
		func(t testing.TB, c *sockeyetest.Client) {
			c.MustEmit(t, "hello", map[string]any{"to": "all"})
			c.Expect(t, "line", "Hello")
		}, `
Ada in /: no event came
    expected    line("Hello")
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       emitted hello({"to":"all"})`,
	},
	"nothing more": {
		func(s *socketio.Socket) { _ = s.Emit("bye"); s.Disconnect(false) },
		func(t testing.TB, c *sockeyetest.Client) { c.Next(t); c.Next(t) }, `
Ada in /: no event came
    connection  not connected and not trying to be
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received bye()
                +0s       disconnected: io server disconnect
                +0s       close websocket`,
	},
	"some": {
		func(s *socketio.Socket) {
			for i := range 13 {
				_ = s.Emit("n", i)
			}
		},
		func(t testing.TB, c *sockeyetest.Client) {
			c.Next(t)
			c.ExpectNone(t)
		}, `
Ada in /: there are 12 events, and none is expected
    unread      n(1)
                n(2)
                n(3)
                n(4)
                n(5)
                n(6)
                n(7)
                n(8)
                n(9)
                n(10)
                and 2 more
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received n(0)
                +0s       received n(1)
                +0s       received n(2)
                +0s       received n(3)
                +0s       received n(4)
                +0s       received n(5)
                +0s       received n(6)
                +0s       received n(7)
                +0s       received n(8)
                +0s       received n(9)
                +0s       received n(10)
                +0s       received n(11)
                +0s       received n(12)`,
	},
	"one": {
		func(s *socketio.Socket) { _ = s.Emit("n", 1) },
		func(t testing.TB, c *sockeyetest.Client) { c.ExpectNone(t) }, `
Ada in /: there is an event, and none is expected
    unread      n(1)
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received n(1)`,
	},
	"not eventually": {
		func(s *socketio.Socket) { _ = s.Emit("n", 1, 1); _ = s.Emit("n", 7, 1); _ = s.Emit("m", 7) },
		func(t testing.TB, c *sockeyetest.Client) { c.ExpectEventually(t, "n", 7, 2) }, `
Ada in /: the event did not come
    expected    n(7, 2)
    nearest     n(7, 1)
    difference  argument 1: expected 2, received 1
    unread      n(1, 1)
                n(7, 1)
                m(7)
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received n(1, 1)
                +0s       received n(7, 1)
                +0s       received m(7)`,
	},
	"another set": {
		func(s *socketio.Socket) { _ = s.Emit("a", 1); _ = s.Emit("b", 3) },
		func(t testing.TB, c *sockeyetest.Client) {
			c.ExpectSet(t, sockeyetest.E("b", 2), sockeyetest.E("a", sockeyetest.Any))
		}, `
Ada in /: of 2 events in any order 1 did not come
    missing     b(2)
    instead     b(3)
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received a(1)
                +0s       received b(3)`,
	},
	"another type": {
		func(s *socketio.Socket) { _ = s.Emit("said", 7) },
		func(t testing.TB, c *sockeyetest.Client) { sockeyetest.Next(t, c, said) }, `
Ada in /: the next event is another one
    expected    said with a sockeyetest_test.line
    received    said(7)
    difference  unexpected argument of event "said": argument 0 is not what is expected: json: unable to unmarshal JSON number into Go sockeyetest_test.line
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received said(7)`,
	},
	"no disconnect": {
		func(s *socketio.Socket) {},
		func(t testing.TB, c *sockeyetest.Client) { c.ExpectDisconnect(t, client.ReasonPingTimeout) }, `
Ada in /: there is no disconnect
    expected    ping timeout
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID`,
	},
	"another reason": {
		func(s *socketio.Socket) { time.AfterFunc(90*time.Second, func() { s.Disconnect(false) }) },
		func(t testing.TB, c *sockeyetest.Client) { c.ExpectDisconnect(t, client.ReasonPingTimeout) }, `
Ada in /: the disconnect has another reason
    expected    ping timeout
    received    io server disconnect
    connection  not connected and not trying to be
    history     +0s       connect websocket
                +0s       connected as ID
                +1m30s    disconnected: io server disconnect
                +1m30s    close websocket`,
	},
	"a failure": {
		func(s *socketio.Socket) {},
		func(t testing.TB, c *sockeyetest.Client) { sockeyetest.Call(t, c, add, []int{-5}) }, `
Ada in /: add failed: -5 is negative (negative), with the data -5
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       emitted add([-5])`,
	},
	"another code": {
		func(s *socketio.Socket) {},
		func(t testing.TB, c *sockeyetest.Client) { c.CallError(t, "too_small", "add", []int{-5}) }, `
Ada in /: add fails in another way
    expected    too_small
    received    -5 is negative (negative), with the data -5
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       emitted add([-5])`,
	},
	"no failure": {
		func(s *socketio.Socket) {},
		func(t testing.TB, c *sockeyetest.Client) { sockeyetest.CallError(t, c, "too_small", add, []int{5}) }, `
Ada in /: add is answered, and should fail
    expected    an error with the code too_small
    received    reply(5)
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       emitted add([5])`,
	},
	"another answer": {
		func(s *socketio.Socket) {},
		func(t testing.TB, c *sockeyetest.Client) { c.ExpectAck(t, []any{4, "exactly"}, "add", []int{2, 3}) }, `
Ada in /: the acknowledgement of add is another one
    expected    ack(4, "exactly")
    received    ack(5)
    difference  argument 0: expected 4, received 5
                argument 1 is missing: expected "exactly"
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       emitted add([2,3])`,
	},
	"no answer": {
		func(s *socketio.Socket) {},
		func(t testing.TB, c *sockeyetest.Client) { c.Call(t, "nobody listens") }, `
Ada in /: nobody listens is not acknowledged: client: no acknowledgement of event "nobody listens" in time
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       emitted "nobody listens"()`,
	},
}

func TestMessages(t *testing.T) {
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := room(nil)
				said := failing(t, func(t testing.TB) {
					srv := sockeyetest.Start(t, io)
					c := srv.Connect(t, "/", sockeyetest.Named("Ada"))
					m.emit(c.Peer(t))
					synctest.Wait()
					m.test(t, c)
				})
				expectText(t, said, m.want)
			})
		})
	}
}

func TestMessagesOfConnecting(t *testing.T) {
	for name, m := range map[string]struct {
		test func(t testing.TB, srv *sockeyetest.Server)
		want string
	}{
		"refused": {
			func(t testing.TB, srv *sockeyetest.Server) { srv.Connect(t, "/nowhere") }, `
client 1 in /nowhere: the connection was not made: client: refused by the server: Invalid namespace
    connection  not connected and not trying to be
    history     +0s       connect websocket
                +0s       did not connect: client: refused by the server: Invalid namespace
                +0s       close websocket`,
		},
		"let in": {
			func(t testing.TB, srv *sockeyetest.Server) { srv.Client(t, "/").ExpectRefused(t) }, `
client 1 in /: the server let the client in, and should refuse it
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID`,
		},
		"never connected": {
			func(t testing.TB, srv *sockeyetest.Server) { srv.Client(t, "/").Next(t) }, `
client 1 in /: no event came
    connection  not connected and not trying to be
    history     nothing has happened yet`,
		},
		"offline": {
			func(t testing.TB, srv *sockeyetest.Server) {
				c := srv.Client(t, "/", sockeyetest.Transports("websocket"))
				c.Offline()
				c.ExpectRefused(t)
			}, `
client 1 in /: connecting failed, but not because the server refuses: engine: websocket: dial tcp 127.0.0.1:40001->127.0.0.1:80: connection refused
    connection  not connected and trying to be; the client is reconnecting
    history     +0s       connect websocket: engine: dial tcp 127.0.0.1:40001->127.0.0.1:80: connection refused
                +0s       did not connect: engine: websocket: dial tcp 127.0.0.1:40001->127.0.0.1:80: connection refused`,
		},
		"unknown to the server": {
			func(t testing.TB, srv *sockeyetest.Server) { srv.Client(t, "/").Peer(t) }, `
client 1 in /: no server knows the socket ""
    connection  not connected and not trying to be
    history     nothing has happened yet`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := room(nil)
				expectText(t, failing(t, func(t testing.TB) { m.test(t, sockeyetest.Start(t, io)) }), m.want)
			})
		})
	}
}
