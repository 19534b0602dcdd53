package chat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
)

// join2 joins hubs as servers of a cluster are joined: what one tells the others arrive at, encoded and in order.
func join2(t *testing.T, hubs ...*hub) {
	t.Helper()
	for i, h := range hubs {
		h.node = string(rune('a' + i))
		h.seen = map[string]time.Time{}
		queue := make(chan []byte, 1000)
		done := make(chan struct{})
		h.share = func(n news) {
			n.Node = h.node
			text, err := json.Marshal(n)
			if err != nil {
				t.Error(err)
			}
			queue <- text
		}
		go func() {
			defer close(done)
			for text := range queue {
				var n news
				if err := json.Unmarshal(text, &n); err != nil {
					t.Error(err)
				}
				for _, other := range hubs {
					if other != h {
						other.apply(n)
					}
				}
			}
		}()
		t.Cleanup(func() {
			h.mu.Lock()
			h.share = nil
			h.mu.Unlock()
			close(queue)
			<-done
		})
	}
}

func TestReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, here := newTestHub(t, Limits{})
		b, there := newTestHub(t, Limits{})
		join2(t, a, b)
		expect := func(l *ledger, want string) {
			t.Helper()
			synctest.Wait()
			if got := l.take(); got != want {
				t.Errorf("said %q, want %q", got, want)
			}
		}
		must := func(_ any, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		must(a.arrive("1", "Ann", "key"))
		must(a.join("1", "lobby"))
		expect(there, "lobby joined Ann")
		must(b.arrive("2", "ann", ""))
		must(b.join("2", "lobby"))
		expect(here, "lobby joined Ann; 1 enters lobby; lobby joined ann 2")
		expect(there, "lobby joined ann 2; 2 enters lobby")
		must(a.sayIn("1", "lobby", "hi", "k"))
		must(b.sayIn("2", "lobby", "hello", ""))
		expect(here, "lobby message 1 Ann: hi; lobby message 2 ann 2: hello")
		expect(there, "lobby message 1 Ann: hi; lobby message 2 ann 2: hello")
		must(a.rename("1", "Anna"))
		must(nil, a.typing("1", "lobby", true))
		must(b.rename("2", "Ann"))
		expect(there, "lobby changed Anna; lobby typing Anna; lobby changed Ann")
		a.lost("1")
		expect(there, "lobby changed Anna away")
		// The page comes back to the other server, is not there twice, and what it repeats is recognized.
		must(b.arrive("3", "Anna", "key"))
		must(b.join("3", "lobby"))
		if m, err := b.sayIn("3", "lobby", "hi", "k"); err != nil || m.ID != 1 {
			t.Errorf("repeated as %+v, %v", m, err)
		}
		expect(there, "lobby left Anna away; lobby joined Anna; 3 enters lobby")
		synctest.Wait()
		if a.people() != 2 || b.people() != 2 {
			t.Errorf("%d and %d people", a.people(), b.people())
		}
		// Rooms that nobody is in any more are gone everywhere.
		must(a.arrive("4", "Zoe", ""))
		must(a.join("4", "side"))
		must(nil, a.leave("4", "side"))
		a.gone("4")
		synctest.Wait()
		if got := len(b.list()); got != 1 || b.people() != 2 {
			t.Errorf("%d rooms, %d people", got, b.people())
		}
	})
}

func TestReplicaOfOneThatDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestHub(t, Limits{})
		b, there := newTestHub(t, Limits{})
		join2(t, a, b)
		for _, err := range []error{
			second(a.arrive("1", "Ann", "")), second(a.join("1", "lobby")), second(b.arrive("2", "Bob", "")), second(b.join("2", "lobby")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if asks := b.sweep(time.Now()); !asks || b.people() != 2 {
			t.Errorf("%d people, asks %v", b.people(), asks)
		}
		a.tell(news{})
		time.Sleep(aliveTimeout)
		a.tell(news{})
		synctest.Wait()
		if b.sweep(time.Now()); b.people() != 2 {
			t.Error("who says that it is there is taken for dead")
		}
		there.take()
		time.Sleep(aliveTimeout + time.Second)
		if asks := b.sweep(time.Now()); asks || b.people() != 1 || there.take() != "lobby left Ann" {
			t.Errorf("%d people, asks %v", b.people(), asks)
		}
		// It was only cut off: its state is asked for, and what was said since.
		a.tell(news{})
		synctest.Wait()
		if !b.sweep(time.Now()) {
			t.Error("nobody asks")
		}
		n := a.everything()
		n.Rooms = nil
		b.adopt(n)
		if b.people() != 2 || there.take() != "lobby joined Ann" {
			t.Errorf("%d people", b.people())
		}
		// It leaves.
		a.tell(news{Bye: true})
		synctest.Wait()
		if b.people() != 1 || len(b.seen) != 0 {
			t.Errorf("%d people", b.people())
		}
	})
}

// Whose server dies is there once for the third server, too, as soon as he has come to another.
func TestReplicaOfOneThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestHub(t, Limits{})
		b, _ := newTestHub(t, Limits{})
		c, there := newTestHub(t, Limits{})
		join2(t, a, b, c)
		for _, h := range []*hub{a, b} { // a falls silent, and he goes to b
			id := "socket on " + h.node
			if err := errors.Join(second(h.arrive(id, "Ann", "key")), second(h.join(id, "lobby"))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := there.take(); got != "lobby joined Ann; lobby left Ann; lobby joined Ann" || c.people() != 1 {
			t.Errorf("%d people, said %q", c.people(), got)
		}
		// Guests of different servers have different names.
		names := map[string]bool{}
		for i, h := range []*hub{a, b, c, a} {
			u, err := h.arrive(fmt.Sprint("guest ", i), "", "")
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			names[u.Name] = true
		}
		for i := range 4 {
			if want := fmt.Sprint("Guest ", i+1); !names[want] {
				t.Errorf("nobody is called %s: %v", want, names)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// A server that comes has the history of those that are there, each message once and in order.
func TestReplicaThatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestHub(t, Limits{History: 4})
		b, _ := newTestHub(t, Limits{History: 4})
		join2(t, a, b)
		_, _ = a.arrive("1", "Ann", "")
		_, _ = a.join("1", "lobby")
		for _, text := range []string{"1", "2", "3", "4", "5"} {
			if _, err := a.sayIn("1", "lobby", text, ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		c, _ := newTestHub(t, Limits{History: 4})
		c.node, c.seen = "c", map[string]time.Time{}
		c.adopt(a.everything())
		c.adopt(b.everything())
		_, _ = c.arrive("2", "Bob", "")
		joined, err := c.join("2", "lobby")
		var texts []string
		for i, m := range joined.History {
			texts = append(texts, m.Text)
			if m.ID != uint64(i+1) {
				t.Errorf("message %d has number %d", i, m.ID)
			}
		}
		if err != nil || strings.Join(texts, " ") != "2 3 4 5" || len(joined.Members) != 2 {
			t.Errorf("history %q, %d members, %v", texts, len(joined.Members), err)
		}
	})
}
