package announce_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/peers/announce"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ peers.Directory = (*announce.Directory)(nil)

// A cuttable adapter fails, and hears nothing, while it is cut.
type cuttable struct {
	adapter.Adapter
	cut *atomic.Bool
}

var errCut = errors.New("cut")

func (c cuttable) ServerSideEmit(p *adapter.Packet) error {
	if c.cut.Load() {
		return errCut
	}
	return c.Adapter.ServerSideEmit(p)
}

type node struct {
	*announce.Directory
	io  *socketio.Server
	cut *atomic.Bool
}

func start(t *testing.T, hub *adapter.Hub, id string) *node {
	t.Helper()
	n := &node{cut: new(atomic.Bool)}
	n.io = socketio.NewServer(&socketio.Options{Adapter: func(h adapter.Host) adapter.Adapter {
		return cuttable{hub.Adapter(h), n.cut}
	}})
	var err error
	n.Directory, err = announce.New(n.io.Of("/"), announce.Options{ID: id, URL: "http://" + id + ":3000"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.Close() // the server may have been closed before
		_ = n.io.Close()
	})
	return n
}

func (n *node) knows(t *testing.T, ids ...string) {
	t.Helper()
	if n.Len() != len(ids) {
		t.Errorf("%d servers are known, want %q", n.Len(), ids)
	}
	for _, id := range ids {
		if u, ok := n.Lookup(id); !ok || u != "http://"+id+":3000" {
			t.Errorf("%s is at %q, %v", id, u, ok)
		}
	}
}

func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub adapter.Hub
		a, b := start(t, &hub, "A"), start(t, &hub, "B")
		synctest.Wait()
		a.knows(t, "B")
		b.knows(t, "A")
		c := start(t, &hub, "C") // asks, and is told at once
		synctest.Wait()
		c.knows(t, "A", "B")
		a.knows(t, "B", "C")

		if err := b.Close(); err != nil { // says so
			t.Fatal(err)
		}
		synctest.Wait()
		a.knows(t, "C")
		b.knows(t)

		c.cut.Store(true) // says nothing any more
		time.Sleep(9 * time.Second)
		a.knows(t, "C")
		time.Sleep(6 * time.Second)
		a.knows(t)
		// But who can't speak itself does not take the others for gone.
		a.cut.Store(true)
		time.Sleep(time.Minute)
		c.knows(t, "A")
		a.cut.Store(false)
		c.cut.Store(false)
		time.Sleep(3 * time.Second)
		a.knows(t, "C")
		c.knows(t, "A")
	})
}

func TestWrongOptions(t *testing.T) {
	io := socketio.NewServer(nil)
	defer io.Close()
	for _, o := range []announce.Options{{}, {ID: "A"}, {ID: "A", URL: "10.0.0.2:3000"}, {URL: "http://10.0.0.2:3000"}} {
		if _, err := announce.New(io.Of("/"), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// What others send is not to be trusted to be well-formed.
func TestJunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub adapter.Hub
		a, b := start(t, &hub, "A"), start(t, &hub, "B")
		synctest.Wait()
		for _, junk := range []any{nil, 7, "x", map[string]any{}, map[string]any{"id": "C", "url": "nowhere"},
			map[string]any{"id": "C", "url": "file:///etc/passwd"}, map[string]any{"id": "A", "url": "http://elsewhere:1"}} {
			if err := b.io.Of("/").ServerSideEmit("sockeye:announce", junk); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		a.knows(t, "B")
	})
}
