package sockeyetest

import (
	"cmp"
	"errors"
	"fmt"
	"testing"

	"github.com/sockeye-io/sockeye/client"
)

// A step is a change of a connection.
type step struct {
	kind      stepKind
	id        string
	recovered bool
	reason    string
	err       error
}

type stepKind uint8

const (
	connected stepKind = iota + 1
	failed             // to connect
	disconnected
)

func (s step) String() string {
	switch s.kind {
	case connected:
		if s.recovered {
			return "connected as " + s.id + ", recovered"
		}
		return "connected as " + s.id
	case failed:
		return "did not connect: " + explain(s.err)
	}
	if s.err != nil {
		return fmt.Sprintf("disconnected: %s (%v)", s.reason, s.err)
	}
	return "disconnected: " + s.reason
}

func (b *End) step(s step) {
	b.update(func() {
		b.steps = append(b.steps, s)
		b.offline = s.kind != connected
		b.moved++
		b.log.add(s.String())
	})
}

func (b *End) note(text string) { b.update(func() { b.log.add(text) }) }

// nextStep waits for the next step of a kind, and forgets those before it.
func (b *End) nextStep(kind stepKind) (s step, ok bool) {
	ok = b.await(func() bool {
		for len(b.steps) > 0 {
			s, b.steps = b.steps[0], b.steps[1:]
			if s.kind == kind {
				return true
			}
		}
		return false
	})
	return s, ok
}

// disconnect waits for the next disconnect, which must be for the reason.
func (b *End) disconnect(t testing.TB, reason string) error {
	t.Helper()
	s, ok := b.nextStep(disconnected)
	if !ok {
		t.Fatal(b.report("there is no disconnect", []field{{"expected", cmp.Or(reason, "any reason")}}))
	}
	if reason != "" && s.reason != reason {
		t.Fatal(b.report("the disconnect has another reason", []field{{"expected", reason}, {"received", s.reason}}))
	}
	return s.err
}

// ExpectConnect waits until the client has connected once more, after whatever failures, and reports whether it
// recovered its session. Connect has waited for the first time already.
func (c *Client) ExpectConnect(t testing.TB) (recovered bool) {
	t.Helper()
	s, ok := c.nextStep(connected)
	if !ok {
		t.Fatal(c.report("the client does not connect", nil))
	}
	return s.recovered
}

// ExpectDisconnect waits for the next disconnect, which must be for this reason ("" is any), and returns its error: what was wrong
// with the connection, or nil. It comes after the events that came before; those are not looked at by this.
func (c *Client) ExpectDisconnect(t testing.TB, reason client.Reason) error {
	t.Helper()
	return c.disconnect(t, string(reason))
}

// ExpectConnectError waits for the next attempt to connect that fails, and returns its error. The client is opened by
// this if it is not.
func (c *Client) ExpectConnectError(t testing.TB) error {
	t.Helper()
	if !c.Active() {
		c.Open()
	}
	s, ok := c.nextStep(failed)
	if !ok {
		t.Fatal(c.report("connecting does not fail", nil))
	}
	return s.err
}

// ExpectRefused opens the client, which must be refused by the server (by a middleware, or because there is no such
// namespace), and returns what the server said.
func (c *Client) ExpectRefused(t testing.TB) *client.ConnectError {
	t.Helper()
	c.Open()
	var last step
	c.await(func() bool {
		for len(c.steps) > 0 && last.kind == 0 {
			last, c.steps = c.steps[0], c.steps[1:]
		}
		return last.kind != 0
	})
	refused, ok := errors.AsType[*client.ConnectError](last.err)
	switch {
	case ok:
		return refused
	case last.kind == connected:
		t.Fatal(c.report("the server let the client in, and should refuse it", nil))
	case last.err != nil:
		t.Fatal(c.report("connecting failed, but not because the server refuses: "+explain(last.err), nil))
	default:
		t.Fatal(c.report("the server did not answer", nil))
	}
	return nil
}
