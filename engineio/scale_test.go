//go:build unix

package engineio_test

import (
	"bufio"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

// Ten thousand clients connect at once: none is lost, each has a session of its own and
// each gets a broadcast.
func TestManyParallelConnects(t *testing.T) {
	count := 10_000
	if testing.Short() {
		count = 500
		t.Logf("-short: %d connections instead of 10,000", count)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Both ends of each connection are in this process; root may raise the limit.
	if need := uint64(2*count + 500); limit.Cur < need {
		raised := syscall.Rlimit{Cur: need, Max: max(limit.Max, need)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			before := limit
			defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }()
			limit = raised
		}
	}
	if room := (int(min(limit.Cur, 1<<20)) - 500) / 2; room < count {
		t.Logf("the limit of %d open files leaves room for %d connections instead of %d", limit.Cur, room, count)
		count = room
	}
	// On a busy machine this takes longer than the default interval between pings.
	s := newServer(t, &engineio.Options{PingInterval: time.Hour})
	var lost atomic.Int64
	conns := make([]net.Conn, count)
	readers := make([]*bufio.Reader, count)
	ids := make([]string, count)
	inParallel(count, func(i int) {
		id, conn, br, err := connect(s)
		if err != nil {
			lost.Add(1)
			t.Errorf("connection %d: %v", i, err)
			return
		}
		ids[i], conns[i], readers[i] = id, conn, br
	})
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	if n := lost.Load(); n > 0 {
		t.Fatalf("%d of %d connections were lost", n, count)
	}
	if n := s.engine.Sessions(); n != count {
		t.Fatalf("%d sessions, want %d", n, count)
	}
	different := make(map[string]bool, count)
	for _, id := range ids {
		different[id] = true
	}
	if len(different) != count {
		t.Fatalf("%d different ids, want %d", len(different), count)
	}

	m := engineio.NewMessage(false, []byte("everybody"))
	s.engine.All(func(session *engineio.Session) bool {
		if err := session.Send(m); err != nil {
			t.Error(err)
		}
		return true
	})
	inParallel(count, func(i int) {
		f, err := readFrame(readers[i])
		if err != nil || string(f.Payload) != "4everybody" {
			t.Errorf("connection %d: %q, %v", i, f.Payload, err)
		}
	})
}

// A session at rest on WebSocket costs the goroutine that reads, and no other.
func TestGoroutinesAtRest(t *testing.T) {
	const count = 100
	s := newServer(t, nil)
	for range count {
		_, conn, _, err := connect(s)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	// Handlers return and what other tests have left goes, in its own time.
	var readers, all int
	for deadline := time.Now().Add(s.guard); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if readers, all = engineGoroutines(); readers == count && all == count {
			return
		}
	}
	t.Errorf("%d sessions at rest have %d goroutines, of which %d read", count, all, readers)
}

// engineGoroutines counts the goroutines that the engine has, and those of them that read
// from a WebSocket.
func engineGoroutines() (readers, all int) {
	buf := make([]byte, 8<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(stack, "sockeye/engineio.(") {
			continue
		}
		all++
		if strings.Contains(stack, "(*webSocket).read(") {
			readers++
		}
	}
	return readers, all
}

// inParallel calls f with 0 to n-1, as many at a time as a listener's backlog takes
// without a retry of the kernel's, which would take a second.
func inParallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 256 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
