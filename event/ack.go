package event

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// An Ack is an acknowledgement that came in: what the other side answered. Its methods are like those of [Message].
type Ack struct {
	arguments arguments
}

// NewAck is for packages that receive acknowledgements. Data is the JSON array of a packet.
func NewAck(data jsontext.Value, attachments [][]byte) *Ack {
	return &Ack{arguments{data: data, attachments: attachments}}
}

// Len returns the number of arguments.
func (a *Ack) Len() int { return a.arguments.len() }

// Bind decodes the arguments into dst, in order, as [Message.Bind] does.
func (a *Ack) Bind(dst ...any) error { return wrapAck(a.arguments.bind(dst)) }

// Arg decodes argument i, counted from 0, into dst.
func (a *Ack) Arg(i int, dst any) error { return wrapAck(a.arguments.arg(i, dst)) }

// Args decodes all arguments, as [Message.Args] does.
func (a *Ack) Args() ([]any, error) {
	args, err := a.arguments.args()
	return args, wrapAck(err)
}

// Raw returns argument i as JSON, or nil, as [Message.Raw] does.
func (a *Ack) Raw(i int) jsontext.Value { return a.arguments.raw(i) }

// Attachments returns the binary attachments. They must not be modified.
func (a *Ack) Attachments() [][]byte { return a.arguments.attachments }

// Err returns the failure that the acknowledgement tells of, an [*Error], or nil if it is an ordinary one.
func (a *Ack) Err() error {
	if e := parseAnswer(&a.arguments); e != nil {
		return e
	}
	return nil
}

// wrapAck doesn't make it an ErrArgument: that is about what a handler was sent, not about what it was answered.
func wrapAck(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("unexpected acknowledgement: %w", err)
}
