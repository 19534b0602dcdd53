package sockeyetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sockeye-io/sockeye/event"
)

// A Receiver is a [Client] or a [Peer].
type Receiver interface{ box() *End }

// Expect waits for the next event of r, which must be of this declaration and carry want.
func Expect[T any](t testing.TB, r Receiver, e event.Event[T], want T) {
	t.Helper()
	expected := Of(e, want)
	r.box().Expect(t, expected.Name, expected.Args...)
}

// Of returns an event of this declaration, to compare with.
func Of[T any](e event.Event[T], v T) Event {
	var made catcher
	_ = e.Emit(&made, v) // never fails: it is encoded later
	return E(made.name, made.args...)
}

// catcher notes what is emitted.
type catcher struct {
	name string
	args []any
}

func (c *catcher) Emit(name string, args ...any) error {
	c.name, c.args = name, args
	return nil
}

// Next waits for the next event of r, which must be of this declaration, and returns what it carries.
func Next[T any](t testing.TB, r Receiver, e event.Event[T]) T {
	t.Helper()
	b := r.box()
	got, ok := b.take()
	if !ok {
		t.Fatal(b.report("no event came", []field{{"expected", e.Name()}}))
	}
	v, err := decode(e, got)
	if err != nil {
		t.Fatal(b.report("the next event is another one", []field{
			{"expected", fmt.Sprintf("%s with a %T", e.Name(), v)}, {"received", got.String()}, {"difference", err.Error()},
		}))
	}
	return v
}

// decode reads an event as a handler of the declaration would.
func decode[T any](e event.Event[T], got Event) (v T, err error) {
	if got.Name != e.Name() {
		return v, fmt.Errorf("it is %q and not %q", got.Name, e.Name())
	}
	var l ear
	e.On(&l, func(_ context.Context, came T) error { v = came; return nil })
	return v, l.h(context.Background(), got.message)
}

// ear is a listener that is called by hand.
type ear struct{ h event.Handler }

func (l *ear) On(_ string, h event.Handler) event.Subscription {
	l.h = h
	return event.Subscription{}
}

// Call sends req, and ends the test if there is no reply. A failure that is the expected answer is what CallError is for.
func Call[Req, Reply any](t testing.TB, r Receiver, call event.Call[Req, Reply], req Req) Reply {
	t.Helper()
	reply, err := send(t, r, call, req)
	if err != nil {
		t.Fatal(r.box().report(fmt.Sprintf("%s failed: %s", call.Name(), showError(err)), nil))
	}
	return reply
}

// CallError sends req, which must be answered with a failure of this code, and returns it.
func CallError[Req, Reply any](t testing.TB, r Receiver, code string, call event.Call[Req, Reply], req Req) *event.Error {
	t.Helper()
	reply, err := send(t, r, call, req)
	failure, ok := errors.AsType[*event.Error](err)
	expected := field{"expected", "an error with the code " + code}
	switch {
	case err == nil:
		t.Fatal(r.box().report(call.Name()+" is answered, and should fail",
			[]field{expected, {"received", E("reply", reply).String()}}))
	case !ok:
		t.Fatal(r.box().report(call.Name()+" is not answered", []field{expected, {"received", err.Error()}}))
	case failure.Code != code:
		t.Fatal(r.box().report(call.Name()+" fails in another way", []field{expected, {"received", showError(failure)}}))
	}
	return failure
}

func send[Req, Reply any](t testing.TB, r Receiver, call event.Call[Req, Reply], req Req) (Reply, error) {
	t.Helper()
	b := r.box()
	ctx, cancel := context.WithTimeout(t.Context(), b.srv.Patience)
	defer cancel()
	return call.Call(ctx, b.socket, req)
}
