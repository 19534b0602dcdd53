package socketio

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A connection is one Engine.IO session and the sockets that share it, one for each namespace. It is the session's
// receiver.
type connection struct {
	server  *Server
	session *engineio.Session

	// These are used on the read path only.
	decoder packet.Decoder
	broken  bool // the peer violated the protocol; what it still sends is ignored

	mu       sync.Mutex
	entries  []entry
	timer    *time.Timer // until a namespace is joined, then while attachments are awaited; nil otherwise
	awaiting bool        // the timer is for attachments
	closed   bool
}

// An entry is a namespace of a connection.
type entry struct {
	name  string
	state entryState
	busy  bool    // an attempt to join is going on, perhaps although the client has left again
	s     *Socket // nil until the namespace is known, and after it was left
}

type entryState uint8

const (
	entryConnecting entryState = iota
	entryJoined
	// entryLeft remains after either side left: events of the client that were on their way are no violation.
	entryLeft
)

// accept is called by the Engine.IO server with every new session, before anything is read from it.
func (srv *Server) accept(session *engineio.Session) engineio.Receiver {
	c := &connection{server: srv, session: session}
	c.decoder.Limits, c.decoder.Format = srv.limits, srv.opts.Format
	c.timer = time.AfterFunc(srv.opts.ConnectTimeout, c.connectTimeout)
	return c
}

func (c *connection) connectTimeout() {
	c.mu.Lock()
	joined := c.joined()
	c.mu.Unlock()
	if !joined {
		c.server.log.Debug("socketio: no namespace joined in time", "session", c.session.ID())
		c.session.Close()
	}
}

// joined reports whether a namespace is joined. c.mu is held.
func (c *connection) joined() bool {
	return slices.ContainsFunc(c.entries, func(e entry) bool { return e.state == entryJoined })
}

// stopTimer is called with c.mu held.
func (c *connection) stopTimer() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// find returns the index of the entry for a namespace, or -1. c.mu is held.
func (c *connection) find(name string) int {
	for i := range c.entries {
		if c.entries[i].name == name {
			return i
		}
	}
	return -1
}

// Message implements [engineio.Receiver].
func (c *connection) Message(binary bool, data []byte) {
	if c.broken {
		return
	}
	var p packet.Packet
	var complete bool
	var err error
	if binary {
		p, complete, err = c.decoder.Binary(data)
	} else {
		p, complete, err = c.decoder.Text(data)
		if err == nil && !complete {
			err = c.awaitAttachments()
		}
	}
	switch {
	case err != nil:
		c.violation(err)
	case complete:
		if binary {
			c.mu.Lock()
			if c.awaiting {
				c.stopTimer()
				c.awaiting = false
			}
			c.mu.Unlock()
		}
		c.receive(&p)
	}
}

// awaitAttachments gives the attachments of a packet a time limit. Who is in no namespace yet, and so perhaps nobody we
// know, may not have us keep any.
func (c *connection) awaitAttachments() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.joined() {
		return fmt.Errorf("%w: attachments before a namespace was joined", errViolation)
	}
	c.stopTimer()
	c.awaiting = true
	c.timer = time.AfterFunc(c.server.opts.Limits.AttachmentTimeout, func() { c.fail(errAttachmentTimeout) })
	return nil
}

func (c *connection) receive(p *packet.Packet) {
	if p.Type == packet.Connect {
		c.connect(p)
		return
	}
	c.mu.Lock()
	i := c.find(p.Namespace)
	var e entry
	if i >= 0 {
		e = c.entries[i]
		if p.Type == packet.Disconnect && e.state == entryConnecting {
			c.entries[i].state = entryLeft
		}
	}
	c.mu.Unlock()
	switch {
	case i < 0, p.Type == packet.ConnectError:
		c.violation(fmt.Errorf("%w: %v for %q", errViolation, p.Type, p.Namespace))
	case e.state == entryLeft:
	case p.Type == packet.Disconnect:
		if e.state == entryJoined {
			e.s.close(ReasonClientDisconnect, nil)
			c.leave(p.Namespace, e.s) // close has, unless another goroutine is at it
		}
	case e.state == entryConnecting:
		c.violation(fmt.Errorf("%w: %v before the namespace was joined", errViolation, p.Type))
	case p.Type == packet.Event:
		if !e.s.receiveEvent(p) {
			e.s.tell(errQueueFull)
			c.server.log.Debug("socketio: closing connection", "session", c.session.ID(), "error", errQueueFull)
			e.s.close(ReasonQueueFull, errQueueFull)
			c.broken = true
			c.session.Close()
		}
	case p.Type == packet.Ack:
		if !p.HasID {
			return // Node ignores it too
		}
		if w := e.s.takeAck(p.ID); w != nil {
			w.resolve(event.NewAck(p.Data, p.Attachments), nil)
		}
	}
}

