//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/test/interop/chaos/check"
	"github.com/sockeye-io/sockeye/test/interop/chaos/node"
)

// forever is the end of a session that has none yet.
const forever = 1000 * time.Hour

// dial starts a client that is in the rooms whenever it is connected.
func dial(url string, rooms []string, prepare func(*client.Socket)) (*client.Client, error) {
	c, err := client.New(url, &client.Options{
		Transports: []string{"websocket"},
		Auth:       func(context.Context) (any, error) { return node.Hello{Rooms: rooms}, nil },
		Reconnect:  client.ReconnectOptions{Delay: 10 * time.Millisecond, MaxDelay: 200 * time.Millisecond},
		Buffer:     client.BufferOptions{Policy: client.NoBuffer},
		AckTimeout: 10 * time.Second,
		Logger:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	s := c.Of("/")
	prepare(s)
	s.Open()
	return c, nil
}

// A receiver is a client that notes what it gets.
type receiver struct {
	c *client.Client

	mu    sync.Mutex
	log   check.Receiver
	fresh int // sessions after the first that were not recovered
	total *atomic.Int64
}

func (c *Cluster) newReceiver(name string, rooms ...string) (*receiver, error) {
	r := &receiver{log: check.Receiver{Name: name, Rooms: rooms}, total: &c.receipts}
	var err error
	r.c, err = dial(c.balancer.url(), rooms, func(s *client.Socket) {
		s.OnConnect(func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			// Not in its rooms before it is welcomed.
			r.log.Sessions = append(r.log.Sessions, check.Session{ID: s.ID(), From: forever, Until: forever})
		})
		s.On("ready", func(_ context.Context, m *client.Message) error {
			var w node.Welcome
			if err := m.Arg(0, &w); err != nil {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			last := r.last()
			last.Node, last.From = w.Node, c.now()
			if !w.Recovered && len(r.log.Sessions) > 1 {
				r.fresh++
			}
			return nil
		})
		s.On("m", func(_ context.Context, m *client.Message) error {
			var got check.Receipt
			if err := errors.Join(m.Arg(0, &got.Sender), m.Arg(1, &got.N), m.Arg(2, &got.Origin)); err != nil {
				return err
			}
			got.At = c.now()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.total.Add(1)
			last := r.last()
			last.Receipts = append(last.Receipts, got)
			return nil
		})
		s.OnDisconnect(func(client.Reason, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.last().Until = c.now()
		})
	})
	return r, err
}

func (r *receiver) last() *check.Session { return &r.log.Sessions[len(r.log.Sessions)-1] }

// there returns the id of the receiver's session, if it is connected and in its rooms.
func (r *receiver) there() (id string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.log.Sessions) == 0 {
		return "", false
	}
	last := r.last()
	return last.ID, last.From != forever && last.Until == forever
}

// snapshot returns what was received so far.
func (r *receiver) snapshot() check.Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := r.log
	copied.Sessions = make([]check.Session, len(r.log.Sessions))
	for i, s := range r.log.Sessions {
		s.Receipts = s.Receipts[:len(s.Receipts):len(s.Receipts)]
		copied.Sessions[i] = s
	}
	return copied
}

// A sender is a client that has servers emit numbered messages, one after the other.
type sender struct {
	name string
	c    *client.Client
	log  []check.Message
}

func (c *Cluster) newSender(name string) (*sender, error) {
	s := &sender{name: name}
	var err error
	s.c, err = dial(c.balancer.url(), nil, func(*client.Socket) {})
	return s, err
}

// run sends until ctx ends, a message every pace at most.
func (s *sender) run(ctx context.Context, c *Cluster, pace time.Duration) {
	sock := s.c.Of("/")
	for n := 0; ctx.Err() == nil; {
		time.Sleep(pace)
		if !sock.Connected() {
			continue
		}
		m := check.Message{Key: check.Key{Sender: s.name, N: n}, To: rooms[rand.IntN(len(rooms))]}
		if n%2 == 1 { // to one
			id, ok := c.receivers[rand.IntN(len(c.receivers))].there()
			if !ok {
				n++ // the numbers need not be without gaps
				continue
			}
			m.To = id
		}
		n++
		m.Began = c.now()
		answer, err := sock.EmitWithAck(context.WithoutCancel(ctx), "say", m.To, m.Sender, m.N)
		m.Ended = c.now()
		var said node.Said
		if err == nil {
			err = answer.Bind(&said)
		}
		switch {
		case err != nil:
			m.Outcome = check.Unknown
		case said.Error != "":
			m.Outcome = check.Failed
		default:
			m.Outcome = check.Acked
		}
		m.Node, m.Process = said.Node, said.Process
		s.log = append(s.log, m)
	}
}

// A control is a client of one server, with which it is found out whether all servers hear each other.
type control struct {
	name string
	c    *client.Client

	mu    sync.Mutex
	heard map[check.Key]bool
}

func (c *Cluster) newControl(name, addr string) (*control, error) {
	k := &control{name: name, heard: map[check.Key]bool{}}
	var err error
	k.c, err = dial("http://"+addr, []string{"control"}, func(s *client.Socket) {
		s.On("m", func(_ context.Context, m *client.Message) error {
			var got check.Key
			if err := errors.Join(m.Arg(0, &got.Sender), m.Arg(1, &got.N)); err != nil {
				return err
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			k.heard[got] = true
			return nil
		})
	})
	return k, err
}

// hears reports whether all controls have heard all in a round.
func hears(controls []*control, round int) bool {
	for _, k := range controls {
		k.mu.Lock()
		for _, of := range controls {
			if !k.heard[check.Key{Sender: of.name, N: round}] {
				k.mu.Unlock()
				return false
			}
		}
		k.mu.Unlock()
	}
	return true
}

// whole waits until all servers hear each other, and returns when that was so.
func (c *Cluster) whole(ctx context.Context) (check.Times, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for first := c.round + 1; ; {
		c.round++
		for _, k := range c.controls {
			_, _ = k.c.Of("/").EmitForAck("say", "control", k.name, c.round) // who can't will be missed below
		}
		for range 10 {
			for round := first; round <= c.round; round++ {
				if hears(c.controls, round) {
					return c.now(), nil
				}
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return 0, fmt.Errorf("the servers do not hear each other: %w", ctx.Err())
			}
		}
	}
}
