package nats

import (
	"log/slog"
	"testing"
	"time"
)

// What comes faster than it is handled is dropped at a limit, counted, and taken again when there is room; a message that
// is larger than the limit is taken when nothing else waits.
func TestInboxIsBounded(t *testing.T) {
	b, err := Open(Options{URL: "nats://127.0.0.1:1", MaxUnread: 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	handled := make(chan string)
	i := newInbox(b, func(payload []byte) { handled <- string(payload) })
	i.take([]byte("first"))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		i.mu.Lock()
		taken := len(i.queue) == 0
		i.mu.Unlock()
		if taken || time.Now().After(end) {
			break
		}
	}
	i.take([]byte("a large one, much larger"))
	for range 5 {
		i.take([]byte("more"))
	}
	if got := b.Stats().Dropped; got != 5 {
		t.Errorf("%d dropped", got)
	}
	for _, want := range []string{"first", "a large one, much larger"} {
		if got := <-handled; got != want {
			t.Errorf("handled %q, want %q", got, want)
		}
	}
	i.take([]byte("again"))
	select {
	case got := <-handled:
		if got != "again" {
			t.Errorf("handled %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing is taken any more")
	}
	i.close()
	i.take([]byte("late"))
	if n := b.unread.Load(); n != 0 {
		t.Errorf("%d bytes are unread", n)
	}
}