// violation ends the connection of a peer that broke the protocol. It runs on the read path.
func (c *connection) violation(err error) {
	c.broken = true
	c.fail(err)
}

// fail closes the connection and tells its sockets why.
func (c *connection) fail(err error) {
	c.server.log.Debug("socketio: closing connection", "session", c.session.ID(), "error", err)
	sockets := c.sockets()
	for _, s := range sockets {
		s.tell(err)
	}
	if len(sockets) == 0 {
		c.server.failed(nil, "connection", err)
	}
	c.session.Close()
}

func (c *connection) sockets() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	sockets := make([]*Socket, 0, len(c.entries))
	for _, e := range c.entries {
		if e.s != nil {
			sockets = append(sockets, e.s)
		}
	}
	return sockets
}

// Closed implements [engineio.Receiver]. The session may call it from within a Send, whose caller may hold locks that
// the sockets need.
func (c *connection) Closed(reason engineio.CloseReason, err error) {
	c.server.work.add()
	go c.end(Reason(reason), err)
}

func (c *connection) end(reason Reason, err error) {
	defer c.server.work.done()
	if reason == ReasonForcedClose && c.server.closing.Load() {
		reason = ReasonServerShutdown
	}
	c.mu.Lock()
	c.closed = true
	c.stopTimer()
	c.mu.Unlock()
	for _, s := range c.sockets() {
		if !s.close(reason, err) {
			s.cancel() // its middlewares may still be running
		}
	}
}

// hasEnded reports whether the client is gone.
func (c *connection) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// connect begins to join a namespace.
func (c *connection) connect(p *packet.Packet) {
	if len(p.Data) > c.server.opts.Limits.MaxAuthBytes {
		c.refuse(p.Namespace, &ConnectError{Message: "Auth payload too large"})
		return
	}
	c.mu.Lock()
	i := c.find(p.Namespace)
	if i < 0 && len(c.entries) >= c.server.opts.Limits.MaxNamespaces {
		// Make room by forgetting a namespace that was left.
		i = slices.IndexFunc(c.entries, func(e entry) bool { return e.state == entryLeft && !e.busy })
		if i < 0 {
			c.mu.Unlock()
			c.refuse(p.Namespace, &ConnectError{Message: "Too many namespaces"})
			return
		}
	}
	fresh := entry{name: p.Namespace, busy: true}
	switch {
	case i < 0:
		c.entries = append(c.entries, fresh)
	case c.entries[i].state == entryLeft && !c.entries[i].busy:
		c.entries[i] = fresh
	default:
		c.mu.Unlock()
		c.violation(fmt.Errorf("%w: namespace %q is joined already", errViolation, p.Namespace))
		return
	}
	c.mu.Unlock()

	name, auth := p.Namespace, p.Data
	ns, undecided, err := c.server.lookup(name)
	switch {
	case err != nil:
		c.reject(name, err)
	case ns == nil && len(undecided) == 0:
		c.reject(name, errInvalidNamespace)
	case ns != nil && len(ns.use.Snapshot()) == 0 && (c.server.store == nil || len(auth) == 0):
		c.join(ns, auth) // nothing in it waits
	default:
		c.server.work.add()
		go func() {
			defer c.server.work.done()
			if ns == nil {
				var err error
				if ns, err = c.decide(undecided, name, auth); err != nil {
					c.reject(name, err)
					return
				}
			}
			c.join(ns, auth)
		}()
	}
}

