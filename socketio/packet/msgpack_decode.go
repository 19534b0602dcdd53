package packet

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// maxMsgpackAttachments is how much binary may be in one msgpack packet: more than in the JSON format, as all of it is
// there at once, but not as much as fits, since two bytes on the wire become a hundred in memory.
const maxMsgpackAttachments = 1000

// decodeMsgpack decodes a packet into its JSON form.
func decodeMsgpack(data []byte, limits Limits) (Packet, error) {
	r := msgpackReader{data: data, depth: limits.MaxDepth + 1, limits: limits} // the packet itself is a map
	var p Packet
	if err := r.packet(&p); err != nil {
		return Packet{}, err
	}
	if len(r.data) > 0 {
		return Packet{}, ErrPayload
	}
	if n := len(r.attachments); n > 0 {
		// A map that was a placeholder already, when it was sent, must not be taken for what it isn't.
		s := scanner{data: p.Data, depth: limits.MaxDepth, attachments: n}
		if _, err := s.value(0); err != nil {
			return Packet{}, err
		}
		p.Attachments = r.attachments
	}
	if p.Type == ConnectError && len(p.Data) == 0 {
		return Packet{}, ErrPayload
	}
	return p, p.checkType()
}

// A msgpackReader translates msgpack into JSON.
type msgpackReader struct {
	data        []byte // what is left
	depth       int
	limits      Limits
	attachments [][]byte
	binaryBytes int
}

// packet reads a packet: a map with the members type, nsp and perhaps data and id, in any order, and others.
func (r *msgpackReader) packet(p *Packet) error {
	n, isMap, err := r.mapLen()
	if err != nil || !isMap {
		return ErrPayload
	}
	const needType, needNsp = 1, 2
	missing := needType | needNsp
	for range n {
		name, err := r.name()
		if err != nil {
			return err
		}
		switch string(name) {
		case "type":
			t, ok := r.uint()
			if !ok || t > uint64(ConnectError) {
				return ErrType
			}
			p.Type = Type(t)
			missing &^= needType
		case "nsp":
			nsp, ok, err := r.str()
			if err != nil || !ok || len(nsp) == 0 || nsp[0] != '/' || len(nsp) > r.limits.MaxNamespaceLen ||
				bytes.IndexByte(nsp, ',') >= 0 { // the JSON format couldn't write it
				return ErrNamespace
			}
			p.Namespace = intern(validUTF8(nsp))
			missing &^= needNsp
		case "id":
			if r.undefined() {
				p.ID, p.HasID = 0, false
				break
			}
			if p.ID, p.HasID = r.uint(); !p.HasID {
				return ErrID
			}
		case "data":
			r.attachments, r.binaryBytes = nil, 0
			if r.undefined() {
				p.Data = nil
				break
			}
			if p.Data, err = r.value(make(jsontext.Value, 0, len(r.data)+16)); err != nil {
				return err
			}
			if string(p.Data) == "null" && (p.Type == Connect || p.Type == Disconnect) {
				p.Data = nil // python-socketio writes None
			}
		default:
			// Its binary is not kept, but what it takes counts all the same.
			kept := r.attachments
			if _, err := r.value(nil); err != nil {
				return err
			}
			r.attachments = kept
		}
	}
	switch {
	case missing&needType != 0:
		return ErrType
	case missing&needNsp != 0:
		return ErrNamespace
	}
	return nil
}

// take returns the next n bytes.
func (r *msgpackReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.data) {
		return nil, ErrPayload
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b, nil
}

// number returns the next size bytes, 1, 2, 4 or 8, as an unsigned number.
func (r *msgpackReader) number(size int) (uint64, error) {
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	}
	return binary.BigEndian.Uint64(b), nil
}

// sized returns as many bytes as the number of the given size says.
func (r *msgpackReader) sized(size int) ([]byte, error) {
	n, err := r.number(size)
	if err != nil || n > uint64(len(r.data)) {
		return nil, ErrPayload
	}
	return r.take(int(n))
}

// undefined skips JavaScript's undefined, if that comes next.
func (r *msgpackReader) undefined() bool {
	if len(r.data) >= 3 && r.data[0] == 0xd4 && r.data[1] == 0 {
		r.data = r.data[3:]
		return true
	}
	return false
}

