package presence

import (
	"errors"
	"log/slog"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
)

// Options say what a [Presence] watches. Zero values mean the defaults. Rooms, Heartbeat and Timeout should be the same on
// all servers.
type Options struct {
	// Name is what this server is called in [Member.Node], such as a host name. When a server starts with the name of
	// another one, that one is taken for its predecessor, whose members are removed unless it is heard of again. By default
	// a server's name is its random id.
	Name string
	// Rooms says which rooms are watched. It is called often, must not block, and always say the same of a room. Nil means
	// all rooms but those that sockets have by their id. Rooms whose names are no valid UTF-8, or longer than 1024 bytes,
	// are never watched.
	Rooms func(room string) bool
	// Describe returns what the others shall know of a socket, encoded as JSON, or nil. It is called when the socket comes
	// into the first room that is watched, and must not block. What can't be encoded, or is longer than MaxDataBytes, is
	// left out and logged.
	Describe func(*socketio.Socket) any
	// MaxDataBytes bounds what Describe returns, as JSON. Default 1024 bytes.
	MaxDataBytes int
	// Coalesce is how long changes are collected before they are told. Default 50 ms.
	Coalesce time.Duration
	// Heartbeat is how often a server that has nothing to tell says that it is there. Default 5 s.
	Heartbeat time.Duration
	// Timeout is after which silence a server counts as dead, and its members as gone. Default three heartbeats; at least
	// two.
	Timeout time.Duration
	// Away is how long a member stays when its connection broke and its client may come back to its session. It is never
	// longer than RecoveryOptions.MaxDisconnection. Default 10 s; negative means not at all.
	Away time.Duration
	// MaxMessageBytes is about how long a message gets; longer ones are split. Default 65,536 bytes.
	MaxMessageBytes int
	// Logger is for what goes wrong. Default that of the server.
	Logger *slog.Logger
}

func (o *Options) withDefaults(ns *socketio.Namespace) (Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	if d.MaxDataBytes < 0 || d.Coalesce < 0 || d.Heartbeat < 0 || d.Timeout < 0 || d.MaxMessageBytes < 0 {
		return d, errors.New("presence: negative option")
	}
	server := ns.Server().Options()
	set(&d.MaxDataBytes, 1024)
	set(&d.Coalesce, 50*time.Millisecond)
	set(&d.Heartbeat, 5*time.Second)
	set(&d.Timeout, 3*d.Heartbeat)
	set(&d.Away, 10*time.Second)
	set(&d.MaxMessageBytes, 64<<10)
	if d.Timeout < 2*d.Heartbeat {
		return d, errors.New("presence: Timeout is less than two heartbeats")
	}
	if len(d.Name) > maxName {
		return d, errors.New("presence: Name is too long")
	}
	if server.Recovery != nil {
		d.Away = min(d.Away, server.Recovery.MaxDisconnection)
	}
	if d.Logger == nil {
		d.Logger = server.Logger
	}
	return d, nil
}

func set[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}
