package chat

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

// ledger records what the hub says, in order.
type ledger struct {
	mu    sync.Mutex
	lines []string
	lists int
}

func (l *ledger) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *ledger) enter(id, room string) { l.add("%s enters %s", id, room) }
func (l *ledger) exit(id, room string)  { l.add("%s exits %s", id, room) }
func (l *ledger) toAll(event string, v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists++
}

func (l *ledger) toRoom(room, except, event string, v any) {
	switch v := v.(type) {
	case Presence:
		away := ""
		if v.User.Away {
			away = " away"
		}
		l.add("%s %s %s%s", room, event, v.User.Name, away)
	case Message:
		l.add("%s message %d %s: %s", room, v.ID, v.From.Name, v.Text)
	}
}

func (l *ledger) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.Join(l.lines, "; ")
	l.lines = nil
	return s
}

func newTestHub(t *testing.T, limits Limits) (*hub, *ledger) {
	l := &ledger{}
	h := newHub(limits, l, "lobby")
	t.Cleanup(h.close)
	return h, l
}

func code(err error) string {
	if e, ok := errors.AsType[*event.Error](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestConversation(t *testing.T) {
	h, l := newTestHub(t, Limits{})
	h.arrive("1", "Ada", "")
	h.arrive("2", "  Bob\n\u202e ", "")
	if j, err := h.join("1", " Lobby!"); err != nil || j.Room != "lobby" || len(j.Members) != 1 {
		t.Fatalf("join: %+v, %v", j, err)
	}
	h.sayIn("1", "lobby", "anybody?", "")
	j, err := h.join("2", "lobby")
	if err != nil || len(j.History) != 1 || j.History[0].Text != "anybody?" || len(j.Members) != 2 {
		t.Fatalf("join: %+v, %v", j, err)
	}
	h.typing("2", "lobby", true)
	h.sayIn("2", "lobby", "<b>me</b>", "")
	h.rename("2", "Rob")
	h.leave("2", "lobby")
	want := "lobby joined Ada; 1 enters lobby; lobby message 1 Ada: anybody?; lobby joined Bob; 2 enters lobby; " +
		"lobby typing Bob; lobby message 2 Bob: <b>me</b>; lobby changed Rob; lobby left Rob; 2 exits lobby"
	if got := l.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	h, _ := newTestHub(t, Limits{Users: 2, Rooms: 3, RoomsPerUser: 2, Text: 10, Burst: 3, Rate: 0.001})
	h.arrive("1", "Ada", "")
	h.arrive("2", "Bob", "")
	_, err := h.arrive("3", "Eve", "")
	check := func(what, want string, err error) {
		t.Helper()
		if got := code(err); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("a visitor too many", "full", err)
	_, err = h.join("1", "!!!")
	check("a room without a name", "bad_room", err)
	h.join("1", "lobby")
	h.join("1", "a")
	_, err = h.join("1", "b")
	check("a room too many for one", "too_many_rooms", err)
	h.join("2", "b")
	_, err = h.join("2", "c")
	check("a room too many", "full", err)
	_, err = h.sayIn("2", "lobby", "hello", "")
	check("a message from outside", "not_in_room", err)
	check("typing from outside", "not_in_room", h.typing("2", "lobby", true))
	_, err = h.sayIn("1", "lobby", "12345678901", "")
	check("a long message", "bad_text", err)
	_, err = h.sayIn("1", "lobby", " \n\u200b\x00 ", "")
	check("an empty message", "bad_text", err)
	_, err = h.rename("1", " \u202e ")
	check("an empty name", "bad_name", err)
	for range 3 {
		_, err = h.sayIn("1", "lobby", "hi", "")
		check("a message", "<nil>", err)
	}
	_, err = h.sayIn("1", "lobby", "hi", "")
	check("a flood", "slow_down", err)
	_, err = h.sayIn("nobody", "lobby", "hi", "")
	check("a stranger", "gone", err)
}

func TestHistoryIsBounded(t *testing.T) {
	h, _ := newTestHub(t, Limits{History: 5, Burst: 100})
	h.arrive("1", "Ada", "")
	h.join("1", "lobby")
	for i := range 12 {
		h.sayIn("1", "lobby", fmt.Sprint(i), "")
	}
	j, _ := h.join("1", "lobby")
	if len(j.History) != 5 || j.History[0].Text != "7" || j.History[4].ID != 12 {
		t.Errorf("history: %+v", j.History)
	}
}

func TestRepetition(t *testing.T) {
	h, l := newTestHub(t, Limits{})
	h.arrive("1", "Ada", "page")
	h.join("1", "lobby")
	h.arrive("2", "Eve", "other page")
	h.join("2", "lobby")
	first, _ := h.sayIn("1", "lobby", "once", "m1")
	h.lost("1")
	h.arrive("3", "Ada", "page")
	h.join("3", "lobby")
	l.take()
	again, err := h.sayIn("3", "lobby", "once", "m1")
	if err != nil || again.ID != first.ID || l.take() != "" {
		t.Errorf("a repetition became a message of its own: %+v, %v", again, err)
	}
	if m, _ := h.sayIn("2", "lobby", "mine", "m1"); m.Text != "mine" {
		t.Errorf("somebody else's key fetched %+v", m)
	}
}

func TestEmptyRoomsGo(t *testing.T) {
	h, _ := newTestHub(t, Limits{})
	h.arrive("1", "Ada", "")
	h.join("1", "secret")
	h.sayIn("1", "secret", "psst", "")
	h.leave("1", "secret")
	if list := h.list(); len(list) != 1 || list[0].Name != "lobby" {
		t.Errorf("rooms: %+v", list)
	}
	if j, _ := h.join("1", "secret"); len(j.History) != 0 {
		t.Errorf("the room's history outlived it: %+v", j.History)
	}
}

func TestNamesAreUnique(t *testing.T) {
	h, _ := newTestHub(t, Limits{Name: 7})
	var names []string
	for i, n := range []string{"Abelard", "abelard", "ABELARD", "", ""} {
		u, _ := h.arrive(fmt.Sprint(i), n, "")
		names = append(names, u.Name)
	}
	if got := strings.Join(names, ","); got != "Abelard,abela 2,ABELA 3,Guest 1,Guest 2" {
		t.Errorf("names: %s", got)
	}
	h.gone("0")
	if u, _ := h.rename("1", "Abelard"); u.Name != "Abelard" {
		t.Errorf("the name of one who left is still taken: %s", u.Name)
	}
}

func TestAwayAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := newTestHub(t, Limits{Grace: 30 * time.Second})
		h.arrive("1", "Ada", "key")
		h.join("1", "lobby")
		l.take()
		h.lost("1")
		time.Sleep(29 * time.Second)
		if _, ok := h.back("1"); !ok {
			t.Error("gone before the time was over")
		}
		h.lost("1")
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if got := l.take(); got != "lobby changed Ada away; lobby changed Ada; lobby changed Ada away" {
			t.Errorf("got %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := l.take(); got != "lobby left Ada away" {
			t.Errorf("got %s", got)
		}
		if _, ok := h.back("1"); ok || h.people() != 0 {
			t.Error("still there after the time was over")
		}

		h.arrive("2", "Ada", "key")
		h.lost("2")
		if u, _ := h.arrive("3", "Ada", "key"); u.Name != "Ada" || h.people() != 1 {
			t.Errorf("the same page on a new connection became %q, %d people", u.Name, h.people())
		}
		h.lost("3")
		if u, _ := h.arrive("4", "Ada", "other key"); u.Name != "Ada 2" {
			t.Errorf("another page took the place of one who is away: %q", u.Name)
		}
	})
}

func TestListIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := newTestHub(t, Limits{})
		for i := range 50 {
			h.arrive(fmt.Sprint(i), "", "")
			h.join(fmt.Sprint(i), "lobby")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if l.lists != 1 {
			t.Errorf("%d lists for 50 arrivals, want 1", l.lists)
		}
	})
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Ada", "Ada"}, {"  Ada \t Lovelace ", "Ada Lovelace"}, {"a\x00b\x1b[31m", "ab[31m"},
		{"\u202eevil\u2066", "evil"}, {strings.Repeat("é", 30), strings.Repeat("é", 24)}, {"\xff\xfe", ""}, {"\u2028a", "a"},
	} {
		if got := cleanName(c.in, 24); got != c.want {
			t.Errorf("cleanName(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"Go Nuts!", "go-nuts"}, {"--", ""}, {"#général", "général"}, {"a/../b", "a-b"}, {strings.Repeat("x", 99), strings.Repeat("x", 24)},
	} {
		if got := cleanRoom(c.in, 24); got != c.want {
			t.Errorf("cleanRoom(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	if s, ok := cleanText("a\r\nb\x07\n", 10); s != "a\nb" || !ok {
		t.Errorf("cleanText: %q, %v", s, ok)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"Ada", "\u202e<script>", "a\u200d\U0001f469", "--x--", "\xc3\x28"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := cleanName(s, 24)
		if cleanName(name, 24) != name || len([]rune(name)) > 24 || strings.ContainsAny(name, "\n\t\x00\u202e") {
			t.Errorf("cleanName(%q) = %q", s, name)
		}
		room := cleanRoom(s, 24)
		if len([]rune(room)) > 24 || strings.ContainsAny(room, " /<>\"'&") {
			t.Errorf("cleanRoom(%q) = %q", s, room)
		}
		if text, ok := cleanText(s, 50); ok && len([]rune(text)) > 50 {
			t.Errorf("cleanText(%q) = %q", s, text)
		}
	})
}
