package nats_test

import (
	"slices"
	"testing"

	"github.com/sockeye-io/sockeye/adapter/emitter"
	"github.com/sockeye-io/sockeye/adapter/nats"
)

// TestEmitter has a program that is no server emit to all and to a room, in order, and the room only where it is.
func TestEmitter(t *testing.T) {
	s := startNATS(t, -1)
	inside, other := memberOf(t, open(t, s.ClientURL()), "/shop"), memberOf(t, open(t, s.ClientURL()), "/shop")
	ready(t, inside, other)
	inside.RoomCreated("room")
	b := open(t, s.ClientURL())
	e := b.Emitter("shop")
	emit := func(e emitter.Emitter, name string) {
		t.Helper()
		if err := e.Emit(name); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the room", func() bool {
		emit(e.To("room"), "probe")
		return inside.host.has(`["probe"]`)
	})
	emit(e, "all")
	emit(e.To("room"), "room")
	emit(e.To("room", "more"), "rooms")
	emit(e.To("nobody"), "nobody")
	emit(e.Except("room"), "except")
	emit(e, "end")
	for _, m := range []*member{inside, other} {
		eventually(t, "the end", func() bool { return m.host.has(`["end"]`) })
	}
	got := slices.DeleteFunc(inside.host.received(), func(e string) bool { return e == `["probe"]` })
	if want := []string{`["all"]`, `["room"]`, `["rooms"]`, `["except"]`, `["end"]`}; !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
	if other.host.has(`["room"]`) || other.host.has(`["probe"]`) {
		t.Error("the room's event reached who does not have the room")
	}
	if n, err := inside.Servers(t.Context()); err != nil || n != 2 {
		t.Errorf("%d servers with the emitter, %v", n, err)
	}
	// What was emitted before Close is published, also when it is the first thing.
	late := open(t, s.ClientURL())
	emit(late.Emitter("/shop"), "late")
	emit(e, "last")
	for _, b := range []*nats.Broker{late, b} {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the last", func() bool { return other.host.has(`["last"]`) && other.host.has(`["late"]`) })
}
