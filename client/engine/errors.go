package engine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrClosed: the connection is closed or closing; nothing was queued.
	ErrClosed = errors.New("engine: connection is closed")
	// ErrOutboxFull: the network or the server takes less than is sent, and
	// Options.MaxOutbox would be exceeded; nothing was queued.
	ErrOutboxFull = errors.New("engine: outbox is full")
	// ErrProtocol: what answers speaks something else than Engine.IO 4. The errors
	// that wrap it say what.
	ErrProtocol = errors.New("engine: not protocol version 4")
	// ErrUnsent: Close gave up before everything was sent.
	ErrUnsent = errors.New("engine: closed before everything was sent")
)

// TooLargeError is a message that the server would not take: it closes the
// connection on one. Nothing was queued, and the connection lives on.
type TooLargeError struct {
	Size  int // of the message, in bytes, as the transport carries it
	Limit int // the server's maxPayload
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("engine: message of %d bytes; the server takes %d", e.Size, e.Limit)
}

// RefusedError is an HTTP response that refuses a request.
type RefusedError struct {
	Status int // of the response
	// Code is Engine.IO's error code, 0 to 5, or -1 if the response has none.
	Code int
	// Message is what the response says, if that is one short text.
	Message string
	// RetryAfter is how long the server asks to stay away. Zero: it did not say.
	RetryAfter time.Duration
}

func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString("engine: HTTP ")
	b.WriteString(strconv.Itoa(e.Status))
	if e.Message != "" {
		b.WriteString(": ")
		b.WriteString(e.Message)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, " (retry after %v)", e.RetryAfter)
	}
	return b.String()
}

// NotEngineIOError is an answer that no Engine.IO server gives, such as a web
// page.
type NotEngineIOError struct {
	URL         string // that answered, without query and password
	Status      int
	ContentType string
	Hint        string // what may be wrong, a sentence without a full stop
}

func (e *NotEngineIOError) Error() string {
	kind := e.ContentType
	if kind == "" {
		kind = "no content type"
	}
	return fmt.Sprintf("engine: %s answers, but not as an Engine.IO server (HTTP %d, %s): %s", e.URL, e.Status, kind, e.Hint)
}

// DialError is the failure of every transport that was tried.
type DialError struct {
	// Attempts are the tries in their order. The last one's Err is that of the
	// context, if the context ended Dial.
	Attempts []Attempt
}

func (e *DialError) Error() string {
	said := make([]string, len(e.Attempts))
	for i, a := range e.Attempts {
		said[i] = a.Transport + ": " + strings.TrimPrefix(a.Err.Error(), "engine: ")
	}
	return "engine: " + strings.Join(said, "; ")
}

// Unwrap returns the error of every attempt.
func (e *DialError) Unwrap() []error {
	errs := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		errs[i] = a.Err
	}
	return errs
}
