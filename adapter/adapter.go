// Package adapter is the seam between a namespace and the other servers of a cluster.
//
// A namespace always does its own part of an operation itself, at once, in the goroutine that asked for it, and only
// then tells its [Adapter], which carries the operation to the other servers. So the order in which a client of this
// server sees things never depends on a broker, and a broker that is down harms nobody here. At the other end the
// adapter of each server hands what it received to its [Host], which does that server's part.
//
// An adapter that is a [Log] lets clients come back to another server than they were on. Then it is different: events
// that can be recovered are put into the log first, and every server, this one too, delivers them when they come back
// from there.
//
// A server that stands alone has no adapter. [Hub] joins servers of one process and is the reference implementation;
// package adaptertest is the suite that every implementation must pass. [LogHub] is that of Log.
package adapter

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A Packet is an event, or the arguments of an acknowledgement, encoded once. It is shared: nobody may modify it.
type Packet struct {
	// Data is a JSON array: for an event its name and arguments, for an acknowledgement the arguments. Binary is
	// a placeholder object {"_placeholder":true,"num":n} in it.
	Data jsontext.Value
	// Attachments are what the placeholders stand for.
	Attachments [][]byte
}

// A Target says which sockets of a namespace an operation is for: those in any of Rooms (all if there are none) and
// in none of Except. The id of a socket is a room that it is always in.
type Target struct {
	Rooms, Except []string
	// Volatile drops a broadcast for clients that can't take it at this moment.
	Volatile bool
	// NoCompress asks transports to send the broadcast uncompressed.
	NoCompress bool
	// Timeout is how long acknowledgements are waited for; servers that only pass on acknowledgements use it to
	// forget what they wait for.
	Timeout time.Duration
}

// A Socket describes a socket to another server.
type Socket struct {
	ID        string
	Rooms     []string // the id is one of them
	Data      jsontext.Value
	Handshake Handshake
}

// A Handshake is what is told to other servers of the request that a socket began with.
type Handshake struct {
	Headers map[string]string `json:"headers"` // names in lower case
	Time    string            `json:"time"`
	Address string            `json:"address"`
	XDomain bool              `json:"xdomain"`
	Secure  bool              `json:"secure"`
	Issued  int64             `json:"issued"` // Unix time in milliseconds
	URL     string            `json:"url"`
	Query   map[string]string `json:"query"`
	Auth    jsontext.Value    `json:"auth"`
}

// An Adapter carries the operations of one namespace to the other servers. The namespace has done its own part when
// it calls; an adapter must never act on its own server because of its own message coming back.
//
// Methods without a context are called in the order of the operations, by any goroutine, and must not wait for the
// network: they put the operation in a queue or return an error that says why it can't be carried. Operations of one
// goroutine must take effect in order at each of the other servers. Methods with a context may block.
type Adapter interface {
	// Broadcast sends an event.
	Broadcast(p *Packet, t Target) error
	// BroadcastWithAck sends an event that asks for acknowledgements, and calls answer for each that comes from the
	// other servers, with nil for a socket that went away instead. It returns when all have answered or ctx is done,
	// with the number of sockets that were asked, and an error that says who is missing if a server did not report.
	// Answer is not called after it has returned.
	BroadcastWithAck(ctx context.Context, p *Packet, t Target, answer func(*Packet)) (asked int, err error)
	// Sockets returns the sockets of the other servers. With an error it returns those it could get.
	Sockets(ctx context.Context, t Target) ([]Socket, error)
	// Join, Leave and Disconnect act on the sockets of the other servers.
	Join(t Target, rooms []string) error
	Leave(t Target, rooms []string) error
	Disconnect(t Target, closeConn bool) error
	// ServerSideEmit sends an event to the other servers themselves.
	ServerSideEmit(p *Packet) error
	// ServerSideEmitWithAck does and returns the answer of each server, one argument each. With an error it returns
	// those it could get.
	ServerSideEmitWithAck(ctx context.Context, p *Packet) ([]*Packet, error)
	// Servers returns how many servers the namespace has, this one included.
	Servers(ctx context.Context) (int, error)
	// Close ends the adapter. Calls that are waiting return, and the host is not called any more.
	Close() error
}

// A RoomWatcher is an [Adapter] that wants to know which rooms have sockets here, in order to receive only what
// concerns them. The calls come one at a time and in order, but not always before the operation that caused them has
// returned. They must not block. The rooms that sockets have by their id are not reported.
type RoomWatcher interface {
	RoomCreated(room string)
	RoomDeleted(room string)
}

// A Host is one server's part of a namespace, as its adapter sees it. Every method acts on the sockets of this server
// only, may be called from any goroutine, and does not wait for any client.
type Host interface {
	// Namespace returns the name, such as "/".
	Namespace() string
	// Broadcast delivers an event.
	Broadcast(p *Packet, t Target)
	// BroadcastWithAck delivers an event that asks for acknowledgements and returns how many sockets were asked.
	// Answer is called for each acknowledgement, and with nil for a socket that goes away instead; by several
	// goroutines at a time, perhaps before BroadcastWithAck returns, and not after cancel has returned. Cancel must be
	// called; it must not be called by answer.
	BroadcastWithAck(p *Packet, t Target, answer func(*Packet)) (asked int, cancel func())
	// Sockets describes the sockets.
	Sockets(t Target) []Socket
	Join(t Target, rooms []string)
	Leave(t Target, rooms []string)
	Disconnect(t Target, closeConn bool)
	// ServerSideEmit hands an event of another server to this one's listeners. Answer is nil if the other server
	// wants no answer, and else is called at most once.
	ServerSideEmit(p *Packet, answer func(*Packet))
	// HasRoom reports whether a socket is in the room, or has it as its id.
	HasRoom(room string) bool
	// Rooms returns the rooms that a [RoomWatcher] knows of, for subscribing again after a broker was lost.
	Rooms() []string
}

// A Factory makes the adapter of a namespace. It is called once for each namespace, before it has sockets, and must
// return at once: connecting to a broker is the adapter's affair.
type Factory func(h Host) Adapter

// A MissingError is returned together with the answers that came, when others did not.
type MissingError struct {
	Expected, Received int      // servers
	Missing            []string // names of those that are missing, if they are known
	Err                error    // why no longer was waited, such as [context.DeadlineExceeded]
}

func (e *MissingError) Error() string {
	msg := fmt.Sprintf("adapter: %d of %d servers answered", e.Received, e.Expected)
	if len(e.Missing) > 0 {
		msg += ", missing " + strings.Join(e.Missing, ", ")
	}
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns Err.
func (e *MissingError) Unwrap() error { return e.Err }
