package socketio

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/internal/hooks"
)

// A Parent stands for the namespaces that a pattern or function makes. What is added to it, middlewares and
// connection listeners, is copied to each namespace when that is made. What is emitted reaches all of them.
type Parent struct {
	server  *Server
	pattern *regexp.Regexp
	match   func(ctx context.Context, name string, auth jsontext.Value) (bool, error)

	connect hooks.List[func(*Socket)]
	use     hooks.List[Middleware]
	events  sharedHandlers

	mu       sync.Mutex
	children []*Namespace
}

// OnConnection calls f with the sockets of every child that is made from now on.
func (p *Parent) OnConnection(f func(*Socket)) Subscription { return p.connect.Add(f) }

// Use adds a middleware to every child that is made from now on.
func (p *Parent) Use(m Middleware) Subscription { return p.use.Add(m) }

// Children returns the namespaces that exist now, in the order in which they were made.
func (p *Parent) Children() []*Namespace {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.children)
}

// adopt makes ns a child. The server is locked.
func (p *Parent) adopt(ns *Namespace) {
	ns.connect.Start(p.connect.Snapshot())
	ns.use.Start(p.use.Snapshot())
	p.mu.Lock()
	p.children = append(p.children, ns)
	p.mu.Unlock()
}

func (p *Parent) disown(ns *Namespace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children = slices.DeleteFunc(p.children, func(child *Namespace) bool { return child == ns })
}

func (p *Parent) all() Broadcast { return Broadcast{parent: p} }

// To returns a [Broadcast] to the rooms in every child.
func (p *Parent) To(rooms ...string) Broadcast { return p.all().To(rooms...) }

// Except returns a Broadcast to every child without the rooms.
func (p *Parent) Except(rooms ...string) Broadcast { return p.all().Except(rooms...) }

// Local returns a Broadcast to the sockets of this server in every child.
func (p *Parent) Local() Broadcast { return p.all().Local() }

// Volatile returns a Broadcast to every child that may be lost.
func (p *Parent) Volatile() Broadcast { return p.all().Volatile() }

// Emit sends an event to every socket of every child.
func (p *Parent) Emit(event string, args ...any) error { return p.all().Emit(event, args...) }

// Send is Emit of the event "message".
func (p *Parent) Send(args ...any) error { return p.Emit("message", args...) }

// each calls f for every child and joins the errors.
func (p *Parent) each(f func(*Namespace) error) error {
	var errs []error
	for _, ns := range p.Children() {
		errs = append(errs, f(ns))
	}
	return errors.Join(errs...)
}
