package presence

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio"
)

// A network joins servers, badly if a test wants so.
type network struct {
	hub adapter.Hub
	// fate says what becomes of a message on its way to a server; nil delivers all.
	fate func(to *node) fate

	mu    sync.Mutex
	total traffic
}

// traffic is what servers have sent.
type traffic struct{ messages, bytes, largest int }

func (net *network) sent() traffic {
	net.mu.Lock()
	defer net.mu.Unlock()
	return net.total
}

type fate int

const (
	deliver fate = iota
	drop
	repeat
	late // after the next one
)

// A node is a server of the cluster.
type node struct {
	net *network
	io  *socketio.Server
	p   *Presence

	mu     sync.Mutex
	cut    bool // nothing comes in or goes out
	broken bool // what goes out is an error
	held   *adapter.Packet
}

type nodeHost struct {
	adapter.Host
	n *node
}

func (h nodeHost) ServerSideEmit(p *adapter.Packet, answer func(*adapter.Packet)) {
	n := h.n
	n.mu.Lock()
	cut := n.cut
	what := deliver
	if n.net.fate != nil {
		what = n.net.fate(n)
	}
	held := n.held
	n.held = nil
	if what == late && held == nil && !cut {
		n.held = p
	}
	n.mu.Unlock()
	if !cut && what != drop && (what != late || held != nil) {
		h.Host.ServerSideEmit(p, answer)
		if what == repeat {
			h.Host.ServerSideEmit(p, answer)
		}
	}
	if held != nil && !cut {
		h.Host.ServerSideEmit(held, answer)
	}
}

type nodeAdapter struct {
	adapter.Adapter
	n *node
}

var errBroken = errors.New("no broker")

func (a nodeAdapter) ServerSideEmit(p *adapter.Packet) error {
	n := a.n
	n.mu.Lock()
	cut, broken := n.cut, n.broken
	n.mu.Unlock()
	if broken {
		return errBroken
	}
	n.net.mu.Lock()
	n.net.total.messages++
	n.net.total.bytes += len(p.Data)
	n.net.total.largest = max(n.net.total.largest, len(p.Data))
	n.net.mu.Unlock()
	if cut {
		return nil
	}
	return a.Adapter.ServerSideEmit(p)
}

// start starts a server.
func (net *network) start(opts *Options, server ...*socketio.Options) *node {
	n := &node{net: net}
	o := &socketio.Options{NoClient: true}
	if len(server) > 0 {
		o = server[0]
	}
	o.Logger = slog.New(slog.DiscardHandler)
	o.Adapter = func(h adapter.Host) adapter.Adapter {
		return nodeAdapter{net.hub.Adapter(nodeHost{h, n}), n}
	}
	n.io = socketio.NewServer(o)
	n.p = New(n.io.Of("/"), opts)
	return n
}

// set cuts a server off, or connects it again.
func (n *node) set(cut, broken bool) {
	n.mu.Lock()
	n.cut, n.broken = cut, broken
	n.mu.Unlock()
}

// join and leave are what the namespace would report.
func (n *node) join(room, id string) {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	n.p.join(room, id, jsontext.Value(fmt.Sprintf(`{"name":%q}`, id)))
}

func (n *node) leave(room, id string) {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	n.p.leave(room, id)
}

// places returns how many members the server has of its own.
func (n *node) places() int {
	for _, s := range n.p.Servers() {
		if s.Self {
			return s.Places
		}
	}
	return 0
}

// sees returns what a server knows, as text.
func (n *node) sees() string {
	var lines []string
	for _, room := range n.p.Rooms() {
		var ids []string
		for _, m := range n.p.Members(room) {
			var data struct{ Name string }
			if err := m.Data(&data); err != nil || data.Name != m.ID {
				ids = append(ids, fmt.Sprintf("%s with wrong data %q, %v", m.ID, data.Name, err))
				continue
			}
			ids = append(ids, m.ID)
		}
		slices.Sort(ids)
		if len(ids) != n.p.Count(room) {
			ids = append(ids, "wrong count")
		}
		lines = append(lines, room+": "+strings.Join(ids, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A ledger checks that events take turns and that they add up to what is there.
type ledger struct {
	mu    sync.Mutex
	there map[string]bool
	wrong []string
	log   []string
}

func (n *node) ledger() *ledger {
	l := &ledger{there: map[string]bool{}}
	n.p.mu.Lock()
	for _, r := range n.p.view.rooms {
		for id := range r.members {
			l.there[r.name+" "+id] = true
		}
	}
	n.p.mu.Unlock()
	n.p.OnChange(func(e Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		key := e.Room + " " + e.Member.ID
		if l.there[key] == (e.Kind == Joined) {
			l.wrong = append(l.wrong, fmt.Sprint(e.Kind, " ", key))
		}
		l.there[key] = e.Kind == Joined
		l.log = append(l.log, fmt.Sprint(e.Kind, " ", key))
	})
	return l
}

func (l *ledger) check(n *node) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) > 0 {
		return fmt.Errorf("events out of turn: %q", l.wrong)
	}
	now := map[string]bool{}
	for _, room := range n.p.Rooms() {
		for _, m := range n.p.Members(room) {
			now[room+" "+m.ID] = true
		}
	}
	maps.DeleteFunc(l.there, func(_ string, there bool) bool { return !there })
	if !maps.Equal(now, l.there) {
		return fmt.Errorf("events add up to %v, there are %v", l.there, now)
	}
	return nil
}

func (l *ledger) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	l.log = nil
	return log
}

func stop(nodes ...*node) {
	for _, n := range nodes {
		n.p.Close()
		n.io.Close()
	}
}

func expectEqual(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
