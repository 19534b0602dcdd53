package sockeyetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sockeye-io/sockeye/event"
)

// MustEmit emits an event and ends the test if that fails.
func (b *End) MustEmit(t testing.TB, name string, args ...any) {
	t.Helper()
	if err := b.socket.Emit(name, args...); err != nil {
		t.Fatal(b.report(fmt.Sprintf("can't emit %s: %v", name, err), nil))
	}
}

// Call emits an event, waits for its acknowledgement and returns it. The test ends if there is none, or if it tells of
// a failure; see CallError for those.
func (b *End) Call(t testing.TB, name string, args ...any) *event.Ack {
	t.Helper()
	ack := b.acknowledged(t, name, args)
	if err := ack.Err(); err != nil {
		t.Fatal(b.report(fmt.Sprintf("%s is answered with a failure: %s", name, showError(err)), nil))
	}
	return ack
}

// CallError emits an event that must be answered with a failure of this code, and returns it.
func (b *End) CallError(t testing.TB, code, name string, args ...any) *event.Error {
	t.Helper()
	ack := b.acknowledged(t, name, args)
	failure, ok := errors.AsType[*event.Error](ack.Err())
	switch {
	case !ok:
		values, _ := trees(ack.Len(), ack.Raw, ack.Attachments()) // what came in has been checked
		t.Fatal(b.report(name+" is answered, and should fail",
			[]field{{"expected", "an error with the code " + code}, {"received", showEvent("ack", values)}}))
	case failure.Code != code:
		t.Fatal(b.report(name+" fails in another way",
			[]field{{"expected", code}, {"received", showError(failure)}}))
	}
	return failure
}

// ExpectAck emits an event that must be acknowledged with these values.
func (b *End) ExpectAck(t testing.TB, want []any, name string, args ...any) {
	t.Helper()
	values := mustEncode(t, E(name, want...))
	ack := b.Call(t, name, args...)
	got, err := trees(ack.Len(), ack.Raw, ack.Attachments())
	if err != nil {
		t.Fatal(b.report(fmt.Sprintf("the acknowledgement of %s is broken: %v", name, err), nil))
	}
	if differences := compare(values, got); len(differences) > 0 {
		t.Fatal(b.report("the acknowledgement of "+name+" is another one", append([]field{
			{"expected", showEvent("ack", values)}, {"received", showEvent("ack", got)},
		}, difference(differences)...)))
	}
}

func (b *End) acknowledged(t testing.TB, name string, args []any) *event.Ack {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), b.srv.Patience)
	defer cancel()
	ack, err := b.socket.EmitWithAck(ctx, name, args...)
	if err != nil {
		t.Fatal(b.report(fmt.Sprintf("%s is not acknowledged: %v", name, err), nil))
	}
	return ack
}

// showError is an error with its data.
func showError(err error) string {
	failure, ok := errors.AsType[*event.Error](err)
	if !ok || failure.Data == nil {
		return fmt.Sprint(err)
	}
	values, encodeErr := E("data", failure.Data).values()
	if encodeErr != nil {
		return fmt.Sprintf("%v, with the data %v", err, failure.Data)
	}
	return fmt.Sprintf("%v, with the data %s", err, show(values[0], shortText))
}

// Answer acknowledges events of the name with these values from now on.
func (b *End) Answer(name string, values ...any) event.Subscription {
	return b.socket.On(name, func(_ context.Context, m *event.Message) error { return m.Ack(values...) })
}
