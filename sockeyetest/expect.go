package sockeyetest

import (
	"fmt"
	"strings"
	"testing"
)

// Expect waits for the next event, which must be this one, and returns it.
func (b *End) Expect(t testing.TB, name string, args ...any) Event {
	t.Helper()
	want := E(name, args...)
	values := mustEncode(t, want)
	got, ok := b.take()
	if !ok {
		t.Fatal(b.report("no event came", []field{{"expected", want.String()}}))
	}
	if differences := differ(want.Name, values, got); len(differences) > 0 {
		t.Fatal(b.report("the next event is another one", append([]field{
			{"expected", want.String()}, {"received", got.String()},
		}, difference(differences)...)))
	}
	return got
}

// ExpectEventually waits for this event and returns it. Others before it stay to be looked at.
func (b *End) ExpectEventually(t testing.TB, name string, args ...any) Event {
	t.Helper()
	want := E(name, args...)
	values := mustEncode(t, want)
	got, ok := b.pick(func(e Event) bool { return len(differ(want.Name, values, e)) == 0 })
	if !ok {
		fields := []field{{"expected", want.String()}}
		if near, found := b.nearest(want.Name, values); found {
			fields = append(fields, field{"nearest", near.String()})
			fields = append(fields, difference(differ(want.Name, values, near))...)
		}
		t.Fatal(b.report("the event did not come", fields))
	}
	return got
}

// nearest finds the event of the name that differs in the fewest places.
func (b *End) nearest(name string, values []any) (near Event, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	least := 0
	for _, e := range b.unread {
		if e.Name != name {
			continue
		}
		if n := len(differ(name, values, e)); !found || n < least {
			near, least, found = e, n, true
		}
	}
	return near, found
}

// ExpectSet waits for as many events, which must be these, in any order.
func (b *End) ExpectSet(t testing.TB, events ...Event) {
	t.Helper()
	wanted := make([][]any, len(events))
	for i, e := range events {
		wanted[i] = mustEncode(t, e)
	}
	var got []Event
	for range events {
		e, ok := b.take()
		if !ok {
			break
		}
		got = append(got, e)
	}
	missing, surplus := match(len(events), len(got), func(i, j int) bool {
		return len(differ(events[i].Name, wanted[i], got[j])) == 0
	})
	if len(missing) == 0 {
		return
	}
	var fields []field
	for _, i := range missing {
		fields = append(fields, field{"missing", events[i].String()})
	}
	for _, j := range surplus {
		fields = append(fields, field{"instead", got[j].String()})
	}
	problem := fmt.Sprintf("of %d events in any order %d did not come", len(events), len(missing))
	t.Fatal(b.report(problem, fields))
}

// match pairs what fits, as much of it as possible, and returns what is left on both sides. An expectation with Any in
// it may fit several events, so the first that fits is not always the right one.
func match(wants, gots int, fits func(want, got int) bool) (missing, surplus []int) {
	owner := make([]int, gots) // of each that came: the expectation, or -1
	for j := range owner {
		owner[j] = -1
	}
	var place func(i int, tried []bool) bool
	place = func(i int, tried []bool) bool {
		for j := range owner {
			if tried[j] || !fits(i, j) {
				continue
			}
			tried[j] = true
			if owner[j] < 0 || place(owner[j], tried) {
				owner[j] = i
				return true
			}
		}
		return false
	}
	for i := range wants {
		if !place(i, make([]bool, gots)) {
			missing = append(missing, i)
		}
	}
	for j, i := range owner {
		if i < 0 {
			surplus = append(surplus, j)
		}
	}
	return missing, surplus
}

// ExpectNone checks that there is no event that was not looked at, after everything has come to rest (see
// [Server.Settle]).
func (b *End) ExpectNone(t testing.TB) {
	t.Helper()
	b.settle(t)
	b.mu.Lock()
	n := len(b.unread)
	b.mu.Unlock()
	switch n {
	case 0:
	case 1:
		t.Fatal(b.report("there is an event, and none is expected", nil))
	default:
		t.Fatal(b.report(fmt.Sprintf("there are %d events, and none is expected", n), nil))
	}
}

// mustEncode returns the arguments of an event that the test expects.
func mustEncode(t testing.TB, e Event) []any {
	t.Helper()
	values, err := e.values()
	if err != nil {
		t.Fatalf("the expected event can't be sent: %v", err)
	}
	return values
}

// differ returns how an event is another than the one of this name and these arguments.
func differ(name string, values []any, got Event) []string {
	if got.Name != name {
		return []string{fmt.Sprintf("it is %q and not %q", got.Name, name)}
	}
	came, err := got.values()
	if err != nil {
		return []string{err.Error()}
	}
	return compare(values, came)
}

// maxDifferences is how many places are listed.
const maxDifferences = 10

func difference(lines []string) []field {
	if n := len(lines) - maxDifferences; n > 0 {
		lines = append(lines[:maxDifferences:maxDifferences], fmt.Sprintf("and %d more", n))
	}
	return []field{{"difference", strings.Join(lines, "\n")}}
}
