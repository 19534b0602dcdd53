package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/internal/hooks"
)

// A Socket is a namespace of a server, on the connection of a [Client]. It outlives its connections: listeners stay, and
// what is emitted while there is none waits.
type Socket struct {
	client    *Client
	namespace string
	ids       atomic.Uint64 // of acknowledgements; they are never used twice, see Options.Retries
	dropped   atomic.Uint64 // the last session whose queued events are not handled any more

	// These are guarded by Client.mu.
	active      bool // somebody wants it to be connected
	opened      bool // Open was called, or Connect succeeded, since it was last inactive
	recovered   bool
	auth        func(context.Context) (any, error)
	sessions    uint64   // how many there were
	sess        *session // on the present connection, nil if there is none
	leftOn      *link    // the connection on which a session was left, until the next one is joined
	id          string
	pid, offset string // of the session that the server may recover
	once        string // the name of this socket for a server that drops repeats
	waiters     []*connectWaiter
	connectErr  error // of the last attempt
	rejoins     int   // attempts after a failed authentication
	rejoinTimer *time.Timer
	told        atomic.Int64 // errors that wait for OnError
	untold      atomic.Int64 // those that had no room

	acks     map[uint64]*ackWaiter
	buffer   buffer
	retries  retries
	flushers []chan struct{} // closed when there is less to wait for
	sentOn   *link           // the connection that took the last event, while it lasts
	sends    uint64          // how many events connections have taken
	flushed  uint64          // of those: how many Flush has seen off

	queue          queue
	listeners      listeners
	any            hooks.List[Handler]
	anyOutgoing    hooks.List[func(*Message)]
	onConnect      hooks.List[func()]
	onConnectError hooks.List[func(error)]
	onDisconnect   hooks.List[func(Reason, error)]
	onError        hooks.List[func(error)]
}

func newSocket(c *Client, namespace string) *Socket {
	return &Socket{client: c, namespace: namespace, auth: c.opts.Auth}
}

// Open makes the socket connect, and connect again whenever the connection is lost, until Disconnect. It does not wait.
func (s *Socket) Open() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if !s.client.closed {
		s.opened = true
		s.activate()
	}
}

// activate is called with c.mu held.
func (s *Socket) activate() {
	if s.active {
		return
	}
	s.active = true
	s.connectErr, s.rejoins = nil, 0
	if s.client.link != nil {
		s.join()
	} else {
		s.client.connect()
	}
}

// deactivate tells those who wait for the socket to be connected why it will not be. c.mu is held.
func (s *Socket) deactivate(err error) {
	s.active, s.opened = false, false
	s.stopRejoin()
	s.connectDone(err)
}

// A connectWaiter waits for the socket to be connected.
type connectWaiter struct {
	done chan error // has room for one
	once bool       // not for more than one attempt
}

// connectDone is called with c.mu held.
func (s *Socket) connectDone(err error) {
	if err == nil {
		s.opened = s.opened || len(s.waiters) > 0
	}
	for _, w := range s.waiters {
		w.done <- err
	}
	s.waiters = nil
}

// connectFailed is an attempt that failed, perhaps not the last one. c.mu is held.
func (s *Socket) connectFailed(err error) {
	if !s.active {
		return
	}
	s.connectErr = err
	notify(s, &s.onConnectError, func(f func(error)) { f(err) })
	s.waiters = slices.DeleteFunc(s.waiters, func(w *connectWaiter) bool {
		if w.once {
			w.done <- err
		}
		return w.once
	})
}

// Connect is Open that waits until the socket is connected. It returns a [*ConnectError] if the server refuses, and
// goes on trying otherwise, as [ReconnectOptions] say. When ctx ends, the socket is not open any more, unless somebody
// else opened it; the error is then ctx's, joined with that of the last attempt or with what the one under way has come to.
func (s *Socket) Connect(ctx context.Context) error { return s.connect(ctx, false) }

func (s *Socket) connect(ctx context.Context, once bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	c := s.client
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	if s.joined() {
		s.opened = true
		c.mu.Unlock()
		return nil
	}
	w := &connectWaiter{done: make(chan error, 1), once: once}
	s.waiters = append(s.waiters, w)
	s.activate()
	c.mu.Unlock()

	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(s.waiters, w)
	if i < 0 { // the answer came in the same instant
		return <-w.done
	}
	s.waiters = slices.Delete(s.waiters, i, i+1)
	err := ctx.Err()
	if s.connectErr != nil {
		err = fmt.Errorf("%w; last attempt: %w", err, s.connectErr)
	} else {
		err = fmt.Errorf("%w; %w", err, s.underWay(began))
	}
	if !s.opened && len(s.waiters) == 0 {
		s.leave(ErrDisconnected)
	}
	return err
}

