package cluster

import (
	"context"
	"log/slog"
	"time"
)

// A Bus connects one namespace of one server with those of the others.
//
// What it receives it hands to [Adapter.Receive], one message at a time, in the order in which the broker has them.
type Bus interface {
	// Publish sends a message to the other servers; this one may get it, too. It puts the message in a queue and does
	// not wait for the network. Messages arrive in the order of the calls at each server. The error says why the
	// message can't be carried. If the bus knows which servers care for a room (see [adapter.RoomWatcher]) it may keep
	// a Broadcast without RequestID to exactly one room from those that don't.
	Publish(m *Message) error
	// Respond sends a message to the server that is called uid. A bus that can't is to publish it.
	Respond(uid string, m *Message) error
	// Servers returns how many servers the namespace has, this one included; -1 if the broker can't tell.
	Servers(ctx context.Context) (int, error)
	// Close ends the bus, after what was published has been sent. Nothing is received any more when it returns.
	Close() error
}

// A Prober is a [Bus] whose broker knows whether a server is there. It is asked about servers that owe acknowledgements
// of their clients, so that these are not waited for when the server has died.
type Prober interface {
	Alive(ctx context.Context, uid string) (bool, error)
}

// Options configure an [Adapter]. The zero value of each field is a good default.
type Options struct {
	// HeartbeatInterval is how long a server is silent before it says that it is there. Zero means 5 s, as in Node.
	// It has no effect where the broker counts.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is after how long a silent server is taken for dead. Zero means 10 s, as in Node.
	HeartbeatTimeout time.Duration
	// Settle is how long a new adapter waits for the others to say that they are there, before it first asks them for
	// something. Zero means 200 ms. It has no effect where the broker counts.
	Settle time.Duration
	// Recount is how often the broker is asked again how many servers there are, while some have not answered. Zero
	// means 500 ms.
	Recount time.Duration
	// Logger receives what other servers send that can't be understood. Nil means slog.Default().
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&c.HeartbeatInterval, 5*time.Second)
	set(&c.HeartbeatTimeout, 10*time.Second)
	set(&c.Settle, 200*time.Millisecond)
	set(&c.Recount, 500*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
