package sockeyetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// An Event is an event that came in, or one that is expected.
type Event struct {
	// Name is what On listens to.
	Name string
	// Args are the arguments. Of an event that came in they have the types that encoding/json uses, and []byte for
	// binary; the string that a server with connection state recovery adds at the end is left out.
	Args []any
	// At is when it came in.
	At time.Time

	message *event.Message
	args    int // of the message; one less than it has if the last one is for recovery
}

// E returns an event to compare with. Arguments may be anything that can be sent, and [Any].
func E(name string, args ...any) Event { return Event{Name: name, Args: args} }

// Any is an argument, or a part of one, that equals everything: E("joined", map[string]any{"id": Any, "name": "Ada"}).
var Any any = anything{}

type anything struct{}

// anyMark is what Any is encoded as. Nobody sends it by chance.
const anyMark = "\x00sockeyetest.Any\x00"

func (anything) MarshalJSON() ([]byte, error) { return json.Marshal(anyMark) }
func (anything) String() string               { return "Any" }

// Message returns the event as the handlers of the client got it, nil for one that did not come in.
func (e Event) Message() *event.Message { return e.message }

// Bind decodes the arguments into dst, as [event.Message.Bind] does.
func (e Event) Bind(dst ...any) error {
	if e.message != nil {
		return e.message.Bind(dst...)
	}
	data, attachments, err := encode(e)
	if err != nil {
		return err
	}
	return event.NewMessage(e.Name, data, attachments, nil).Bind(dst...)
}

// Ack answers an event that asked for an acknowledgement, and that no handler of the client has answered.
func (e Event) Ack(args ...any) error {
	if e.message == nil {
		return event.ErrNoAck
	}
	return e.message.Ack(args...)
}

// Equal reports whether both are the same on the wire: name and arguments.
func (e Event) Equal(other Event) bool {
	a, err := e.values()
	if err != nil {
		return false
	}
	b, err := other.values()
	return err == nil && e.Name == other.Name && len(compare(a, b)) == 0
}

// String returns the event as line({"from":"Ada"}).
func (e Event) String() string {
	values, err := e.values()
	if err != nil {
		return fmt.Sprintf("%s(%v)", e.Name, err)
	}
	return showEvent(e.Name, values)
}

// received makes a value of an event that came in. With recovered, the server adds an argument of its own.
func received(m *event.Message, recovery bool) Event {
	e := Event{Name: m.Event(), At: time.Now(), message: m, args: m.Len()}
	if recovery && !m.WantsAck() && e.args > 0 && isOffset(m.Raw(e.args-1)) {
		e.args--
	}
	e.Args, _ = m.Args() // what came in has been checked
	e.Args = e.Args[:min(e.args, len(e.Args))]
	return e
}

// values returns the arguments as a tree of what encoding/json makes, with numbers as they were written.
func (e Event) values() ([]any, error) {
	m, n := e.message, e.args
	if m == nil {
		data, attachments, err := encode(e)
		if err != nil {
			return nil, err
		}
		m, n = event.NewMessage(e.Name, data, attachments, nil), len(e.Args)
	}
	return trees(n, m.Raw, m.Attachments())
}

func trees(n int, raw func(int) jsontext.Value, attachments [][]byte) ([]any, error) {
	values := make([]any, n)
	for i := range values {
		d := json.NewDecoder(bytes.NewReader(raw(i)))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil {
			return nil, fmt.Errorf("argument %d: %w", i, err)
		}
		values[i] = withBinary(values[i], attachments)
	}
	return values, nil
}

// encode returns the JSON array of the event.
func encode(e Event) (data jsontext.Value, attachments [][]byte, err error) {
	text, attachments, err := packet.AppendEvent(nil, packet.Header{}, e.Name, e.Args)
	if err != nil {
		return nil, nil, err
	}
	return text[bytes.IndexByte(text, '['):], attachments, nil
}

// withBinary puts attachments where their placeholders are.
func withBinary(v any, attachments [][]byte) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = withBinary(v[i], attachments)
		}
	case map[string]any:
		if num, ok := v["num"].(json.Number); ok && v["_placeholder"] == true {
			if i, err := num.Int64(); err == nil && i >= 0 && int(i) < len(attachments) {
				return attachments[i]
			}
		}
		for key := range v {
			v[key] = withBinary(v[key], attachments)
		}
	}
	return v
}
