package event

import "fmt"

// An Error is a failure that the other side gets to see: a handler returns it, and the acknowledgement carries it.
type Error struct {
	Code    string
	Message string
	Data    any
}

// Error returns the message and the code.
func (e *Error) Error() string { return e.Message + " (" + e.Code + ")" }

// Errorf returns an Error with a code and a message that is formatted as by [fmt.Errorf].
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
