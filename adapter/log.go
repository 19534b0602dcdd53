package adapter

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A Log is an [Adapter] whose broker keeps operations in one order for all servers, and sessions that any of them can
// take over. A server uses it if it has connection state recovery turned on; without, it is an adapter like others.
//
// A position names an entry of the log. Positions are strings that only the adapter understands; clients have them too,
// and may send anything.
type Log interface {
	Adapter
	// Follow has the entries of the log delivered to h from now on. It is called once, before anything is appended.
	Follow(h LogHost)
	// Append appends an operation, and waits until it has been delivered to this server too: LogHost.Deliver has returned.
	// It must not be called by Deliver. With an error the operation is not in the log, unless the error is an
	// [ErrUncertain]: then it may be, and if so is delivered to all servers in its place. It is never appended twice.
	// How long it waits is bounded.
	Append(op Operation) error
	// Read calls f with the entries of the namespace behind the position after, up to and including until, until it
	// returns false. It returns [ErrTrimmed] if the log does not reach back so far any more, or never did: then f may
	// have been called with some of the entries. An entry that can't be understood is an error.
	Read(ctx context.Context, after, until string, f func(Entry) bool) error
	// Compare returns -1, 0 or 1 for a position before, at or behind another; an error if one of them is none.
	Compare(a, b string) (int, error)

	// SaveSession stores a session under its PID, for at least keep. It is called in the order of the operations, and
	// does not wait: record is called when it is about to be sent, done when that has succeeded or not. The error is
	// [ErrTaken] if another server, or this one by TakeSession, has taken the session since; but never if create is set,
	// which is so for the first time that an owner saves it. The owner is Session.Owner. Nothing is ever sent later than
	// what was appended behind it. An error that is returned is not reported to done as well. With a keep of zero the session is removed
	// instead, on the same conditions.
	SaveSession(pid string, create bool, keep time.Duration, record func() *Session, done func(error)) error
	// LoadSession returns a session, nil if there is none.
	LoadSession(ctx context.Context, pid string) (*Session, error)
	// TakeSession removes a session, if its owner is still the one that LoadSession told, and returns it: to one caller
	// only, nil to others. From then on that owner can't save it any more.
	TakeSession(ctx context.Context, pid, owner string) (*Session, error)
}

// A LogHost is one server's part of a namespace that has a [Log].
type LogHost interface {
	// Deliver does this server's part of an entry. It is called with one entry at a time, in their order, for those of
	// this server, too: own says that it is one. It calls no code of users that could call Append.
	Deliver(e Entry, own bool)
	// Reached says that all entries up to the position have been delivered, or came before this server followed the log.
	// It is called with the position at which Deliver begins as soon as that is known.
	Reached(position string)
}

// An Operation is what a log keeps.
type Operation struct {
	Kind   Kind
	Packet *Packet // of an Event
	Target Target
	Rooms  []string // of a Join or Leave
	Close  bool     // of a Disconnect
}

// A Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Event Kind = iota + 1
	Join
	Leave
	Disconnect
)

// An Entry is an operation in its place in the log.
type Entry struct {
	Position string
	Operation
}

// A Session is what servers must know to take over a client of another one. Servers of other makes may know the first
// four fields only; the others are empty then, and the client can be taken over if it names a position itself.
type Session struct {
	SID, PID string
	Rooms    []string       // at the position At, the id among them
	Data     jsontext.Value // of the socket, nil if there is none

	Namespace string

	Owner string // names the server that has the client, or had it last, and that visit of the client
	Away  bool   // the client is not connected
	Start string // the position at which the session began: the client has received everything before, if anything
	At    string // the last position that the session knows of
	Floor string // Stays are not known for positions at or before this one; empty if they are for all
	Stays []Stay // which rooms the session was in when
}

// A Stay is a time that a session was in a room: from behind the position Since up to and including Until. An empty
// Until says that it still is.
type Stay struct{ Room, Since, Until string }

// Errors of a [Log].
var (
	ErrTrimmed   = errors.New("adapter: the log does not reach back so far")
	ErrTaken     = errors.New("adapter: session was taken over")
	ErrUncertain = errors.New("adapter: not confirmed by the log in time, and may still be delivered")
)
