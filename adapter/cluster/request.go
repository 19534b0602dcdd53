package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
)

// defaultRequestTimeout is how long answers are waited for that nobody set a time for, as in Node.
const defaultRequestTimeout = 5 * time.Second

// A request waits for answers of the other servers. It is guarded by Adapter.mu.
type request struct {
	expected int             // how many servers were asked
	missing  map[string]bool // those known by name that have not answered; nil if the broker counts
	answered map[string]bool
	departed int      // servers that went away instead of answering
	names    []string // of these, where they are known

	sockets []adapter.Socket
	packets []*adapter.Packet
	// Of acknowledgements:
	answer  func(*adapter.Packet) // called with the order of the answers kept
	asked   map[string]int        // clients that have not answered, by server
	clients int
	dead    map[string]bool // servers whose answers don't count any more

	err     error
	changed chan struct{} // has room for one: something came
}

// ask sends a message to the other servers and returns the request that takes their answers.
func (a *Adapter) ask(ctx context.Context, m *Message, answer func(*adapter.Packet)) (*request, error) {
	r := &request{
		answered: make(map[string]bool), asked: make(map[string]int), answer: answer, changed: make(chan struct{}, 1),
	}
	if a.counting {
		n, err := a.bus.Servers(ctx)
		if err != nil {
			return nil, err
		}
		r.expected = max(n-1, 0)
	} else {
		if err := a.settle(ctx); err != nil {
			return nil, err
		}
		r.missing = make(map[string]bool)
	}
	m.RequestID = NewUID()
	a.mu.Lock()
	if r.missing != nil {
		r.expected = len(a.servers)
		for uid := range a.servers {
			r.missing[uid] = true
		}
	}
	a.requests[m.RequestID] = r
	a.mu.Unlock()
	if err := a.publish(m); err != nil {
		a.drop(m.RequestID)
		return nil, err
	}
	return r, nil
}

func (a *Adapter) drop(id string) {
	a.mu.Lock()
	delete(a.requests, id)
	a.mu.Unlock()
}

// answered takes an answer.
func (a *Adapter) answered(m *Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.requests[m.RequestID]
	if r == nil {
		return // too late
	}
	switch m.Type {
	case SocketsResponse:
		if r.first(m.UID) {
			r.sockets = append(r.sockets, m.Sockets...)
		}
	case ServerSideResponse:
		if r.first(m.UID) {
			r.packets = append(r.packets, m.Packet)
		}
	case BroadcastClientCount:
		if r.first(m.UID) {
			r.clients += m.Clients
			r.asked[m.UID] += m.Clients
		}
	case BroadcastAck:
		if r.dead[m.UID] {
			return // it is counted already
		}
		r.asked[m.UID]--
		r.packets = append(r.packets, m.Packet) // nil for who left
	}
	r.wake()
}

// first reports whether a server answers for the first time.
func (r *request) first(uid string) bool {
	if r.answered[uid] {
		return false
	}
	r.answered[uid] = true
	delete(r.missing, uid)
	return true
}

// gone is a server that went away.
func (r *request) gone(uid string) {
	if r.missing[uid] {
		delete(r.missing, uid)
		r.departed++
		r.names = append(r.names, uid)
	}
	for n := r.asked[uid]; n > 0; n-- {
		r.packets = append(r.packets, nil) // its clients won't answer
	}
	delete(r.asked, uid)
	if r.dead == nil {
		r.dead = make(map[string]bool)
	}
	r.dead[uid] = true
	r.wake()
}

func (r *request) end(err error) {
	r.err = err
	r.wake()
}

func (r *request) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// reported reports whether every server has answered that is going to.
func (r *request) reported() bool {
	if r.missing != nil {
		return len(r.missing) == 0
	}
	return len(r.answered)+r.departed >= r.expected
}

