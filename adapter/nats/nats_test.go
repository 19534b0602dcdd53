package nats_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
)

func TestOptions(t *testing.T) {
	for name, o := range map[string]nats.Options{
		"negative":     {MaxQueued: -1},
		"address":      {URL: "nats://"},
		"wildcard":     {Prefix: "a.*"},
		"empty token":  {Prefix: "a..b"},
		"space":        {Prefix: "a b"},
		"system's own": {Prefix: "$SYS"},
	} {
		if b, err := nats.Open(o); err == nil {
			_ = b.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestClose(t *testing.T) {
	s := startNATS(t, -1)
	a, b := memberOf(t, open(t, s.ClientURL()), "/"), memberOf(t, open(t, s.ClientURL()), "/")
	ready(t, a, b)
	// What was published before is sent.
	for range 1000 {
		a.emit(t, `["x"]`)
	}
	if err := a.Adapter.Close(); err != nil {
		t.Error(err)
	}
	if err := a.broker.Close(); err != nil {
		t.Error(err)
	}
	if err := a.broker.Close(); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	eventually(t, "the last", func() bool { return len(b.received()) == 1000 })
	ready(t, b) // it has said goodbye
	if err := a.Adapter.Broadcast(event(`["x"]`), adapter.Target{}); err == nil {
		t.Error("a closed adapter takes broadcasts")
	}
	// A broker that never connected closes, too.
	nowhere := openWith(t, nats.Options{URL: "nats://127.0.0.1:1"})
	memberOf(t, nowhere, "/")
	if err := nowhere.Close(); err != nil {
		t.Error(err)
	}
}

func TestQueueIsBounded(t *testing.T) {
	s := startNATS(t, -1)
	a := memberOf(t, openWith(t, nats.Options{URL: s.ClientURL(), MaxQueued: 1000}), "/")
	eventually(t, "a full queue", func() bool {
		for range 1000 {
			if err := a.Adapter.Broadcast(event(`["x"]`), adapter.Target{}); err != nil {
				return errors.Is(err, nats.ErrQueueFull)
			}
		}
		return false
	})
}

func TestDirectory(t *testing.T) {
	s := startNATS(t, -1)
	const interval = time.Second // five of which nobody may be late
	directory := func(id, url string) *nats.Directory {
		t.Helper()
		d, err := open(t, s.ClientURL()).Directory(nats.DirectoryOptions{ID: id, URL: url, Interval: interval})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	finds := func(d *nats.Directory, id, want string) {
		t.Helper()
		eventually(t, "the address of "+id, func() bool {
			got, ok := d.Lookup(id)
			return got == want && ok == (want != "")
		})
	}
	a, b := directory("A", "http://10.0.0.1:3000"), directory("B", "https://b.example")
	finds(a, "B", "https://b.example")
	finds(b, "A", "http://10.0.0.1:3000")
	c := directory("C", "http://c")
	finds(c, "A", "http://10.0.0.1:3000")
	finds(c, "B", "https://b.example")
	if _, ok := a.Lookup("A"); ok || c.Len() != 2 {
		t.Error("a server finds itself")
	}
	// Who leaves is gone at once.
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	finds(a, "C", "")
	// Who moves is found.
	directory("C", "http://elsewhere")
	finds(a, "C", "http://elsewhere")
	// Who dies is forgotten.
	dying := open(t, s.ClientURL())
	if _, err := dying.Directory(nats.DirectoryOptions{ID: "D", URL: "http://d", Interval: interval}); err != nil {
		t.Fatal(err)
	}
	finds(a, "D", "http://d")
	if err := dying.Close(); err != nil {
		t.Error(err)
	}
	finds(a, "D", "")
	for _, o := range []nats.DirectoryOptions{{}, {ID: "A"}, {ID: "A", URL: "a.example"}, {ID: "A", URL: "ftp://a"}} {
		if _, err := dying.Directory(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// Without a broker, nobody is forgotten.
func TestDirectoryOutlivesNATS(t *testing.T) {
	s := startNATS(t, -1)
	o := nats.DirectoryOptions{ID: "A", URL: "http://a", Interval: 20 * time.Millisecond}
	a, err := open(t, s.ClientURL()).Directory(o)
	if err != nil {
		t.Fatal(err)
	}
	o.ID = "B"
	other := open(t, s.ClientURL())
	if _, err := other.Directory(o); err != nil {
		t.Fatal(err)
	}
	eventually(t, "B", func() bool { return a.Len() == 1 })
	stopNATS(s)
	eventually(t, "the end", func() bool { return !other.Stats().Connected })
	time.Sleep(300 * time.Millisecond) // nothing happens, which is what is tested
	if a.Len() != 1 {
		t.Error("B was forgotten")
	}
}
