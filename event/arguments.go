package event

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// ErrArgument is what a [Message] returns for arguments that are missing or are not what was expected. It is the
// sender's fault: a handler that returns it answers "bad_request", see [Error].
var ErrArgument = errors.New("unexpected argument")

// An argumentError says what is wrong with the arguments, with as much as the sender may know in public: the rest of why
// names types of the receiver.
type argumentError struct {
	public string
	why    error // may be nil
}

func badArgument(i int, why error) error {
	return &argumentError{fmt.Sprintf("argument %d is not what is expected", i), why}
}

func (e *argumentError) Error() string {
	if e.why == nil {
		return e.public
	}
	return e.public + ": " + e.why.Error()
}

func (e *argumentError) Unwrap() error { return e.why }

// arguments are those of an event or an acknowledgement. They are split whenever they are needed, which is hardly
// slower than to remember where they are, and needs neither memory nor locks.
type arguments struct {
	data        jsontext.Value // a valid array, or nothing
	attachments [][]byte
	skip        int // elements at the start that are no arguments: the name of an event
}

// room is how many arguments can be split without allocation.
type room [8]jsontext.Value

func (a *arguments) split(room *room) []jsontext.Value {
	if len(a.data) == 0 {
		return nil
	}
	values, err := packet.SplitArgs(a.data, room[:0])
	if err != nil || len(values) < a.skip {
		return nil // can't be: whoever made the message has checked it
	}
	return values[a.skip:]
}

func (a *arguments) bind(dst []any) error {
	var room room
	values := a.split(&room)
	if len(dst) > len(values) {
		return &argumentError{public: fmt.Sprintf("there are %d arguments, want %d", len(values), len(dst))}
	}
	for i, d := range dst {
		if d == nil {
			continue
		}
		if err := packet.Unmarshal(values[i], a.attachments, d); err != nil {
			return badArgument(i, err)
		}
	}
	return nil
}

func (a *arguments) arg(i int, dst any) error {
	v := a.raw(i)
	if v == nil {
		return &argumentError{public: fmt.Sprintf("there is no argument %d", i)}
	}
	if err := packet.Unmarshal(v, a.attachments, dst); err != nil {
		return badArgument(i, err)
	}
	return nil
}

func (a *arguments) args() ([]any, error) {
	var room room
	values := a.split(&room)
	args := make([]any, len(values))
	for i, v := range values {
		if err := packet.Unmarshal(v, a.attachments, &args[i]); err != nil {
			return nil, badArgument(i, err)
		}
	}
	return args, nil
}

func (a *arguments) raw(i int) jsontext.Value {
	var room room
	values := a.split(&room)
	if i < 0 || i >= len(values) {
		return nil
	}
	return values[i]
}

func (a *arguments) len() int {
	var room room
	return len(a.split(&room))
}
