package sockeyetest_test

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A fakeTB is a test that may fail without the real one doing so.
type fakeTB struct {
	testing.TB
	said     []string
	cleanups []func()
}

func (f *fakeTB) Helper()                  {}
func (f *fakeTB) Cleanup(c func())         { f.cleanups = append(f.cleanups, c) }
func (f *fakeTB) Context() context.Context { return f.TB.Context() }
func (f *fakeTB) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *fakeTB) Logf(format string, args ...any)   { f.TB.Logf(format, args...) }
func (f *fakeTB) Fatal(args ...any)                 { f.said = append(f.said, fmt.Sprint(args...)); runtime.Goexit() }
func (f *fakeTB) Fatalf(format string, args ...any) { f.Errorf(format, args...); runtime.Goexit() }

// failing runs a test that must fail, and its cleanups, and returns what it said.
func failing(t *testing.T, test func(t testing.TB)) string {
	t.Helper()
	f := &fakeTB{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		test(f)
	}()
	<-ended
	for _, c := range slices.Backward(f.cleanups) {
		c()
	}
	if len(f.said) == 0 {
		t.Fatal("it does not fail")
	}
	return strings.Join(f.said, "\n")
}

var randomID = regexp.MustCompile(`(id|as|peer) [A-Za-z0-9_-]{20}`)

// expectText compares what a test said. Ids may be any, and what happened at the same time is in no order.
func expectText(t *testing.T, got, want string) {
	t.Helper()
	got = randomID.ReplaceAllString(got, "$1 ID")
	got = strings.ReplaceAll(got, "json: cannot ", "json: unable to ") // the package says either, so that nobody relies on it
	want = strings.TrimPrefix(want, "\n")
	if sortHistory(got) != sortHistory(want) {
		t.Errorf("it said\n%s\n\ninstead of\n%s", got, want)
	}
}

func sortHistory(text string) string {
	head, history, _ := strings.Cut(text, "    history")
	lines := strings.Split(history, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	slices.Sort(lines)
	return head + strings.Join(lines, "\n")
}
