package socketio

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/adapter"
)

// fakeMembers makes a namespace with members that have no connection, which is all that the index needs.
func fakeMembers(n int, recovery bool) (*Namespace, []*member) {
	opts := &Options{NoClient: true}
	if recovery {
		opts.Recovery = &RecoveryOptions{}
	}
	ns := NewServer(opts).Of("/")
	var members []*member
	for i := range n {
		m := &member{ns: ns, id: fmt.Sprintf("id%d", i)}
		if recovery {
			m.log = &eventLog{}
		}
		m.sock.Store(&Socket{ns: ns, m: m})
		ns.addMember(m)
		members = append(members, m)
	}
	return ns, members
}

// The index against a model of plain sets: who is chosen by any target, and exactly which room events come, in order.
func TestRoomsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns, members := fakeMembers(40, true)
		rooms := []string{"a", "b", "c", "id0", "id1"} // two are the ids of members
		model := map[string]map[*member]bool{}
		away, gone := map[*member]bool{}, map[*member]bool{}
		for _, r := range rooms {
			model[r] = map[*member]bool{}
		}
		live := func(room string) int {
			n := 0
			for m := range model[room] {
				if !away[m] {
					n++
				}
			}
			return n
		}
		var got, want []RoomEvent
		ns.OnRoom(func(e RoomEvent) { got = append(got, e) })
		enter := func(room string, m *member, back bool) {
			if live(room) == 1 {
				want = append(want, RoomEvent{Kind: RoomCreated, Room: room})
			}
			want = append(want, RoomEvent{RoomJoined, room, m.id, back})
		}
		exit := func(room string, m *member, away bool) {
			want = append(want, RoomEvent{RoomLeft, room, m.id, away})
			if live(room) == 0 {
				want = append(want, RoomEvent{Kind: RoomDeleted, Room: room})
			}
		}
		pick := func(t *rapid.T) *member { return rapid.SampledFrom(members).Draw(t, "member") }
		some := func(t *rapid.T) []string {
			return rapid.SliceOfN(rapid.SampledFrom(rooms), 0, 3).Draw(t, "rooms")
		}
		// Room events of one operation on several rooms come in an order that the model doesn't know.
		check := func(t *rapid.T) {
			key := func(e RoomEvent) string { return e.Room }
			slices.SortStableFunc(got, func(a, b RoomEvent) int { return cmpStrings(key(a), key(b)) })
			slices.SortStableFunc(want, func(a, b RoomEvent) int { return cmpStrings(key(a), key(b)) })
			if !slices.Equal(got, want) {
				t.Fatalf("room events %v, want %v", got, want)
			}
			got, want = nil, nil
			for _, room := range rooms {
				if n := ns.RoomLen(room); n != live(room) { // none of these sockets is connected under its id
					t.Fatalf("RoomLen(%q) is %d, want %d", room, n, live(room))
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				m, names := pick(t), some(t)
				m.join(names)
				for _, name := range names {
					if !gone[m] && name != m.id && !model[name][m] {
						model[name][m] = true
						if !away[m] {
							enter(name, m, false)
						}
					}
				}
			},
			"join many": func(t *rapid.T) {
				name := rapid.SampledFrom(rooms).Draw(t, "room")
				for _, m := range members {
					m.join([]string{name})
					if !gone[m] && name != m.id && !model[name][m] {
						model[name][m] = true
						if !away[m] {
							enter(name, m, false)
						}
					}
				}
			},
			"leave": func(t *rapid.T) {
				m, names := pick(t), some(t)
				m.leave(names)
				for _, name := range names {
					if model[name][m] {
						delete(model[name], m)
						if !away[m] {
							exit(name, m, false)
						}
					}
				}
			},
			"away": func(t *rapid.T) {
				m, is := pick(t), rapid.Bool().Draw(t, "away")
				if gone[m] {
					return
				}
				m.mu.Lock()
				ns.index.setAway(m, is)
				m.mu.Unlock()
				ns.index.events.drain()
				if away[m] == is {
					return
				}
				for name, set := range model {
					if set[m] {
						if away[m] = is; is {
							exit(name, m, true)
						} else {
							enter(name, m, true)
						}
					}
				}
				away[m] = is
			},
			"remove": func(t *rapid.T) {
				m := pick(t)
				if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
					return
				}
				m.remove()
				gone[m] = true
				for name, set := range model {
					if set[m] {
						delete(set, m)
						if !away[m] {
							exit(name, m, false)
						}
					}
				}
			},
			"choose": func(t *rapid.T) {
				target := adapter.Target{Rooms: some(t), Except: some(t)}
				in := func(m *member, names []string) bool {
					return slices.ContainsFunc(names, func(name string) bool { return model[name][m] || name == m.id })
				}
				var wantIDs, ids []string
				for _, m := range members {
					if !gone[m] && (len(target.Rooms) == 0 || in(m, target.Rooms)) && !in(m, target.Except) {
						wantIDs = append(wantIDs, m.id)
					}
				}
				sel := ns.choose(&target)
				for _, m := range sel.members {
					ids = append(ids, m.id)
				}
				sel.release()
				slices.Sort(ids)
				slices.Sort(wantIDs)
				if !slices.Equal(ids, wantIDs) {
					t.Fatalf("%+v chose %q, want %q", target, ids, wantIDs)
				}
			},
			"": func(t *rapid.T) {
				check(t)
				for _, m := range members {
					var want []string
					if !gone[m] {
						want = append(want, m.id)
						for name, set := range model {
							if set[m] {
								want = append(want, name)
							}
						}
					}
					got := m.roomNames()
					slices.Sort(got)
					slices.Sort(want)
					if !slices.Equal(got, want) {
						t.Fatalf("%s is in %q, want %q", m.id, got, want)
					}
				}
				var want []string
				for name := range maps.Keys(model) {
					if live(name) > 0 {
						want = append(want, name)
					}
				}
				names := ns.index.names()
				slices.Sort(names)
				slices.Sort(want)
				if !slices.Equal(names, want) {
					t.Fatalf("rooms are %q, want %q", names, want)
				}
			},
		})
		// Nothing may stay behind.
		for _, m := range members {
			m.remove()
		}
		for i := range ns.index.shards {
			if n := len(ns.index.shards[i].rooms); n != 0 {
				t.Fatalf("%d rooms are left in the index", n)
			}
		}
		if len(ns.members) != 0 || len(ns.ids) != 0 {
			t.Fatalf("%d members, %d ids are left", len(ns.members), len(ns.ids))
		}
	})
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Joins, leaves and deletions from many goroutines: no join may land in a room that was just deleted.
func TestRoomsUnderConcurrency(t *testing.T) {
	ns, members := fakeMembers(8, false)
	var mu sync.Mutex
	state := map[string]int{} // members of a room, by its events
	ns.OnRoom(func(e RoomEvent) {
		mu.Lock()
		defer mu.Unlock()
		n, exists := state[e.Room]
		switch e.Kind {
		case RoomCreated:
			if exists {
				t.Errorf("%s was created twice", e.Room)
			}
			state[e.Room] = 0
		case RoomJoined:
			if !exists {
				t.Errorf("%s was joined before it was created", e.Room)
			}
			state[e.Room] = n + 1
		case RoomLeft:
			state[e.Room] = n - 1
		case RoomDeleted:
			if n != 0 {
				t.Errorf("%s was deleted with %d members", e.Room, n)
			}
			delete(state, e.Room)
		}
	})
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			for k := range 2000 {
				room := []string{fmt.Sprint((k + i) % 3)}
				m.join(room)
				target := adapter.Target{Rooms: room}
				sel := ns.choose(&target)
				if !slices.Contains(sel.members, m) {
					t.Errorf("%s joined a room and is not in it", m.id)
				}
				sel.release()
				m.leave(room)
			}
		})
	}
	wg.Wait()
	ns.index.events.drain()
	mu.Lock()
	defer mu.Unlock()
	if len(state) != 0 || len(ns.Rooms()) != 0 {
		t.Errorf("rooms are left: %v, %q", state, ns.Rooms())
	}
}

func TestChoosingDoesNotAllocate(t *testing.T) {
	ns, members := fakeMembers(1000, false)
	for _, m := range members[:500] {
		m.join([]string{"room"})
	}
	for name, target := range map[string]*adapter.Target{
		"all":         {},
		"room":        {Rooms: []string{"room"}},
		"room except": {Rooms: []string{"room"}, Except: []string{"id3"}},
		"two rooms":   {Rooms: []string{"room", "id900"}},
	} {
		ns.choose(target).release()                                                         // grows what is pooled
		if n := testing.AllocsPerRun(100, func() { ns.choose(target).release() }); n > 20 { // under the race detector, the pool forgets at random
			t.Errorf("%s: %v allocations for 1000 members", name, n)
		}
	}
}