// wait hands over what has come until every server has reported and done, which is called with a.mu held, says that it
// is enough. The error is a *adapter.MissingError if servers are
// missing, and also if some went away instead of answering.
func (a *Adapter) wait(ctx context.Context, id string, r *request, done func() bool) error {
	defer a.drop(id)
	var recount <-chan time.Time
	if a.counting {
		ticker := time.NewTicker(a.opts.Recount)
		defer ticker.Stop()
		recount = ticker.C
	}
	for {
		if r.answer != nil {
			a.mu.Lock()
			packets := r.packets
			r.packets = nil
			a.mu.Unlock()
			for _, p := range packets {
				r.answer(p)
			}
		}
		a.mu.Lock()
		err := r.err
		finished := err != nil || (r.reported() && done())
		a.mu.Unlock()
		if finished {
			return a.missing(r, err)
		}
		select {
		case <-r.changed:
		case <-recount:
			a.recount(ctx, r)
		case <-ctx.Done():
			return a.missing(r, ctx.Err())
		}
	}
}

// recount finds out whether servers are still there that have not answered, or whose clients have not.
func (a *Adapter) recount(ctx context.Context, r *request) {
	if prober, ok := a.bus.(Prober); ok {
		a.mu.Lock()
		var owing []string
		for uid, n := range r.asked {
			if n > 0 {
				owing = append(owing, uid)
			}
		}
		a.mu.Unlock()
		for _, uid := range owing {
			if alive, err := prober.Alive(ctx, uid); err == nil && !alive {
				a.mu.Lock()
				r.gone(uid)
				a.mu.Unlock()
			}
		}
	}
	n, err := a.bus.Servers(ctx)
	if err != nil {
		return // it is not known
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if there := max(n-1, len(r.answered)); !r.reported() && there < r.expected {
		r.departed = max(r.departed, r.expected-there)
		r.wake()
	}
}

// missing makes the error of a request that has ended.
func (a *Adapter) missing(r *request, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(err, adapter.ErrClosed) {
		return err
	}
	received := len(r.answered)
	if received >= r.expected {
		return nil // acknowledgements that are missing are the caller's affair
	}
	e := &adapter.MissingError{Expected: r.expected, Received: received, Missing: r.names, Err: err}
	for uid := range r.missing {
		e.Missing = append(e.Missing, uid)
	}
	slices.Sort(e.Missing)
	return e
}

func always() bool { return true }

// bounded returns a context that ends when answers are not waited for any more.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok && timeout <= 0 {
		return ctx, func() {}
	}
	if timeout <= 0 {
		timeout = defaultRequestTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

// Sockets implements [adapter.Adapter].
func (a *Adapter) Sockets(ctx context.Context, t adapter.Target) ([]adapter.Socket, error) {
	ctx, cancel := bounded(ctx, t.Timeout)
	defer cancel()
	m := &Message{Type: FetchSockets, Target: t}
	r, err := a.ask(ctx, m, nil)
	if err != nil {
		return nil, err
	}
	err = a.wait(ctx, m.RequestID, r, always)
	return r.sockets, err
}

// ServerSideEmitWithAck implements [adapter.Adapter].
func (a *Adapter) ServerSideEmitWithAck(ctx context.Context, p *adapter.Packet) ([]*adapter.Packet, error) {
	ctx, cancel := bounded(ctx, 0)
	defer cancel()
	m := &Message{Type: ServerSideEmit, Packet: p}
	r, err := a.ask(ctx, m, nil)
	if err != nil {
		return nil, err
	}
	err = a.wait(ctx, m.RequestID, r, always)
	return r.packets, err
}

// BroadcastWithAck implements [adapter.Adapter].
func (a *Adapter) BroadcastWithAck(ctx context.Context, p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, error) {
	ctx, cancel := bounded(ctx, t.Timeout)
	defer cancel()
	received := 0
	m := &Message{Type: Broadcast, Packet: p, Target: t, Leavers: true}
	r, err := a.ask(ctx, m, func(p *adapter.Packet) {
		received++
		answer(p)
	})
	if err != nil {
		return 0, err
	}
	err = a.wait(ctx, m.RequestID, r, func() bool { return received >= r.clients })
	return r.clients, err
}
