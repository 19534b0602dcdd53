package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/examples/internal/try"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestMain(m *testing.M) { try.Main(m, main) }

// enter connects a visitor to a room.
func enter(t *testing.T, srv *sockeyetest.Server, name, room string) *sockeyetest.Client {
	t.Helper()
	return srv.Connect(t, "/", sockeyetest.Named(name), as(name, room))
}

func as(name, room string) sockeyetest.Option {
	return sockeyetest.Auth(map[string]string{"name": name, "room": room})
}

func TestChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, newServer())
		ada := enter(t, srv, "Ada", "tea")
		ada.Expect(t, "present", 1)
		bob := enter(t, srv, "Bob", "tea")
		ada.Expect(t, "present", 2)
		bob.Expect(t, "present", 2)
		eve := enter(t, srv, "Eve", "coffee")
		eve.Expect(t, "present", 1)

		// A line goes to the others in the room; who says it learns that it was sent.
		ada.ExpectAck(t, []any{"sent"}, "say", " Hello ")
		bob.Expect(t, "line", line{"Ada", "Hello"})
		bob.MustEmit(t, "typing")
		ada.Expect(t, "typing", "Bob")
		for _, c := range []*sockeyetest.Client{ada, bob, eve} {
			c.ExpectNone(t)
		}

		bob.Disconnect()
		ada.Expect(t, "present", 1)
	})
}

func TestChatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, newServer())
		for _, auth := range []sockeyetest.Option{
			sockeyetest.Auth(nil), as("", "tea"), as("Ada", " "), as("Ada", strings.Repeat("x", maxName+1)),
			sockeyetest.Auth(map[string]int{"name": 1}),
		} {
			srv.Client(t, "/", auth).ExpectRefused(t)
		}
	})
}

func TestChatBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ada := enter(t, sockeyetest.Start(t, newServer()), "Ada", "tea")
		ada.CallError(t, "length", "say", strings.Repeat("é", maxText+1))
		ada.CallError(t, "length", "say", " ")
		ada.CallError(t, "bad_request", "say", 7)

		// In a bubble of synctest no time passes unless all wait for it: the burst is exactly as long as it should be.
		for i := range burst {
			ada.Call(t, "say", fmt.Sprint(i))
		}
		ada.CallError(t, "too_fast", "say", "one more")
		time.Sleep(pause)
		ada.Call(t, "say", "one more")
		ada.CallError(t, "too_fast", "say", "and another")
	})
}

// Who loses the connection comes back to his room and hears what was said meanwhile.
func TestChatRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, newServer())
		ada, bob := enter(t, srv, "Ada", "tea"), enter(t, srv, "Bob", "tea")
		for _, c := range []*sockeyetest.Client{ada, bob} {
			c.Ignore("present")
		}
		bob.Offline()
		bob.ExpectDisconnect(t, client.ReasonTransportError)
		ada.Call(t, "say", "Where are you?")
		time.Sleep(time.Minute)
		bob.Online()
		if recovered := bob.ExpectConnect(t); !recovered {
			t.Error("Bob is a new visitor")
		}
		bob.Expect(t, "line", line{"Ada", "Where are you?"})
	})
}

func TestProgram(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	p.Connects(t, map[string]string{"name": "Ada", "room": "tea"})
}
