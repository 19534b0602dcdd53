package sockeyetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/sockeyetest/internal/memnet"
)

// A Client is a client of a [Server]: a client.Socket with everything that it can do, and an [End] for the test.
type Client struct {
	*client.Socket
	*End
	name string
	link *memnet.Link
}

// Client returns a client of a namespace that is not connected yet. It is closed when the test ends.
func (s *Server) Client(t testing.TB, namespace string, opts ...Option) *Client {
	t.Helper()
	set := s.settings(opts)
	c, err := client.New(s.URL(), &set.client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What is frozen, or on a slow way, would be waited for.
		set.link.SetDown(true)
		set.link.Thaw()
		_ = c.Close() // the error says what was not sent, and that is the test's business
		set.web.CloseIdleConnections()
	})
	return s.newClient(c.Of(namespace), set.name, set.link)
}

// Connect returns a client that is connected to a namespace, and ends the test if it can't be.
func (s *Server) Connect(t testing.TB, namespace string, opts ...Option) *Client {
	t.Helper()
	c := s.Client(t, namespace, opts...)
	c.mustConnect(t)
	return c
}

// ConnectTo connects to another namespace over the same connection, and ends the test if it can't.
func (c *Client) ConnectTo(t testing.TB, namespace string) *Client {
	t.Helper()
	other := c.srv.newClient(c.Client().Of(namespace), c.name, c.link)
	other.mustConnect(t)
	return other
}

func (c *Client) mustConnect(t testing.TB) {
	t.Helper()
	c.Open()
	var last step
	if !c.await(func() bool {
		for len(c.steps) > 0 && last.kind == 0 {
			last, c.steps = c.steps[0], c.steps[1:]
		}
		return last.kind != 0
	}) {
		t.Fatal(c.report("the connection was not made", nil))
	}
	if last.kind != connected {
		t.Fatal(c.report("the connection was not made: "+explain(last.err), nil))
	}
}

// newClient wraps a socket.
func (s *Server) newClient(socket *client.Socket, name string, link *memnet.Link) *Client {
	c := &Client{Socket: socket, End: newEnd(s, s.recovers), name: name, link: link}
	b := c.End
	b.socket = socket
	b.who = func() string { return fmt.Sprintf("%s in %s", name, socket.Namespace()) }
	b.state = c.describe
	b.gone = func() bool { return !socket.Active() }
	socket.OnAny(func(_ context.Context, m *event.Message) error { b.arrived(m); return nil })
	socket.OnAnyOutgoing(b.left)
	socket.OnConnect(func() { b.step(step{kind: connected, id: socket.ID(), recovered: socket.Recovered()}) })
	socket.OnConnectError(func(err error) { b.step(step{kind: failed, err: err}) })
	socket.OnDisconnect(func(r client.Reason, err error) {
		b.step(step{kind: disconnected, reason: string(r), err: err})
	})
	socket.OnError(func(err error) { b.note("error: " + explain(err)) })
	socket.Client().OnAttempt(func(a engine.Attempt) {
		if a.Err == nil {
			b.note(a.Phase + " " + a.Transport)
		} else {
			b.note(fmt.Sprintf("%s %s: %v", a.Phase, a.Transport, a.Err))
		}
	})
	s.mu.Lock()
	s.clients = append(s.clients, c)
	s.mu.Unlock()
	return c
}

// describe says in words how things stand.
func (c *Client) describe() string {
	switch {
	case c.Connected():
		return fmt.Sprintf("connected over %s, id %s", c.Client().Transport(), c.ID())
	case c.Active():
		return fmt.Sprintf("not connected and trying to be; the client is %v", c.Client().State())
	}
	return "not connected and not trying to be"
}

// explain is an error with what a refusal carries.
func explain(err error) string {
	if refused, ok := errors.AsType[*client.ConnectError](err); ok && refused.Data != nil {
		return fmt.Sprintf("%v, with the data %s", err, cut(string(refused.Data), shortText))
	}
	return fmt.Sprint(err)
}

// Cut breaks the connections of the client, as a reset does: without a goodbye, but both sides notice at once. The
// client may connect again. Over polling and streaming a client that has no request under way at this moment loses
// nothing, and goes on with its next one: to be sure that it waits in a request, call [testing/synctest.Wait] before.
func (c *Client) Cut() { c.link.Cut() }

// Freeze lets nothing pass between the client and the server, in either direction, and nobody notices: a cable that is
// pulled, a laptop that sleeps. What is written goes into the connection's buffer, until that is full. Other clients go
// on.
func (c *Client) Freeze() { c.link.Freeze() }

// Thaw lets pass what Freeze held back.
func (c *Client) Thaw() { c.link.Thaw() }

// Offline cuts the client off the network: connections break, and new ones are refused until Online.
func (c *Client) Offline() { c.link.SetDown(true) }

// Online ends Offline. The client's next attempt to connect succeeds; [client.Client.RetryNow] makes it now.
func (c *Client) Online() { c.link.SetDown(false) }
