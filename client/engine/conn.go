package engine

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// Receiver consumes what happens on a connection.
type Receiver interface {
	// Message is called for each message from the server, one call at a time, in
	// order. data is valid only during the call. It runs on the path that also
	// reads heartbeats, so it must not block.
	Message(binary bool, data []byte)
	// Closed is called exactly once, last, when the connection's other goroutines
	// have ended. err may be nil.
	Closed(reason Reason, err error)
}

// Reason says why a connection ended, in the words of the stock client.
type Reason string

const (
	// ReasonTransportClose: the server closed the connection.
	ReasonTransportClose Reason = "transport close"
	// ReasonTransportError: the connection broke; the error says how.
	ReasonTransportError Reason = "transport error"
	// ReasonPingTimeout: nothing was heard of the server for too long.
	ReasonPingTimeout Reason = "ping timeout"
	// ReasonParseError: the server sent something that is no Engine.IO, or too much
	// of it.
	ReasonParseError Reason = "parse error"
	// ReasonForcedClose: Close or Abort was called.
	ReasonForcedClose Reason = "forced close"
)

// Message is what Send sends. Data must not be changed afterwards. Data that is
// not Binary must be UTF-8, and for polling and streaming it must not contain the
// character U+001E, which has no escape there; JSON has none.
type Message struct {
	Binary bool
	Data   []byte
}

// Conn is one connection to a server, over whichever transport it uses at the
// moment. Its methods are safe for concurrent use.
type Conn struct {
	receiver Receiver

	// What the server's handshake says.
	id         string
	interval   time.Duration
	timeout    time.Duration
	maxPayload int

	// What is left of the options once the connection stands.
	maxMessage     int
	maxOutbox      int
	attemptTimeout time.Duration
	onAttempt      func(Attempt)
	onUpgrade      func(from, to string)
	log            *slog.Logger
	wall           func() time.Time
	memory         *Memory
	key            string // of the server in memory

	opened    time.Time
	heard     atomic.Int64 // when something arrived last, in ns since opened
	heardWall atomic.Int64 // the same by the wall clock, in ns since 1970
	spoke     atomic.Int64 // when something was sent last, in ns since opened
	over      atomic.Bool  // no more messages are delivered

	mu        sync.Mutex
	state     connState
	flushing  bool // somebody writes, or has claimed to
	switching bool // the old transport is being left; nothing is written
	bye       bool // the server is being told that this is the end
	ponging   bool // a WebSocket pong is queued
	running   int  // goroutines; the last one calls Closed
	transport transport
	tail      transport     // the one before, while it still delivers
	requests  *requests     // nil once there are none to make
	queue     *batch        // the outbox; nil when empty
	waiting   int           // cost of queue and of what is being written
	pushed    uint64        // packets that have entered the outbox
	written   uint64        // packets that have left it
	progress  chan struct{} // closed when written, flushing or state change; nil if nobody waits
	abandon   func()        // ends an upgrade that has not begun to switch
	timer     *time.Timer
	closeBy   time.Time // when a Close that is under way gives up
	keepAlive time.Duration
	reason    Reason
	cause     error
	unsent    bool
	history   []Attempt

	done chan struct{} // closed after Closed
}

type connState uint8

const (
	stateDialing connState = iota
	stateOpen
	stateClosing
	stateClosed
)

// transport carries packets. There is one file for each.
type transport interface {
	name() string
	// write hands packets to the network, and waits for it. bye says that the
	// session ends with them. One call at a time.
	write(ps []frame.Packet, bye bool) error
	// limits is how much one write may carry, in packets and bytes; 0 means that
	// there is no limit.
	limits() (packets, bytes int)
	// size is what a message counts against the server's maxPayload.
	size(m Message) int
	// serve reads until the transport ends, and then leaves the connection.
	serve()
	// kill lets go of the network at once, so that write and serve return. It never
	// waits and may be called again.
	kill()
}

// ID returns the session, as the server calls it.
func (c *Conn) ID() string { return c.id }

// Transport returns the name of the transport in use.
func (c *Conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transport.name()
}

// PingInterval returns the time between two pings of the server.
func (c *Conn) PingInterval() time.Duration { return c.interval }

// PingTimeout returns how late a ping may be.
func (c *Conn) PingTimeout() time.Duration { return c.timeout }

// MaxPayload returns the most bytes that the server takes in one message or POST.
// Zero: it did not say.
func (c *Conn) MaxPayload() int { return c.maxPayload }

// Attempts returns the history of the connection so far, failed attempts and
// upgrades included.
func (c *Conn) Attempts() []Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.history)
}

// record enters an attempt into the history.
func (c *Conn) record(transport, phase string, began time.Time, err error) {
	now := time.Now()
	a := Attempt{Transport: transport, Phase: phase, Err: err, Took: now.Sub(began), At: now}
	c.mu.Lock()
	c.history = append(c.history, a)
	c.mu.Unlock()
	c.log.Debug("engine: "+phase, "transport", transport, "session", c.id, "took", a.Took, "error", err)
	if c.onAttempt != nil {
		c.onAttempt(a)
	}
}

// receive handles one packet of the transport whose turn it is. The error ends
// the transport.
func (c *Conn) receive(p frame.Packet) error {
	switch p.Type {
	case frame.Message:
		if !c.over.Load() {
			c.deliver(p.Binary, p.Data)
		}
	case frame.Ping:
		c.mu.Lock()
		if c.state == stateOpen {
			c.push(frame.Packet{Type: frame.Pong})
			c.kick()
		}
		c.mu.Unlock()
	case frame.Close:
		return errServerClosed
	}
	// Anything else means nothing here, as in the stock client.
	return nil
}

// start gives a goroutine to the connection. c.mu is held, or the caller is
// itself one of its goroutines.
func (c *Conn) start(f func()) {
	c.running++
	go f()
}

// leave is the last thing that a goroutine of the connection does.
func (c *Conn) leave() {
	c.mu.Lock()
	c.running--
	last := c.running == 0
	c.mu.Unlock()
	if last {
		c.end()
	}
}
