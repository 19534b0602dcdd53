package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A world is a run in which everything went well: two servers, a receiver on each, a sender on A, and a message to both
// every 10 ms. Tests damage it.
type world struct {
	messages  []Message
	receivers []Receiver
	rules     Rules
}

const ms = time.Millisecond

func fine() *world {
	w := &world{rules: Rules{Settle: 50 * ms, Reach: 30 * ms, Killed: map[string]Times{}}}
	w.receivers = []Receiver{
		{Name: "here", Rooms: []string{"all"}, Sessions: []Session{{ID: "1", Node: "A", Until: 2000 * ms}}},
		{Name: "there", Rooms: []string{"all"}, Sessions: []Session{{ID: "2", Node: "B", Until: 2000 * ms}}},
	}
	for n := range 100 {
		at := 100*ms + time.Duration(n)*10*ms
		k := Key{"s", n}
		w.messages = append(w.messages, Message{Key: k, To: "all", Node: "A", Process: "A1", Outcome: Acked, Began: at, Ended: at + ms})
		for i := range w.receivers {
			s := &w.receivers[i].Sessions[0]
			s.Receipts = append(s.Receipts, Receipt{Key: k, Origin: "A1-1", At: at + 2*ms})
		}
	}
	return w
}

func (w *world) run() *Report { return Run(w.messages, w.receivers, w.rules) }

// of returns the receipts of "here" (0) or "there" (1).
func (w *world) of(i int) *[]Receipt { return &w.receivers[i].Sessions[0].Receipts }

// drop has the receiver miss message n.
func (w *world) drop(i, n int) {
	*w.of(i) = slices.DeleteFunc(*w.of(i), func(r Receipt) bool { return r.N == n })
}

type counts struct{ due, lost, repeated, reordered, stray, away, outage, killed, again int }

func of(r *Report) counts {
	return counts{r.Due, r.Lost, r.Repeated, r.Reordered, r.Stray, r.Away, r.Outage, r.Killed, r.Again}
}

