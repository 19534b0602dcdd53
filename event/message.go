package event

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
)

// A Handler handles one event. The context ends when the connection does. What becomes of an error it returns is said
// in [Error].
type Handler = func(ctx context.Context, m *Message) error

// Errors of [Message.Ack].
var (
	ErrAcked = errors.New("event is already acknowledged")
	ErrNoAck = errors.New("sender wants no acknowledgement")
)

// A Message is an event that came in. Its arguments stay encoded until they are asked for. All methods are safe for
// concurrent use, and a message may be kept for as long as it is needed.
type Message struct {
	name      string
	arguments arguments
	ack       func(args ...any) error
	acked     atomic.Bool
}

// NewMessage is for packages that receive events. Data is the JSON array of a packet, whose first element, the name
// of the event, is skipped. Ack sends the acknowledgement; it is nil if the sender wants none, and is called again only
// if it failed. The message keeps data and attachments.
func NewMessage(name string, data jsontext.Value, attachments [][]byte, ack func(args ...any) error) *Message {
	return &Message{name: name, arguments: arguments{data: data, attachments: attachments, skip: 1}, ack: ack}
}

// Event returns the name of the event.
func (m *Message) Event() string { return m.name }

// Len returns the number of arguments.
func (m *Message) Len() int { return m.arguments.len() }

// Bind decodes the arguments into dst, in order; each must be a pointer, or nil to skip the argument. Arguments for
// which there is no dst are ignored; a dst for which there is no argument is an error. All its errors are
// [ErrArgument].
//
// A []byte that comes from binary is shared with the message: copy it before changing it.
func (m *Message) Bind(dst ...any) error { return m.wrap(m.arguments.bind(dst)) }

// Arg decodes argument i, counted from 0, into dst. Its errors are [ErrArgument].
func (m *Message) Arg(i int, dst any) error { return m.wrap(m.arguments.arg(i, dst)) }

// Args decodes all arguments into the types that encoding/json uses, bool, float64, string, []any, map[string]any and
// nil, and into []byte for binary. Its errors are [ErrArgument].
func (m *Message) Args() ([]any, error) {
	args, err := m.arguments.args()
	return args, m.wrap(err)
}

func (m *Message) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w of event %q: %w", ErrArgument, m.name, err)
}

// Raw returns argument i as JSON, or nil if there is no such argument. Binary appears as a placeholder object, whose
// num counts in Attachments. It must not be modified.
func (m *Message) Raw(i int) jsontext.Value { return m.arguments.raw(i) }

// Attachments returns the binary attachments. They must not be modified.
func (m *Message) Attachments() [][]byte { return m.arguments.attachments }

// WantsAck reports whether the sender asked for an acknowledgement and has not got it yet.
func (m *Message) WantsAck() bool { return m.ack != nil && !m.acked.Load() }

// Ack answers the sender. It can be done from any goroutine, also after the handler returned, and only once: later
// calls return [ErrAcked]. If the sender doesn't want to be answered it returns [ErrNoAck]. After another error, such
// as that of an argument that can't be encoded, the sender can still be answered.
func (m *Message) Ack(args ...any) error {
	if m.ack == nil {
		return ErrNoAck
	}
	if !m.acked.CompareAndSwap(false, true) {
		return ErrAcked
	}
	if err := m.ack(args...); err != nil {
		m.acked.Store(false)
		return err
	}
	return nil
}

// Fail answers the sender with err in the form described at [Error], if it wants an answer and has none yet; otherwise
// it does nothing. Servers and clients do it with what a handler returns.
func (m *Message) Fail(err error) error {
	if err == nil || !m.WantsAck() {
		return nil
	}
	a := answerTo(err)
	ackErr := m.Ack(answer{a})
	if ackErr != nil && a.Data != nil && m.WantsAck() {
		// It may be the data that can't be sent. Then the sender is better served with the rest than with nothing.
		a.Data = nil
		return errors.Join(ackErr, m.Ack(answer{a}))
	}
	if errors.Is(ackErr, ErrAcked) {
		return nil // another goroutine was faster
	}
	return ackErr
}
