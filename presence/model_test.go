package presence

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Servers come, go, crash and are cut off, members do as they like, messages get lost, repeated and out of order. When
// all of that has stopped, every server sees the truth, and the events have said so.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, model) // nothing but a TB, since a bubble has no Deadline
	})
}

func model(t *rapid.T) {
	opts := &Options{MaxMessageBytes: 300}
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	bad := 0.0
	net := &network{}
	net.fate = func(*node) fate {
		net.mu.Lock()
		defer net.mu.Unlock()
		if random.Float64() < bad {
			return fate(1 + random.IntN(3))
		}
		return deliver
	}
	setBad := func(b float64) {
		net.mu.Lock()
		bad = b
		net.mu.Unlock()
	}
	var nodes, crashed []*node
	ledgers := map[*node]*ledger{}
	defer func() {
		stop(nodes...)
		stop(crashed...)
		synctest.Wait()
	}()
	start := func() {
		n := net.start(opts)
		ledgers[n] = n.ledger()
		nodes = append(nodes, n)
	}
	start()
	pick := func(t *rapid.T) *node { return rapid.SampledFrom(nodes).Draw(t, "node") }
	member := func(t *rapid.T) (string, string) {
		return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "room"), fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "id"))
	}
	t.Repeat(map[string]func(*rapid.T){
		"join": func(t *rapid.T) {
			n := pick(t)
			room, id := member(t)
			n.join(room, id)
		},
		"leave": func(t *rapid.T) {
			n := pick(t)
			room, id := member(t)
			n.leave(room, id)
		},
		"crowd": func(t *rapid.T) {
			n := pick(t)
			for i := range 50 {
				n.join("crowd", fmt.Sprint(i))
			}
		},
		"sleep": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 400).Draw(t, "ms")) * time.Millisecond)
		},
		"sleep long": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 20).Draw(t, "s")) * time.Second)
		},
		"bad": func(t *rapid.T) { setBad(rapid.SampledFrom([]float64{0, 0.1, 0.5}).Draw(t, "bad")) },
		"start": func(t *rapid.T) {
			if len(nodes) < 4 {
				start()
			}
		},
		"cut":  func(t *rapid.T) { pick(t).set(true, false) },
		"fail": func(t *rapid.T) { pick(t).set(false, true) },
		"heal": func(t *rapid.T) { pick(t).set(false, false) },
		"end": func(t *rapid.T) {
			if len(nodes) == 1 {
				return
			}
			i := rapid.IntRange(0, len(nodes)-1).Draw(t, "which")
			n := nodes[i]
			nodes = append(nodes[:i:i], nodes[i+1:]...)
			if rapid.Bool().Draw(t, "crash") {
				n.set(true, false)
				crashed = append(crashed, n)
			} else {
				stop(n)
			}
		},
	})
	setBad(0)
	for _, n := range nodes {
		n.set(false, false)
	}
	time.Sleep(30 * time.Second)
	synctest.Wait()
	want := truth(nodes)
	for _, n := range nodes {
		if got := n.sees(); got != want {
			t.Fatalf("one sees\n%s\nand there is\n%s", got, want)
		}
		if err := ledgers[n].check(n); err != nil {
			t.Fatal(err)
		}
		if err := n.p.view.valid(); err != nil {
			t.Fatal(err)
		}
		for _, s := range n.p.Servers() {
			if !s.Synced || len(n.p.Servers()) != len(nodes) {
				t.Fatalf("servers %+v", n.p.Servers())
			}
		}
	}
}

// truth is what the servers together have, in the form of sees.
func truth(nodes []*node) string {
	all := &node{p: &Presence{view: newView()}}
	all.p.view.changed = func(EventKind, *room, *person) {}
	s := all.p.view.addServer("all")
	for _, n := range nodes {
		for _, who := range n.p.self.people {
			for _, r := range who.rooms {
				all.p.view.join(s, r.name, who.id, who.data)
			}
		}
	}
	return all.sees()
}

// valid checks what a view refers to twice.
func (v *view) valid() error {
	for _, s := range v.servers {
		places := 0
		for id, who := range s.people {
			if who.id != id || who.server != s || len(who.rooms) == 0 {
				return fmt.Errorf("person %+v", who)
			}
			places += len(who.rooms)
			for _, r := range who.rooms {
				if v.rooms[r.name] != r || !r.has(who) {
					return fmt.Errorf("%s is not in %s", id, r.name)
				}
			}
		}
		if places != s.places {
			return fmt.Errorf("%d places, counted %d", places, s.places)
		}
	}
	for name, r := range v.rooms {
		if len(r.members) == 0 || r.name != name {
			return fmt.Errorf("room %+v", r)
		}
		for id, others := range r.twice {
			if len(others) == 0 || r.members[id] == nil {
				return fmt.Errorf("room %+v", r)
			}
		}
		for id, who := range r.members {
			if who.server.people[id] != who || v.servers[who.server.id] != who.server {
				return fmt.Errorf("member %+v of nowhere", who)
			}
		}
	}
	return nil
}