// uint reads a whole number that is not negative; JavaScript writes the larger ones as floating point.
func (r *msgpackReader) uint() (uint64, bool) {
	text, err := r.value(nil)
	if err != nil {
		return 0, false
	}
	u, err := strconv.ParseUint(string(text), 10, 64)
	return u, err == nil
}

// str reads a string, if one comes next.
func (r *msgpackReader) str() (s []byte, ok bool, err error) {
	if len(r.data) == 0 {
		return nil, false, ErrPayload
	}
	switch c := r.data[0]; {
	case c&0xe0 == 0xa0:
		r.data = r.data[1:]
		s, err = r.take(int(c & 0x1f))
	case c >= 0xd9 && c <= 0xdb:
		r.data = r.data[1:]
		s, err = r.sized(1 << (c - 0xd9))
	default:
		return nil, false, nil
	}
	return s, err == nil, err
}

// mapLen reads the head of a map, if one comes next.
func (r *msgpackReader) mapLen() (n int, ok bool, err error) {
	return r.containerLen(0x80, 0xde)
}

func (r *msgpackReader) arrayLen() (n int, ok bool, err error) {
	return r.containerLen(0x90, 0xdc)
}

func (r *msgpackReader) containerLen(short, long byte) (n int, ok bool, err error) {
	if len(r.data) == 0 {
		return 0, false, ErrPayload
	}
	c := r.data[0]
	if c&0xf0 == short {
		r.data = r.data[1:]
		return int(c & 0x0f), true, nil
	}
	if c != long && c != long+1 {
		return 0, false, nil
	}
	r.data = r.data[1:]
	u, err := r.number(2 << (c - long))
	if err != nil || u > uint64(len(r.data)) { // every element takes a byte at least
		return 0, false, ErrPayload
	}
	return int(u), true, nil
}

// name reads the name of a member: a string, or a number, which JavaScript takes for one.
func (r *msgpackReader) name() ([]byte, error) {
	s, ok, err := r.str()
	if ok || err != nil {
		return s, err
	}
	text, err := r.value(nil)
	if err != nil {
		return nil, err
	}
	if c := text[0]; c != '-' && (c < '0' || c > '9') {
		return nil, ErrPayload
	}
	return text, nil
}

// value appends the next value to dst.
func (r *msgpackReader) value(dst jsontext.Value) (jsontext.Value, error) {
	if s, ok, err := r.str(); ok || err != nil {
		return appendText(dst, s), err
	}
	if n, ok, err := r.arrayLen(); ok || err != nil {
		if err != nil {
			return dst, err
		}
		return r.array(dst, n)
	}
	if n, ok, err := r.mapLen(); ok || err != nil {
		if err != nil {
			return dst, err
		}
		return r.object(dst, n)
	}
	c := r.data[0] // it isn't empty: str has looked
	r.data = r.data[1:]
	switch {
	case c < 0x80:
		return strconv.AppendUint(dst, uint64(c), 10), nil
	case c >= 0xe0:
		return strconv.AppendInt(dst, int64(int8(c)), 10), nil
	case c == 0xc0:
		return append(dst, "null"...), nil
	case c == 0xc2:
		return append(dst, "false"...), nil
	case c == 0xc3:
		return append(dst, "true"...), nil
	case c >= 0xc4 && c <= 0xc6:
		b, err := r.sized(1 << (c - 0xc4))
		if err != nil {
			return dst, err
		}
		return r.attach(dst, b)
	case c >= 0xc7 && c <= 0xc9:
		return r.sizedExtension(dst, 1<<(c-0xc7))
	case c == 0xca:
		u, err := r.number(4)
		return appendJSFloat(dst, float64(math.Float32frombits(uint32(u)))), err
	case c == 0xcb:
		u, err := r.number(8)
		return appendJSFloat(dst, math.Float64frombits(u)), err
	case c >= 0xcc && c <= 0xcf:
		u, err := r.number(1 << (c - 0xcc))
		return strconv.AppendUint(dst, u, 10), err
	case c >= 0xd0 && c <= 0xd3:
		size := 1 << (c - 0xd0)
		u, err := r.number(size)
		shift := 64 - 8*size
		return strconv.AppendInt(dst, int64(u)<<shift>>shift, 10), err
	case c >= 0xd4 && c <= 0xd8:
		return r.fixedExtension(dst, 1<<(c-0xd4))
	}
	return dst, ErrPayload // 0xc1, which is never used
}

