package adapter

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A LogHub is a [Hub] with a log, for clients that come back to another server of the process: give [LogHub.Adapter] to
// each as its adapter. It is the reference implementation of [Log].
type LogHub struct {
	// Keep is how many entries the log of a namespace keeps. Zero means 10,000. It must not change once it is in use.
	Keep int

	hub  Hub
	mu   sync.Mutex
	logs map[string]*hubLog // by namespace
}

// Adapter is a [Factory].
func (h *LogHub) Adapter(host Host) Adapter {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.logs[host.Namespace()]
	if l == nil {
		l = &hubLog{keep: h.Keep, sessions: make(map[string]hubSession)}
		if l.keep <= 0 {
			l.keep = 10_000
		}
		if h.logs == nil {
			h.logs = make(map[string]*hubLog)
		}
		h.logs[host.Namespace()] = l
	}
	return &logAdapter{hubAdapter: h.hub.Adapter(host).(*hubAdapter), log: l}
}

// hubLog is the log of a namespace. An entry is delivered to all servers before the next one is appended.
type hubLog struct {
	keep int

	mu        sync.Mutex
	entries   []Entry
	last      int64
	followers []*logAdapter

	sessionsMu sync.Mutex
	sessions   map[string]hubSession
	swept      time.Time
}

type hubSession struct {
	s       *Session // nil once it was taken
	expires time.Time
}

type logAdapter struct {
	*hubAdapter
	log       *hubLog
	logHost   LogHost
	following bool // guarded by log.mu
}

func hubPosition(n int64) string { return fmt.Sprintf("%012d", n) }

func parseHubPosition(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if len(s) != 12 || err != nil || n < 0 {
		return 0, fmt.Errorf("adapter: %q is no position", s)
	}
	return n, nil
}

// Follow implements [Log].
func (a *logAdapter) Follow(h LogHost) {
	a.log.mu.Lock()
	defer a.log.mu.Unlock()
	a.logHost, a.following = h, true
	a.log.followers = append(a.log.followers, a)
	h.Reached(hubPosition(a.log.last))
}

// Append implements [Log].
func (a *logAdapter) Append(op Operation) error {
	l := a.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if !a.following {
		return ErrClosed
	}
	l.last++
	e := Entry{hubPosition(l.last), op}
	if len(l.entries) == l.keep {
		l.entries = slices.Delete(l.entries, 0, 1)
	}
	l.entries = append(l.entries, e)
	for _, f := range l.followers {
		f.logHost.Deliver(e, f == a)
	}
	return nil
}

// Read implements [Log].
func (a *logAdapter) Read(_ context.Context, after, until string, f func(Entry) bool) error {
	from, err := parseHubPosition(after)
	if err != nil {
		return err
	}
	to, err := parseHubPosition(until)
	if err != nil {
		return err
	}
	l := a.log
	l.mu.Lock()
	entries := slices.Clone(l.entries)
	first, last := l.last-int64(len(entries))+1, l.last
	l.mu.Unlock()
	if from+1 < first || from > last || to > last {
		return ErrTrimmed
	}
	for n := from + 1; n <= to; n++ {
		if !f(entries[n-first]) {
			return nil
		}
	}
	return nil
}

// Compare implements [Log].
func (a *logAdapter) Compare(x, y string) (int, error) {
	n, err := parseHubPosition(x)
	if err != nil {
		return 0, err
	}
	m, err := parseHubPosition(y)
	if err != nil {
		return 0, err
	}
	switch {
	case n < m:
		return -1, nil
	case n > m:
		return 1, nil
	}
	return 0, nil
}

// SaveSession implements [Log].
func (a *logAdapter) SaveSession(pid string, create bool, keep time.Duration, record func() *Session, done func(error)) error {
	s := record()
	l := a.log
	now := time.Now()
	l.sessionsMu.Lock()
	if now.After(l.swept) {
		l.swept = now.Add(time.Second)
		maps.DeleteFunc(l.sessions, func(_ string, old hubSession) bool { return now.After(old.expires) })
	}
	old, ok := l.sessions[pid]
	taken := ok && !create && (old.s == nil || old.s.Owner != s.Owner)
	switch {
	case taken:
	case keep <= 0:
		delete(l.sessions, pid)
	default:
		l.sessions[pid] = hubSession{s, now.Add(keep)}
	}
	l.sessionsMu.Unlock()
	if taken {
		done(ErrTaken)
	} else {
		done(nil)
	}
	return nil
}

// LoadSession implements [Log].
func (a *logAdapter) LoadSession(_ context.Context, pid string) (*Session, error) {
	a.log.sessionsMu.Lock()
	defer a.log.sessionsMu.Unlock()
	s := a.log.sessions[pid]
	if time.Now().After(s.expires) {
		return nil, nil
	}
	return s.s, nil
}

// TakeSession implements [Log].
func (a *logAdapter) TakeSession(_ context.Context, pid, owner string) (*Session, error) {
	a.log.sessionsMu.Lock()
	defer a.log.sessionsMu.Unlock()
	s := a.log.sessions[pid]
	if s.s == nil || s.s.Owner != owner || time.Now().After(s.expires) {
		return nil, nil
	}
	a.log.sessions[pid] = hubSession{nil, s.expires.Add(time.Minute)}
	return s.s, nil
}

// Close implements [Adapter].
func (a *logAdapter) Close() error {
	a.log.mu.Lock()
	a.following = false
	a.log.followers = slices.DeleteFunc(slices.Clone(a.log.followers), func(f *logAdapter) bool { return f == a })
	a.log.mu.Unlock()
	return a.hubAdapter.Close()
}

var _ Log = (*logAdapter)(nil)