// underWay says what an attempt has come to that has neither failed nor succeeded since it began. c.mu is held.
func (s *Socket) underWay(began time.Time) error {
	switch {
	case s.sess != nil && s.sess.phase == authenticating:
		return errors.New("client: Auth has not returned yet")
	case s.sess != nil:
		return fmt.Errorf("client: connected over %s, but the server has not let namespace %q in or refused it yet", s.sess.link.conn.Transport(), s.namespace)
	}
	failed := slices.DeleteFunc(s.client.history.all(), func(a engine.Attempt) bool { return a.Err == nil || a.At.Before(began) })
	if len(failed) > 0 {
		return &engine.DialError{Attempts: failed}
	}
	return errors.New("client: the server has not answered yet")
}

// Disconnect leaves the namespace, after what was emitted before has been sent. Events that wait for handlers are not
// handled any more, those that wait for a connection still do. If no other socket is open, the connection is closed.
func (s *Socket) Disconnect() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.leave(ErrDisconnected)
}

// leave is Disconnect with c.mu held; err is for those who wait for a connect.
func (s *Socket) leave(err error) {
	if !s.active {
		return
	}
	if sess := s.sess; sess != nil {
		switch sess.phase {
		case authenticating:
			s.drop(sess)
		case joining:
			sess.unwanted = true
		case joined:
			s.sendDisconnect(sess)
			s.leftOn = sess.link
			s.end(ReasonClientDisconnect, nil)
		}
	}
	s.deactivate(err)
	s.client.release()
}

// drop forgets a session that was not joined. c.mu is held.
func (s *Socket) drop(sess *session) {
	sess.cancel()
	s.sess = nil
}

// end ends the session. c.mu is held.
func (s *Socket) end(reason Reason, err error) {
	sess := s.sess
	s.drop(sess)
	if sess.phase != joined {
		return
	}
	if reason == ReasonClientDisconnect {
		s.dropped.Store(sess.number)
	}
	if reason == ReasonClientDisconnect || reason == ReasonServerDisconnect {
		s.pid, s.offset = "", "" // such a session is not recovered
	}
	s.id = ""
	s.failSent(ErrDisconnected)
	s.retries.interrupt(s, ErrDisconnected)
	notify(s, &s.onDisconnect, func(f func(Reason, error)) { f(reason, err) })
}

// lost is the end of the connection. c.mu is held.
func (s *Socket) lost(reason Reason, err error) {
	s.stopRejoin()
	s.leftOn = nil
	s.sentOn = nil
	sess := s.sess
	if sess == nil {
		return
	}
	s.end(reason, err)
	if sess.phase != joined && !sess.unwanted {
		if err == nil {
			err = ErrDisconnected
		}
		s.connectFailed(fmt.Errorf("client: %s before the server answered: %w", reason, err))
	}
}

// shut is the end of the client. It returns how many events are still to be sent. c.mu is held.
func (s *Socket) shut() (unsent int) {
	if s.joined() {
		s.sendDisconnect(s.sess)
		s.end(ReasonClientDisconnect, nil)
	}
	s.dropped.Store(s.sessions) // also those of connections before
	unsent = s.buffer.clear() + s.retries.clear()
	s.failSent(ErrClosed)
	s.deactivate(ErrClosed)
	s.wakeFlushers()
	return unsent
}

// joined is called with c.mu held.
func (s *Socket) joined() bool { return s.sess != nil && s.sess.phase == joined }

// ID returns what the server calls the socket, "" while it is not connected.
func (s *Socket) ID() string {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.id
}

// Namespace returns the name of the namespace, such as "/".
func (s *Socket) Namespace() string { return s.namespace }

// Client returns the client that the socket belongs to.
func (s *Socket) Client() *Client { return s.client }

// Connected reports whether the server has let the socket in.
func (s *Socket) Connected() bool {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.joined()
}

// Active reports whether the socket is connected or goes on trying to be.
func (s *Socket) Active() bool {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.active
}

// Recovered reports whether the last connect went on where the connection before it had ended: same id, same rooms, and
// every event that was missed is sent again. The server must have connection state recovery on.
func (s *Socket) Recovered() bool {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.recovered
}

// SetAuth replaces Options.Auth for this socket, from the next connect on.
func (s *Socket) SetAuth(auth func(context.Context) (any, error)) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.auth = auth
}