// decide asks the functions of [Server.OfFunc] in turn.
func (c *connection) decide(parents []*Parent, name string, auth jsontext.Value) (*Namespace, error) {
	s := newSocket(c.server.root, c, auth) // only for its context, which ends with the connection
	c.setSocket(name, s)
	for _, parent := range parents {
		var ok bool
		err := protect(func() (err error) {
			ok, err = parent.match(s.Context(), name, auth)
			return err
		})
		if err != nil {
			c.server.log.Warn("socketio: deciding about a namespace", "namespace", name, "error", err)
			c.server.failed(nil, "OfFunc", err)
			continue
		}
		if ok {
			return c.server.createForClient(name, parent)
		}
	}
	return nil, errInvalidNamespace
}

// setSocket notes the socket of an entry and reports whether the connection still wants it.
func (c *connection) setSocket(name string, s *Socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.find(name)
	if i < 0 || c.closed || c.entries[i].state != entryConnecting {
		return false
	}
	c.entries[i].s = s
	return true
}

// endAttempt notes that an attempt to join has failed.
func (c *connection) endAttempt(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.find(name); i >= 0 {
		c.entries[i] = entry{name: name, state: entryLeft}
	}
}

// leave forgets a socket that was joined.
func (c *connection) leave(name string, s *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.find(name); i >= 0 && c.entries[i].s == s {
		c.entries[i] = entry{name: name, state: entryLeft}
	}
}

var errInvalidNamespace = &ConnectError{Message: "Invalid namespace"}

// reject answers that there is no such namespace to join.
func (c *connection) reject(name string, err error) {
	c.endAttempt(name)
	c.refuse(name, err)
}

// refuse answers that a namespace can't be joined.
func (c *connection) refuse(name string, err error) {
	h := packet.Header{Type: packet.ConnectError, Namespace: name}
	m, encodeErr := c.server.encodeValue(h, connectErrorFor(err))
	if encodeErr != nil {
		c.server.log.Warn("socketio: data of a ConnectError can't be sent", "namespace", name, "error", encodeErr)
		m, _ = c.server.encodeValue(h, connectErrorBody{Message: err.Error()})
	}
	_ = c.session.Send(m) // a session that has ended needs no answer
}

// join makes a socket in the namespace, if the middlewares agree.
func (c *connection) join(ns *Namespace, auth jsontext.Value) {
	name := ns.name
	for !ns.acquire() { // cleaned up a moment ago
		ns = c.server.create(name, ns.parent)
	}
	s := newSocket(ns, c, auth)
	if l := ns.cluster.Load(); l != nil {
		l.awaitBeginning(s)
	}
	recovered := ns.recoverSession(s)
	if !c.setSocket(name, s) {
		s.abandon(false)
		c.endAttempt(name)
		return
	}
	if recovered {
		ns.guardRecovered(s)
	}
	if !recovered || c.server.opts.Recovery.RunMiddlewares || s.m.log.shared != nil && s.m.log.shared.foreign {
		if err := ns.runMiddlewares(s); err != nil {
			there := s.Context().Err() == nil
			s.abandon(there)
			c.endAttempt(name) // before the client hears of it: it may try again at once
			if there {
				c.logRefusal(s, err)
				c.refuse(name, err)
			}
			return
		}
	}
	if !c.admit(s) {
		ended := s.m.ended()
		s.abandon(false)
		c.endAttempt(name)
		if ended {
			c.refuse(name, &ConnectError{Message: "Session has ended"})
		}
	}
}

func (c *connection) logRefusal(s *Socket, err error) {
	c.server.log.Debug("socketio: middleware refused client", "namespace", s.ns.name, "session", c.session.ID(), "error", err)
	if connectErrorFor(err).Message == "internal error" {
		c.server.log.Warn("socketio: middleware failed", "namespace", s.ns.name, "session", c.session.ID(), "error", err)
		c.server.failed(s, "middleware", err)
	}
}

// admit completes a connect: the client is told, and from then on the socket receives events and broadcasts.
func (c *connection) admit(s *Socket) bool {
	if !s.recovered {
		s.ns.addMember(s.m) // before the client can know that it is connected; broadcasts pass it over until then
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.find(s.ns.name)
	if c.closed || i < 0 || c.entries[i].state != entryConnecting {
		return false
	}
	if !s.connected() {
		return false
	}
	if s.m.log != nil && s.m.log.shared != nil {
		s.m.log.shared.c.enter(s.m) // before anything can happen to it
	}
	c.entries[i].state, c.entries[i].busy = entryJoined, false
	s.push(task{run: s.runConnection})
	if !c.awaiting {
		c.stopTimer()
	}
	return true
}
