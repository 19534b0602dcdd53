package event

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// Codes of errors that no handler chose.
const (
	CodeInternal   = "internal"    // the handler failed
	CodeBadRequest = "bad_request" // the arguments of the event are not those the handler expects
)

// An Error is a failure that the other side gets to see. When the handler of an event returns one, and the sender asked
// for an acknowledgement, it is answered with a single argument:
//
//	{"error": {"code": "…", "message": "…", "data": …}}
//
// which a [Call] returns as an error again, and which [Ack.Err] finds in an acknowledgement. Data is left out if it is
// nil. Any other error that a handler returns is answered with [CodeInternal] and no details, except [ErrArgument],
// which is answered with [CodeBadRequest]. An Error that came from elsewhere, as the answer to a call that the handler
// made, counts as any other: what one peer says is not passed to another unless the handler does.
type Error struct {
	// Code is for programs.
	Code string
	// Message is for people.
	Message string
	// Data may be anything that can be sent. In an Error that was received it has the types described at
	// [Message.Args]; see also Bind.
	Data any

	remote      bool
	data        jsontext.Value
	attachments [][]byte
}

// Errorf returns an Error with a code and a message that is formatted as by [fmt.Sprintf].
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithData returns a copy of e that carries data, which may be anything that can be sent.
func (e *Error) WithData(data any) *Error {
	return &Error{Code: e.Code, Message: e.Message, Data: data}
}

// Error returns the message and the code.
func (e *Error) Error() string { return e.Message + " (" + e.Code + ")" }

// Bind decodes the data of an Error that was received into dst, a pointer.
func (e *Error) Bind(dst any) error {
	if e.data == nil {
		return errors.New("error carries no data that was received")
	}
	return packet.Unmarshal(e.data, e.attachments, dst)
}

// answer is how an error is written in an acknowledgement.
type answer struct {
	Error answeredError `json:"error"`
}

type answeredError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func answerTo(err error) answeredError {
	var e *Error
	switch {
	case errors.As(err, &e) && !e.remote:
		return answeredError{e.Code, e.Message, e.Data}
	case errors.Is(err, ErrArgument):
		text := ErrArgument.Error()
		if wrong, ok := errors.AsType[*argumentError](err); ok {
			text = wrong.public
		}
		return answeredError{Code: CodeBadRequest, Message: text}
	}
	return answeredError{Code: CodeInternal, Message: "internal error"}
}

// parseAnswer returns the error that an acknowledgement consists of, or nil if it is not one.
func parseAnswer(a *arguments) *Error {
	if a.len() != 1 {
		return nil
	}
	// Most acknowledgements are something else, and are not worth decoding to find out.
	outer := a.raw(0)
	if outer.Kind() != '{' || !bytes.HasPrefix(bytes.TrimLeft(outer[1:], " \t\r\n"), []byte(`"error"`)) {
		return nil
	}
	var members map[string]jsontext.Value
	if packet.Unmarshal(outer, nil, &members) != nil || len(members) != 1 {
		return nil
	}
	inner := members["error"]
	if inner.Kind() != '{' {
		return nil
	}
	members = nil
	if packet.Unmarshal(inner, nil, &members) != nil {
		return nil
	}
	e := &Error{remote: true, attachments: a.attachments, data: members["data"]}
	if members["code"].Kind() != '"' || members["message"].Kind() != '"' ||
		packet.Unmarshal(members["code"], nil, &e.Code) != nil ||
		packet.Unmarshal(members["message"], nil, &e.Message) != nil {
		return nil
	}
	if e.data != nil && packet.Unmarshal(e.data, a.attachments, &e.Data) != nil {
		return nil
	}
	return e
}
