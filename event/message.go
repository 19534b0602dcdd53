package event

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
)

// A Handler handles one event. What becomes of an error it returns is said in [Error].
type Handler = func(ctx context.Context, m *Message) error

// ErrAcked is returned by [Message.Ack] when the message was acknowledged before, or its sender didn't ask for it.
var ErrAcked = errors.New("event: already acknowledged")

// A Message is an event that came in. Its arguments stay encoded until they are asked for. All methods are safe for
// concurrent use.
type Message struct {
	name        string
	data        jsontext.Value
	attachments [][]byte
	ack         func(args ...any) error
	acked       atomic.Bool
}

// NewMessage is for the packages that receive events. Data is the JSON array of a packet, whose first element, the
// name of the event, is skipped. Ack sends the acknowledgement; it is nil if the sender wants none, and is called at
// most once. The message keeps data and attachments.
func NewMessage(name string, data jsontext.Value, attachments [][]byte, ack func(args ...any) error) *Message {
	return &Message{name: name, data: data, attachments: attachments, ack: ack}
}

// Event returns the name of the event.
func (m *Message) Event() string { return m.name }

// Len returns the number of arguments.
func (m *Message) Len() int { return 0 }

// Bind decodes the arguments into dst, in order; each must be a pointer, or nil to skip the argument. Arguments for
// which there is no dst are ignored; a dst for which there is no argument is an error.
func (m *Message) Bind(dst ...any) error { return nil }

// Arg decodes argument i, counted from 0, into dst.
func (m *Message) Arg(i int, dst any) error { return nil }

// Args decodes all arguments into the types of encoding/json: bool, float64, string, []any, map[string]any, nil, and
// []byte for binary.
func (m *Message) Args() ([]any, error) { return nil, nil }

// Raw returns argument i as JSON, or nil if there is no such argument. Binary appears as a placeholder object, whose
// num counts in Attachments. It must not be modified.
func (m *Message) Raw(i int) jsontext.Value { return nil }

// Attachments returns the binary attachments. They must not be modified.
func (m *Message) Attachments() [][]byte { return m.attachments }

// WantsAck reports whether the sender asked for an acknowledgement and it was not sent yet.
func (m *Message) WantsAck() bool { return m.ack != nil && !m.acked.Load() }

// Ack answers the sender. Only the first call does; later ones, and calls for a message whose sender wants no answer,
// return [ErrAcked] and [ErrNoAck].
func (m *Message) Ack(args ...any) error { return nil }

// Fail answers the sender with err in the form of [Error], if it wants an answer and has none yet; otherwise it does
// nothing. It is what servers and clients do with the error of a handler.
func (m *Message) Fail(err error) error { return nil }

// Ack is an acknowledgement that came in: the arguments the other side answered with.
type Ack struct {
	data        jsontext.Value
	attachments [][]byte
}

// NewAck is for the packages that receive acknowledgements. Data is the JSON array of a packet.
func NewAck(data jsontext.Value, attachments [][]byte) *Ack {
	return &Ack{data: data, attachments: attachments}
}
