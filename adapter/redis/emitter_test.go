package redis_test

import (
	"context"
	"slices"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/emitter"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

// TestEmitters has programs that are no servers emit to all, to a room and to one socket, in order, and the room only
// where it is.
func TestEmitters(t *testing.T) {
	for name, mode := range map[string]struct {
		o       redis.Options
		factory func(*redis.Broker) adapter.Factory
		emitter func(*redis.Broker, string) emitter.Emitter
	}{
		"Classic":       {redis.Options{}, (*redis.Broker).Classic, (*redis.Broker).Emitter},
		"Sharded":       {redis.Options{}, (*redis.Broker).Sharded, (*redis.Broker).ShardedEmitter},
		"ShardedStatic": {redis.Options{Static: true}, (*redis.Broker).Sharded, (*redis.Broker).ShardedEmitter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			list := s.members(t, 2, mode.o, mode.factory)
			inside, other := list[0], list[1]
			const id = "ABCDEFGHIJKLMNOPQRST"
			inside.host.mu.Lock()
			inside.host.rooms["room"], inside.host.rooms[id] = true, true
			inside.host.mu.Unlock()
			if w, ok := inside.Adapter.(adapter.RoomWatcher); ok {
				w.RoomCreated("room")
			}
			b := s.open(t, mode.o)
			e := mode.emitter(b, "") // which is the main namespace
			emit := func(e emitter.Emitter, name string) {
				t.Helper()
				if err := e.Emit(name); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the room", func() bool {
				emit(e.To("room"), "probe")
				return slices.Contains(inside.host.events(), `["probe"]`)
			})
			emit(e, "all")
			emit(e.To("room"), "room")
			emit(e.To(id), "id")
			emit(e.To("room", "more"), "rooms")
			emit(e.To("nobody"), "nobody")
			emit(e.Except("room"), "except")
			emit(e, "end")
			for _, m := range list {
				eventually(t, "the end", func() bool { return slices.Contains(m.host.events(), `["end"]`) })
			}
			got := slices.DeleteFunc(inside.host.events(), func(e string) bool { return e == `["probe"]` })
			// Which sockets are meant is for the namespace to find out, and not for the adapter.
			got = slices.DeleteFunc(got, func(e string) bool { return e == `["nobody"]` })
			want := []string{`["all"]`, `["room"]`, `["id"]`, `["rooms"]`, `["except"]`, `["end"]`}
			if !slices.Equal(got, want) {
				t.Errorf("received %q, want %q", got, want)
			}
			if name != "ShardedStatic" && slices.Contains(other.host.events(), `["room"]`) {
				t.Error("the room's event reached who does not have the room")
			}
			if n, err := inside.Servers(context.Background()); err != nil || n != 2 {
				t.Errorf("%d servers with the emitter, %v", n, err)
			}
			// What was emitted before Close is published.
			emit(e, "last")
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			eventually(t, "the last", func() bool { return slices.Contains(other.host.events(), `["last"]`) })
		})
	}
}