func (r *msgpackReader) array(dst jsontext.Value, n int) (jsontext.Value, error) {
	if r.depth--; r.depth <= 0 {
		return dst, ErrDepth
	}
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = r.value(dst); err != nil {
			return dst, err
		}
	}
	r.depth++
	return append(dst, ']'), nil
}

func (r *msgpackReader) object(dst jsontext.Value, n int) (jsontext.Value, error) {
	if r.depth--; r.depth <= 0 {
		return dst, ErrDepth
	}
	dst = append(dst, '{')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		name, err := r.name()
		if err != nil {
			return dst, err
		}
		dst = append(appendText(dst, name), ':')
		if dst, err = r.value(dst); err != nil {
			return dst, err
		}
	}
	r.depth++
	return append(dst, '}'), nil
}

func appendText(dst, s []byte) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only tells that invalid UTF-8 became U+FFFD
	return dst
}

// appendJSFloat writes what JSON.stringify does.
func appendJSFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return appendFloat(dst, f, 64)
}

// attach takes a copy of b as the next attachment.
func (r *msgpackReader) attach(dst jsontext.Value, b []byte) (jsontext.Value, error) {
	if len(r.attachments) >= maxMsgpackAttachments {
		return dst, ErrTooManyAttachments
	}
	if r.binaryBytes += len(b); r.binaryBytes > r.limits.MaxAttachmentBytes {
		return dst, ErrAttachmentBytes
	}
	dst = appendPlaceholder(dst, len(r.attachments))
	r.attachments = append(r.attachments, append(make([]byte, 0, len(b)), b...))
	return dst, nil
}

// Types of extensions.
const (
	extJS   = 0    // notepack's own: undefined, a Date or an ArrayBuffer, depending on the length
	extTime = 0xff // -1, msgpack's timestamp
)

func (r *msgpackReader) sizedExtension(dst jsontext.Value, size int) (jsontext.Value, error) {
	n, err := r.number(size)
	if err != nil {
		return dst, err
	}
	head, err := r.take(1)
	if err != nil || n > uint64(len(r.data)) {
		return dst, ErrPayload
	}
	b, _ := r.take(int(n))
	switch {
	case head[0] == extJS:
		return r.attach(dst, b)
	case head[0] == extTime && n == 12:
		return appendTime(dst, int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint32(b))), nil
	}
	return dst, ErrPayload
}

func (r *msgpackReader) fixedExtension(dst jsontext.Value, size int) (jsontext.Value, error) {
	b, err := r.take(1 + size)
	if err != nil {
		return dst, err
	}
	kind, b := b[0], b[1:]
	switch {
	case kind == extJS && size == 1:
		return append(dst, "null"...), nil
	case kind == extJS && size == 8:
		ms := int64(binary.BigEndian.Uint64(b))
		return appendTime(dst, floorDiv(ms, 1000), (ms-floorDiv(ms, 1000)*1000)*1e6), nil
	case kind == extTime && size == 4:
		return appendTime(dst, int64(binary.BigEndian.Uint32(b)), 0), nil
	case kind == extTime && size == 8:
		u := binary.BigEndian.Uint64(b)
		return appendTime(dst, int64(u&(1<<34-1)), int64(u>>34)), nil
	}
	return dst, ErrPayload
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// appendTime writes what JSON.stringify makes of a Date.
func appendTime(dst []byte, seconds, nanoseconds int64) []byte {
	const limit = 8_640_000_000_000 // what a Date can hold
	if seconds < -limit || seconds > limit || nanoseconds >= 1e9 {
		return append(dst, "null"...)
	}
	t := time.Unix(seconds, nanoseconds).UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return append(dst, "null"...) // JavaScript has a form for these that nothing else reads
	}
	return t.AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`)
}
