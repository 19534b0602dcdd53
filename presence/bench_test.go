package presence

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
)

// BenchmarkMemory is what a member of another server takes here, in a room of a hundred and with no data.
func BenchmarkMemory(b *testing.B) {
	p := &Presence{ns: socketio.NewServer(nil).Of("/"), wake: make(chan struct{}, 1), view: newView()}
	p.view.changed = p.changed
	p.self = p.view.addServer("self")
	s := p.view.addServer("other")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		p.view.join(s, fmt.Sprint("room", n/100), fmt.Sprintf("%020d", n), nil)
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "heap-B/member")
	runtime.KeepAlive(p)
}

// BenchmarkTell is what a join costs from the socket to the view of the other server, with its share of the message, when
// many join at a time.
func BenchmarkTell(b *testing.B) {
	net := new(network)
	here, there := net.start(nil), net.start(nil)
	defer stop(here, there)
	time.Sleep(3 * time.Second)
	before := net.sent().bytes
	n := 0
	for b.Loop() {
		here.p.mu.Lock()
		here.p.join(fmt.Sprint("room", n%1000), fmt.Sprintf("%020d", n), nil)
		here.p.mu.Unlock()
		n++
	}
	for there.p.total() < n {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(net.sent().bytes-before)/float64(n), "wire-B/join")
}

func (p *Presence) total() (n int) {
	for _, s := range p.Servers() {
		n += s.Places
	}
	return n
}

func BenchmarkCount(b *testing.B) {
	net := new(network)
	here := net.start(nil)
	defer stop(here)
	here.join("room", "x")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			here.p.Count("room")
		}
	})
}