func TestRun(t *testing.T) {
	outage := func(nodes ...string) func(*world) {
		return func(w *world) {
			w.rules.Outages = []Outage{{From: 600 * ms, Until: 600 * ms, Nodes: nodes}}
			w.drop(1, 50) // sent at 600 ms
		}
	}
	// next gives "here" another session on B, in which it receives message n.
	next := func(n int, at Times) func(*world) {
		return func(w *world) {
			r := &w.receivers[0]
			r.Sessions = append(r.Sessions, Session{ID: "3", Node: "B", From: 1095 * ms, Until: 3000 * ms,
				Receipts: []Receipt{{Key: Key{"s", n}, Origin: "A1-1", At: at}}})
		}
	}
	for name, c := range map[string]struct {
		damage func(*world)
		want   counts
		says   string
	}{
		"all is well": {func(*world) {}, counts{due: 200}, ""},
		"a message is lost": {func(w *world) { w.drop(1, 50) }, counts{due: 200, lost: 1},
			"lost: s/50 to all, emitted by A1 between 600ms and 601ms; there was on B from 0s until 2s"},
		"a message comes twice": {func(w *world) {
			r := *w.of(0)
			*w.of(0) = slices.Insert(slices.Clone(r), 51, r[50])
		}, counts{due: 200, repeated: 1}, "repeated: here received s/50 at 602ms (origin A1-1) and again at 602ms (origin A1-1, on A)"},
		"a message comes again in another session": {next(99, 1100*ms), counts{due: 200, again: 1}, ""},
		"a message comes again long afterwards":    {next(99, 1200*ms), counts{due: 200, repeated: 1}, "and again"},
		"with recovery no message comes again": {func(w *world) {
			next(99, 1100*ms)(w)
			w.rules.Recovery = true
		}, counts{due: 200, repeated: 1}, "and again"},
		"a message comes late, in another session": {func(w *world) {
			w.drop(0, 50)
			next(99, 1100*ms)(w)
			w.receivers[0].Sessions[1].Receipts[0].Key = Key{"s", 50}
		}, counts{due: 200}, ""},
		"with recovery no message comes late": {func(w *world) {
			w.drop(0, 50)
			next(99, 1100*ms)(w)
			w.receivers[0].Sessions[1].Receipts[0].Key = Key{"s", 50}
			w.rules.Recovery = true
		}, counts{due: 200, reordered: 1}, "reordered: here received s/50 at 1.1s, after s/99"},
		"two messages change places": {func(w *world) {
			r := *w.of(1)
			r[50], r[51] = r[51], r[50]
		}, counts{due: 200, reordered: 1}, "reordered: there received s/50 at 602ms, after s/51 at 612ms, both of origin A1-1, on B"},
		"what different origins emit has no order": {func(w *world) {
			r := *w.of(1)
			r[50], r[51] = r[51], r[50]
			r[50].Origin = "A1-2"
		}, counts{due: 200}, ""},
		"one gets what nobody sent": {func(w *world) {
			*w.of(0) = append(*w.of(0), Receipt{Key: Key{"x", 1}})
		}, counts{due: 200, stray: 1}, "which nobody sent"},
		"one gets what is for another": {func(w *world) {
			w.messages[50].To = "2"
		}, counts{due: 200, stray: 1}, "stray: here received s/50, which is to 2"},
		"a message to one does not reach him": {func(w *world) {
			w.messages[50].To = "2"
			w.drop(0, 50)
			w.drop(1, 50)
		}, counts{due: 199, lost: 1}, "lost: s/50 to 2"},
		"what was not acknowledged may be missing": {func(w *world) {
			w.messages[50].Outcome, w.messages[51].Outcome = Failed, Unknown
			w.drop(0, 50)
			w.drop(1, 50)
			w.drop(1, 51)
		}, counts{due: 196}, ""},
		"who is not there yet gets nothing": {func(w *world) {
			w.receivers[1].Sessions[0].From = 580 * ms // in the room by 630 ms
			for n := range 53 {
				w.drop(1, n)
			}
		}, counts{due: 147, away: 53}, ""},
		"who is there gets everything": {func(w *world) {
			w.receivers[1].Sessions[0].From = 580 * ms
			for n := range 54 {
				w.drop(1, n)
			}
		}, counts{due: 147, lost: 1, away: 53}, "lost: s/53"},
		"who goes misses what is on its way": {func(w *world) {
			w.receivers[1].Sessions[0].Until = 620 * ms
			for n := 50; n < 100; n++ {
				w.drop(1, n) // 50 is sent until 601 ms and may take until 631 ms
			}
		}, counts{due: 150, away: 50}, ""},
		"and nothing before": {func(w *world) {
			w.receivers[1].Sessions[0].Until = 632 * ms
			for n := 50; n < 100; n++ {
				w.drop(1, n)
			}
		}, counts{due: 151, lost: 1, away: 49}, "lost: s/50"},
		"an outage":                    {outage(), counts{due: 199, outage: 1}, ""},
		"an outage of the origin":      {outage("A"), counts{due: 199, outage: 1}, ""},
		"an outage of the destination": {outage("B"), counts{due: 199, outage: 1}, ""},
		"an outage elsewhere":          {outage("C"), counts{due: 200, lost: 1}, "lost: s/50"},
		"an outage is no excuse on the same server": {func(w *world) {
			w.rules.Outages = []Outage{{From: 600 * ms, Until: 600 * ms}}
			w.drop(0, 50)
		}, counts{due: 200, lost: 1}, "lost: s/50"},
		"an outage at another time": {func(w *world) {
			w.rules.Outages = []Outage{{From: 632 * ms, Until: 700 * ms}, {From: 500 * ms, Until: 599 * ms}}
			w.drop(1, 50)
		}, counts{due: 200, lost: 1}, "lost: s/50"},
		"a server dies with it": {func(w *world) {
			w.rules.Killed["A1"] = 630 * ms
			w.drop(1, 50)
		}, counts{due: 199, killed: 1}, ""},
		"a server dies later": {func(w *world) {
			w.rules.Killed["A1"] = 632 * ms
			w.drop(1, 50)
		}, counts{due: 200, lost: 1}, "lost: s/50"},
		"recovery leaves no excuse": {func(w *world) {
			w.rules.Recovery = true
			w.rules.Outages = []Outage{{From: 0, Until: 2000 * ms}}
			w.receivers[1].Sessions[0].Until = 600 * ms
			w.drop(1, 50)
		}, counts{due: 200, lost: 1}, "there was away"},
		"recovery can't bring what died with a server": {func(w *world) {
			w.rules.Recovery = true
			w.rules.Killed["A1"] = 602 * ms
			w.drop(1, 50)
		}, counts{due: 199, killed: 1}, ""},
		"recovery brings what has left the server": {func(w *world) {
			w.rules.Recovery = true
			w.rules.Killed["A1"] = 602 * ms
			w.drop(0, 50) // but B had it
		}, counts{due: 200, lost: 1}, "lost: s/50"},
		"recovery begins with the first session": {func(w *world) {
			w.rules.Recovery = true
			w.receivers[1].Sessions[0].From = 580 * ms
			for n := range 53 {
				w.drop(1, n)
			}
		}, counts{due: 147, away: 53}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := fine()
			c.damage(w)
			r := w.run()
			if got := of(r); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			err := r.Err()
			if (err != nil) != (c.says != "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
				t.Errorf("says %v, want %q", err, c.says)
			}
		})
	}
}

// Whatever is taken out, doubled or moved is found, wherever it is.
func TestEveryPlace(t *testing.T) {
	for n := range 99 {
		w := fine()
		w.drop(1, n)
		r := *w.of(0)
		r[n], r[n+1] = r[n+1], r[n]
		w.receivers = append(w.receivers, Receiver{Name: "third", Rooms: []string{"all"}, Sessions: []Session{
			{ID: "3", Node: "B", Until: 2000 * ms, Receipts: slices.Insert(slices.Clone(*fine().of(1)), n, Receipt{Key: Key{"s", n}})},
		}})
		if got, want := of(w.run()), (counts{due: 300, lost: 1, repeated: 1, reordered: 1}); got != want {
			t.Errorf("at %d: got %+v, want %+v", n, got, want)
		}
	}
}

func TestExamplesAreFew(t *testing.T) {
	w := fine()
	for n := range 100 {
		w.drop(1, n)
	}
	r := w.run()
	if r.Lost != 100 || len(r.Examples) != maxExamples {
		t.Errorf("%d lost, %d examples", r.Lost, len(r.Examples))
	}
	if text := fmt.Sprint(r.Err()); strings.Count(text, "\n") != maxExamples {
		t.Errorf("%s", text)
	}
}
