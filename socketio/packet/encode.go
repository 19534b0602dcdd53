package packet

import "github.com/go-json-experiment/json/jsontext"

// AppendHeader appends everything of a packet but its JSON. A packet of type Event or Ack that has attachments gets
// its binary form.
func AppendHeader(dst []byte, h Header, attachments int) []byte {
	return dst
}

// AppendEvent appends the text frame of an event and returns it with the attachments that must follow it, in order.
// The attachments are the caller's own byte slices, not copies. The type in h is ignored. In case of an error dst is
// returned as it was. A name that is reserved is refused with [ErrReserved].
//
// Arguments that are encoded already, as [encoding/json.RawMessage] or [jsontext.Value], are checked and copied.
func AppendEvent(dst []byte, h Header, name string, args []any) (text []byte, attachments [][]byte, err error) {
	return dst, nil, ErrPayload
}

// AppendAck is AppendEvent for the arguments of an acknowledgement; h.ID says which.
func AppendAck(dst []byte, h Header, args []any) (text []byte, attachments [][]byte, err error) {
	return dst, nil, ErrPayload
}

// AppendValue appends a packet whose payload is the single value v, as Connect and ConnectError have it; a nil v
// means no payload. A value with a []byte in it is an error, these packets have no attachments.
func AppendValue(dst []byte, h Header, v any) (text []byte, err error) {
	return dst, ErrPayload
}

// AppendRaw appends a packet whose payload is encoded already, such as the Data of a received packet. It is trusted.
func AppendRaw(dst []byte, h Header, data jsontext.Value, attachments int) (text []byte) {
	return append(AppendHeader(dst, h, attachments), data...)
}
