package nats

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) {
	seen := map[string]string{}
	long := strings.Repeat("x", 200)
	for _, name := range []string{
		"", "%", "%25", "a", "A", "a.b", "a%2Eb", "a b", "*", ">", "ü", "\x00", "/", "all", "a\n", long, long + "y",
		strings.Repeat("ü", 100), strings.Repeat("x", maxToken), strings.Repeat("x", maxToken+1), "%%" + strings.Repeat("0", 64),
	} {
		got := token(name)
		if !validPrefix(got) || strings.Contains(got, ".") || len(got) > maxToken {
			t.Errorf("%q is %q", name, got)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q are both %q", name, other, got)
		}
		seen[got] = name
	}
}

func FuzzToken(f *testing.F) {
	f.Add("a", "b")
	f.Add("%2E", ".")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := token(a), token(b)
		if (x == y) != (a == b) || !validPrefix(x) || strings.Contains(x, ".") || len(x) > maxToken {
			t.Errorf("%q is %q, %q is %q", a, x, b, y)
		}
	})
}

func TestParts(t *testing.T) {
	now := time.Unix(1, 0)
	var j joiner
	feed := func(parts ...[]byte) (got [][]byte, failed int) {
		for _, p := range parts {
			message, err := j.join(p, now)
			if err != nil {
				failed++
			} else if message != nil {
				got = append(got, message)
			}
		}
		return got, failed
	}
	message := bytes.Repeat([]byte("0123456789"), 100)
	a, b := split([8]byte{1}, message, 64), split([8]byte{2}, message[1:], 100)
	// Those of two senders, mixed, and a small one between.
	var mixed [][]byte
	for i := range a {
		mixed = append(mixed, a[i])
		if i < len(b) {
			mixed = append(mixed, b[i])
		}
		if i == 3 {
			mixed = append(mixed, []byte("small"))
		}
	}
	got, failed := feed(mixed...)
	if failed != 0 || len(got) != 3 || string(got[0]) != "small" || !bytes.Equal(got[1], message[1:]) || !bytes.Equal(got[2], message) {
		t.Fatalf("%d messages, %d failed", len(got), failed)
	}
	// A message with a part missing is lost, and the next is not.
	if got, failed := feed(append(append(a[:3:3], a[4:]...), a...)...); failed == 0 || len(got) != 1 || !bytes.Equal(got[0], message) {
		t.Errorf("%d messages, %d failed", len(got), failed)
	}
	if got, _ := feed(append(a[:3:3], a...)...); len(got) != 1 || !bytes.Equal(got[0], message) {
		t.Errorf("%d messages", len(got))
	}
	if len(j.partial) != 0 || j.bytes != 0 {
		t.Errorf("%d left, %d bytes", len(j.partial), j.bytes)
	}
	// Senders that never go on don't take the place of others for ever.
	for i := range maxSenders {
		feed(split([8]byte{9, byte(i), byte(i >> 8)}, message, 64)[0])
	}
	if _, failed := feed(a...); failed == 0 {
		t.Error("there is no limit")
	}
	now = now.Add(2 * partTimeout)
	if got, failed := feed(a...); failed != 0 || len(got) != 1 {
		t.Errorf("%d failed", failed)
	}
}

func FuzzParts(f *testing.F) {
	f.Add([]byte("{}"), 20)
	f.Add(split([8]byte{1}, []byte("some text"), 16)[1], 15)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		var j joiner
		_, _ = j.join(data, time.Unix(0, 0))
		if len(data) == 0 || limit <= partHeader || limit > 1<<20 {
			return
		}
		var got []byte
		for _, p := range split([8]byte{2}, data, limit) {
			if len(p) > limit {
				t.Fatalf("a part has %d bytes of %d", len(p), limit)
			}
			var err error
			if got, err = j.join(p, time.Unix(0, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("%q became %q", data, got)
		}
	})
}

// What anybody may publish harms no directory.
func FuzzDirectory(f *testing.F) {
	f.Add([]byte(`{"id":"A","url":"http://a","ask":true}`))
	f.Add([]byte(`{"id":"B"}`))
	b, err := Open(Options{URL: "nats://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	defer b.Close()
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &Directory{b: b, self: entry{ID: "me", URL: "http://me"}, servers: make(map[string]known)}
		d.take(data)
		for id, k := range d.servers {
			if e := (entry{ID: id, URL: k.url}); id == "" || id == "me" || !e.valid() {
				t.Errorf("knows %q at %q", id, k.url)
			}
		}
	})
}
