package packet

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendHeader appends everything of a packet but its JSON. A packet of type Event or Ack that has attachments gets
// its binary form.
func AppendHeader(dst []byte, h Header, attachments int) []byte {
	if attachments > 0 && (h.Type == Event || h.Type == Ack) {
		dst = append(dst, '0'+byte(h.Type+BinaryEvent-Event))
		dst = strconv.AppendInt(dst, int64(attachments), 10)
		dst = append(dst, '-')
	} else {
		dst = append(dst, '0'+byte(h.Type))
	}
	if h.Namespace != "" && h.Namespace != "/" {
		dst = append(dst, h.Namespace...)
		dst = append(dst, ',')
	}
	if h.HasID {
		dst = strconv.AppendUint(dst, h.ID, 10)
	}
	return dst
}

// AppendEvent appends the text frame of an event and returns it with the attachments that must follow it, in order.
// The attachments are the caller's own byte slices, not copies. The type in h is ignored. In case of an error dst is
// returned as it was. A name that is reserved is refused with [ErrReserved].
//
// Arguments that are encoded already, as [encoding/json.RawMessage] or [jsontext.Value], are checked and copied.
func AppendEvent(dst []byte, h Header, name string, args []any) (text []byte, attachments [][]byte, err error) {
	if Reserved(name) {
		return dst, nil, fmt.Errorf("cannot emit %q: %w", name, ErrReserved)
	}
	h.Type = Event
	e := encoder{text: grow(dst, h, len(name), args)}
	e.text = AppendHeader(e.text, h, 0)
	e.text = append(e.text, '[')
	e.string(name)
	for i, arg := range args {
		e.text = append(e.text, ',')
		if err := e.value(arg); err != nil {
			return dst, nil, fmt.Errorf("cannot encode argument %d of event %q: %w", i, name, err)
		}
	}
	e.text = append(e.text, ']')
	return e.finish(len(dst)), e.attachments, nil
}

// AppendAck is AppendEvent for the arguments of an acknowledgement; h.ID says which.
func AppendAck(dst []byte, h Header, args []any) (text []byte, attachments [][]byte, err error) {
	h.Type, h.HasID = Ack, true
	e := encoder{text: grow(dst, h, 0, args)}
	e.text = AppendHeader(e.text, h, 0)
	e.text = append(e.text, '[')
	for i, arg := range args {
		if i > 0 {
			e.text = append(e.text, ',')
		}
		if err := e.value(arg); err != nil {
			return dst, nil, fmt.Errorf("cannot encode argument %d of an acknowledgement: %w", i, err)
		}
	}
	e.text = append(e.text, ']')
	return e.finish(len(dst)), e.attachments, nil
}

// AppendValue appends a packet whose payload is the single value v, as Connect and ConnectError have it; a nil v
// means no payload. A value with a []byte in it is an error, these packets have no attachments.
func AppendValue(dst []byte, h Header, v any) (text []byte, err error) {
	e := encoder{text: AppendHeader(dst, h, 0)}
	if v == nil {
		return e.text, nil
	}
	if err := e.value(v); err != nil {
		return dst, fmt.Errorf("cannot encode the payload of a %v packet: %w", h.Type, err)
	}
	if len(e.attachments) > 0 {
		return dst, fmt.Errorf("cannot encode the payload of a %v packet: it contains a []byte", h.Type)
	}
	return e.text, nil
}

// AppendRaw appends a packet whose payload is encoded already, such as the Data of a received packet. It is trusted.
func AppendRaw(dst []byte, h Header, data jsontext.Value, attachments int) (text []byte) {
	return append(AppendHeader(dst, h, attachments), data...)
}

// grow makes room in dst for a packet, if its size is easy to tell.
func grow(dst []byte, h Header, name int, args []any) []byte {
	size := len(`2,18446744073709551615["",]`) + len(h.Namespace) + name
	for _, arg := range args {
		switch v := arg.(type) {
		case string:
			size += len(v) + len(`"",`)
		case []byte:
			size += len(`{"_placeholder":true,"num":10},`)
		case jsontext.Value:
			size += len(v) + 1
		default:
			size += 20
		}
	}
	if cap(dst)-len(dst) >= size {
		return dst
	}
	return append(make([]byte, 0, len(dst)+size), dst...)
}

// An encoder writes the values of one packet.
type encoder struct {
	text        []byte
	attachments [][]byte
	depth       int // of maps and slices that are being written
}

// finish gives the packet that starts at offset start its binary form if it has attachments: only now is their number
// known.
func (e *encoder) finish(start int) []byte {
	n := len(e.attachments)
	if n == 0 {
		return e.text
	}
	var room [20]byte
	count := append(strconv.AppendInt(room[:0], int64(n), 10), '-')
	end := len(e.text)
	e.text = append(e.text, count...)
	copy(e.text[start+1+len(count):], e.text[start+1:end])
	copy(e.text[start+1:], count)
	e.text[start] += byte(BinaryEvent - Event)
	return e.text
}

func (e *encoder) string(s string) {
	e.text, _ = jsontext.AppendQuote(e.text, s) // the error only tells that invalid UTF-8 became U+FFFD
}

func (e *encoder) bytes(b []byte) {
	if b == nil {
		e.text = append(e.text, "null"...)
		return
	}
	e.text = appendPlaceholder(e.text, len(e.attachments))
	e.attachments = append(e.attachments, b)
}

func appendPlaceholder(dst []byte, num int) []byte {
	dst = append(dst, `{"_placeholder":true,"num":`...)
	dst = strconv.AppendInt(dst, int64(num), 10)
	return append(dst, '}')
}

// raw writes a value that is JSON already.
func (e *encoder) raw(v []byte) error {
	if len(v) == 0 {
		e.text = append(e.text, "null"...)
		return nil
	}
	start := skipSpace(v, 0)
	s := scanner{data: v, depth: maxEncodeDepth}
	end, err := s.value(start)
	if err != nil || skipSpace(v, end) != len(v) {
		return fmt.Errorf("raw JSON is not valid: %.40q", v)
	}
	if !utf8.Valid(v) {
		return fmt.Errorf("raw JSON is not valid UTF-8: %.40q", v)
	}
	e.text = append(e.text, v[start:end]...)
	return nil
}
