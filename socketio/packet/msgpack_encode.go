package packet

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// AppendMsgpack appends the one frame, a binary one, that a packet has in the [Msgpack] format. The packet is given as
// the text frame and the attachments that [AppendEvent] and its like return, so that a packet which goes to connections
// of both formats is encoded by reflection once.
func AppendMsgpack(dst []byte, text []byte, attachments [][]byte) ([]byte, error) {
	var p Packet
	due, data, err := cutHeader(text, ownLimits, &p)
	if err == nil && due != len(attachments) {
		err = fmt.Errorf("packet announces %d attachments and has %d", due, len(attachments))
	}
	if err != nil {
		return dst, fmt.Errorf("cannot translate to msgpack: %w", err)
	}
	members := 2
	if len(data) > 0 {
		members++
	}
	if p.HasID {
		members++
	}
	size := len(text) + len(p.Namespace) + 40
	for _, b := range attachments {
		size += len(b)
	}
	out := append(slices.Grow(dst, size), 0x80|byte(members))
	out = appendMsgpackString(out, "type")
	out = append(out, byte(p.Type))
	if len(data) > 0 {
		out = appendMsgpackString(out, "data")
		t := translator{scanner: scanner{data: data, depth: maxEncodeDepth}, attachments: attachments, out: out}
		if end, err := t.value(0); err != nil || end != len(data) {
			return dst, fmt.Errorf("cannot translate to msgpack: %w", ErrPayload)
		}
		out = t.out
	}
	if p.HasID {
		out = appendMsgpackString(out, "id")
		out = appendMsgpackUint(out, p.ID)
	}
	out = appendMsgpackString(out, "nsp")
	return appendMsgpackString(out, p.Namespace), nil
}

// ownLimits are for packets that we wrote ourselves.
var ownLimits = Limits{MaxAttachments: math.MaxInt32, MaxNamespaceLen: math.MaxInt}

// A translator writes JSON as msgpack.
type translator struct {
	scanner     scanner
	attachments [][]byte
	out         []byte
}

// value translates the value at offset i and returns where it ends.
func (t *translator) value(i int) (int, error) {
	data := t.scanner.data
	if i < len(data) && data[i] == '[' {
		return t.container(i, ']')
	}
	if i < len(data) && data[i] == '{' {
		return t.container(i, '}')
	}
	end, err := t.scanner.value(i)
	if err != nil {
		return end, err
	}
	switch data[i] {
	case '"':
		t.out = appendMsgpackString(t.out, unquote(data[i:end]))
	case 't':
		t.out = append(t.out, 0xc3)
	case 'f':
		t.out = append(t.out, 0xc2)
	case 'n':
		t.out = append(t.out, 0xc0)
	default:
		t.out = appendMsgpackNumber(t.out, string(data[i:end]))
	}
	return end, nil
}

// container translates an array or an object; last is the character it ends with.
func (t *translator) container(i int, last byte) (int, error) {
	if t.scanner.depth--; t.scanner.depth < 0 {
		return i, ErrDepth
	}
	data := t.scanner.data
	start := len(t.out)
	t.out = append(t.out, 0) // what is needed in most cases
	n := 0
	var found placeholder
	i = skipSpace(data, i+1)
	for i < len(data) && data[i] != last {
		var err error
		name := i
		if last == '}' {
			if data[i] != '"' {
				return i, ErrPayload
			}
			if i, err = t.value(i); err != nil {
				return i, err
			}
			if i = skipSpace(data, i); i >= len(data) || data[i] != ':' {
				return i, ErrPayload
			}
			i = skipSpace(data, i+1)
		}
		value := i
		if i, err = t.value(i); err != nil {
			return i, err
		}
		if last == '}' && len(t.attachments) > 0 {
			nameEnd, _ := t.scanner.string(name)
			found.member(data[name:nameEnd], data[value:i])
		}
		n++
		i = skipSpace(data, i)
		if i < len(data) && data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	if i >= len(data) {
		return i, ErrPayload
	}
	t.scanner.depth++
	if found.yes {
		index, err := found.index(len(t.attachments))
		if err != nil {
			return i, err
		}
		t.out = appendMsgpackBytes(t.out[:start], t.attachments[index])
		return i + 1, nil
	}
	t.count(start, n, last)
	return i + 1, nil
}

// count writes the head of the container that starts at offset start of the output, and has n elements.
func (t *translator) count(start, n int, last byte) {
	short, long := byte(0x90), byte(0xdc)
	if last == '}' {
		short, long = 0x80, 0xde
	}
	var head []byte
	switch {
	case n < 16:
		t.out[start] = short | byte(n)
		return
	case n <= math.MaxUint16:
		head = binary.BigEndian.AppendUint16([]byte{long}, uint16(n))
	default:
		head = binary.BigEndian.AppendUint32([]byte{long + 1}, uint32(n))
	}
	end := len(t.out)
	t.out = append(t.out, head[1:]...)
	copy(t.out[start+len(head):], t.out[start+1:end])
	copy(t.out[start:], head)
}

func appendMsgpackString[Text ~string | ~[]byte](dst []byte, s Text) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

func appendMsgpackBytes(dst, b []byte) []byte {
	switch n := len(b); {
	case n <= math.MaxUint8:
		dst = append(dst, 0xc4, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xc5), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n))
	}
	return append(dst, b...)
}

func appendMsgpackUint(dst []byte, u uint64) []byte {
	switch {
	case u < 0x80:
		return append(dst, byte(u))
	case u <= math.MaxUint8:
		return append(dst, 0xcc, byte(u))
	case u <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(u))
	case u <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(u))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), u)
}

func appendMsgpackInt(dst []byte, i int64) []byte {
	switch {
	case i >= 0:
		return appendMsgpackUint(dst, uint64(i))
	case i >= -0x20:
		return append(dst, byte(i))
	case i >= math.MinInt8:
		return append(dst, 0xd0, byte(i))
	case i >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(i))
	case i >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(i))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(i))
}

// appendMsgpackNumber writes a JSON number: as an integer if it is one and fits, whatever its notation.
func appendMsgpackNumber(dst []byte, number string) []byte {
	if i, err := strconv.ParseInt(number, 10, 64); err == nil {
		return appendMsgpackInt(dst, i)
	}
	if u, err := strconv.ParseUint(number, 10, 64); err == nil {
		return appendMsgpackUint(dst, u)
	}
	f, _ := strconv.ParseFloat(number, 64) // out of range it is infinite, as in JavaScript
	if i := int64(f); f == float64(i) && -1<<53 <= i && i <= 1<<53 {
		return appendMsgpackInt(dst, i)
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f))
}
