// Package packet reads and writes Socket.IO packets, protocol 5, byte for byte as the published Node parser does. It
// knows nothing of connections.
//
// A packet is one text frame, followed by as many binary frames as it has attachments:
//
//	<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]
//
// Going out, a []byte anywhere inside a value leaves the JSON: a placeholder object takes its place and the bytes
// become an attachment. Coming in, [Unmarshal] does the reverse. [AppendEvent] and [AppendAck] write, a [Decoder] per
// connection reads.
//
// # How Go values become JSON
//
// As with encoding/json, so that a struct looks the same here as in an HTTP answer: the same tags, omitempty
// included, nil slices and maps as null, time.Duration in nanoseconds, [encoding/json.Marshaler] and
// [encoding.TextMarshaler] respected, field names matched without regard to case, unknown fields ignored. What differs:
//
//   - A []byte, or a slice of bytes of any name that has no marshaling method of its own, is an attachment, not base64.
//     A tag can't change that; use a string for text. A nil one is null.
//   - <, > and & are not escaped.
//   - The order of a map's members is not fixed.
//   - An [io.Reader] is an error: read it first. So is a struct that has fields but exports none, such as an error.
//   - Text that is not valid UTF-8, which JavaScript also produces as half a surrogate pair, is read and written with
//     U+FFFD in place of the invalid part. The peer is not disconnected for it.
//   - Of several members of one name the last wins, as in JavaScript.
package packet

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// A Type says what a packet is for. Its value is the digit on the wire.
type Type uint8

// The types of packets.
const (
	Connect      Type = iota // asks for, or grants, a namespace
	Disconnect               // leaves a namespace
	Event                    // an event and its arguments
	Ack                      // the arguments of an acknowledgement
	ConnectError             // refuses a namespace
	BinaryEvent              // on the wire only: an event with attachments
	BinaryAck                // on the wire only: an acknowledgement with attachments
)

var typeNames = [...]string{"connect", "disconnect", "event", "ack", "connect_error", "binary_event", "binary_ack"}

// String returns the name of the type, such as "event".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// A Packet is a packet that was received in full.
type Packet struct {
	// Type is one of Connect, Disconnect, Event, Ack and ConnectError: the binary types are folded into Event and Ack.
	Type Type
	// Namespace always starts with a slash; "/" is the default one.
	Namespace string
	// ID is the id of the acknowledgement that is asked for (Event) or given (Ack), if HasID.
	ID    uint64
	HasID bool
	// Event is the name of the event. A number, which Node accepts as a name, appears as JavaScript prints it.
	Event string
	// Data is the JSON value after the header, valid and within the limits: an array for Event (its first element is
	// the name) and Ack, an object or nothing for Connect, a string, an object or nothing for ConnectError. It belongs
	// to the packet.
	Data jsontext.Value
	// Attachments are what the placeholders in Data refer to.
	Attachments [][]byte
}

// A Header is what a packet starts with.
type Header struct {
	// Type is the type of the packet. Event and Ack turn into their binary forms by themselves.
	Type Type
	// Namespace is where the packet goes; "" means "/". It starts with a slash and has no comma in it, which is not
	// checked here.
	Namespace string
	// ID is the id of the acknowledgement, if HasID.
	ID    uint64
	HasID bool
}

// Limits bound what a peer can make a Decoder hold or do. Zero, or less, means the default.
type Limits struct {
	// MaxAttachments is how many attachments a packet may announce. Default 10, as in Node. In the Msgpack format, where
	// they come with the packet, 1000 are allowed.
	MaxAttachments int
	// MaxAttachmentBytes is how many bytes the attachments of one packet may have together. Default 10,000,000.
	MaxAttachmentBytes int
	// MaxDepth is how deep arrays and objects may nest; the array of the arguments counts. Default 64.
	MaxDepth int
	// MaxNamespaceLen is how long the name of a namespace may be, in bytes. Default 1024.
	MaxNamespaceLen int
}

// What a Decoder finds wrong. After any of them the connection is of no further use: the peer is broken or hostile.
var (
	ErrType               = errors.New("unknown packet type")
	ErrNamespace          = errors.New("namespace too long")
	ErrID                 = errors.New("illegal acknowledgement id")
	ErrPayload            = errors.New("invalid payload")
	ErrDepth              = errors.New("payload nested too deep")
	ErrEventName          = errors.New("event name is not a string")
	ErrReserved           = errors.New("event name is reserved")
	ErrAttachments        = errors.New("illegal attachments")
	ErrTooManyAttachments = errors.New("too many attachments")
	ErrAttachmentBytes    = errors.New("attachments too large")
	ErrUnexpectedText     = errors.New("got text while waiting for attachments")
	ErrUnexpectedBinary   = errors.New("got binary data while not waiting for attachments")
)

// ErrPlaceholder is returned by [Unmarshal] for a placeholder that refers to no attachment, and by a Decoder for the
// packet that contains it.
var ErrPlaceholder = errors.New("placeholder refers to no attachment")

// ErrReader is returned for a value with an [io.Reader] in it.
var ErrReader = errors.New("an io.Reader can't be sent: read it first, and send the bytes")

// Reserved reports whether name is kept for the library's own use and can be neither emitted nor received.
func Reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
