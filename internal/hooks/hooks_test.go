package hooks

import "testing"

func TestList(t *testing.T) {
	var l List[func() int]
	if len(l.Snapshot()) != 0 {
		t.Error("zero value is not empty")
	}
	one := l.Add(func() int { return 1 })
	l.Add(func() int { return 2 })
	before := l.Snapshot()
	one.Close()
	one.Close()
	l.Add(func() int { return 3 })
	sum := func(list []*func() int) (digits int) {
		for _, f := range list {
			digits = 10*digits + (*f)()
		}
		return digits
	}
	if got := sum(before); got != 12 {
		t.Errorf("a snapshot changed: %d", got)
	}
	if got := sum(l.Snapshot()); got != 23 {
		t.Errorf("got %d", got)
	}
}
