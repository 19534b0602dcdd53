//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/gobwas/ws"
)

var (
	errFrame   = errors.New("websocket: a frame that is not one unmasked, whole text message")
	errPayload = errors.New("not a payload of this generator")
)

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// appendFrame appends text as a client's text frame.
func appendFrame(dst, text []byte) []byte {
	dst = append(dst, 0x81)
	switch n := len(text); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, text...)
	ws.Cipher(dst[start:], mask, 0)
	return dst
}

// nextFrame returns the text of the first frame of b and the frame's length, which is 0 when b holds only a part of it.
func nextFrame(b []byte) (text []byte, size int, err error) {
	if len(b) < 2 {
		return nil, 0, nil
	}
	if b[0] == 0x88 {
		return nil, 0, errors.New("websocket: closed by the server")
	}
	if b[0] != 0x81 || b[1]&0x80 != 0 {
		return nil, 0, errFrame
	}
	header, length := 2, uint64(b[1])
	switch length {
	case 126:
		if len(b) < 4 {
			return nil, 0, nil
		}
		header, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if len(b) < 10 {
			return nil, 0, nil
		}
		header, length = 10, binary.BigEndian.Uint64(b[2:])
	}
	if uint64(len(b)-header) < length {
		return nil, 0, nil
	}
	size = header + int(length)
	return b[header:size], size, nil
}

// A payload is a JSON string: which stream it belongs to (six digits), its number in the stream (ten digits), and
// letters up to the wanted size. So whoever receives it can tell whether it is his and the next one in order.
const payloadHead = 16

type payload struct{ fill []byte }

func newPayload(size int) (payload, error) {
	if size < payloadHead {
		return payload{}, fmt.Errorf("payload: %d bytes, at least %d are needed", size, payloadHead)
	}
	return payload{bytes.Repeat([]byte("x"), size-payloadHead)}, nil
}

func (p payload) append(dst []byte, stream int, seq uint64) []byte {
	dst = appendDigits(dst, uint64(stream), 6)
	dst = appendDigits(dst, seq, 10)
	return append(dst, p.fill...)
}

func (p payload) parse(b []byte) (stream int, seq uint64, err error) {
	if len(b) != payloadHead+len(p.fill) || !bytes.Equal(b[payloadHead:], p.fill) {
		return 0, 0, errPayload
	}
	st, err1 := digits(b[:6])
	seq, err2 := digits(b[6:payloadHead])
	return int(st), seq, errors.Join(err1, err2)
}

func appendDigits(dst []byte, n uint64, width int) []byte {
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := start + width - 1; n > 0 && i >= start; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

func digits(b []byte) (n uint64, err error) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errPayload
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}

// appendEcho appends the Engine.IO packet of an echo event that wants acknowledgement id.
func (p payload) appendEcho(dst []byte, stream int, id uint64) []byte {
	dst = strconv.AppendUint(append(dst, "42"...), id, 10)
	dst = append(dst, `["echo","`...)
	return append(p.append(dst, stream, id), `"]`...)
}

// parseAck takes an acknowledgement packet apart that carries a payload.
func (p payload) parseAck(text []byte) (id uint64, stream int, seq uint64, err error) {
	rest, ok := bytes.CutPrefix(text, []byte("43"))
	i := bytes.IndexByte(rest, '[')
	if !ok || i < 1 {
		return 0, 0, 0, fmt.Errorf("not an acknowledgement: %.80q", text)
	}
	if id, err = digits(rest[:i]); err != nil {
		return 0, 0, 0, fmt.Errorf("not an acknowledgement: %.80q", text)
	}
	stream, seq, err = p.parseArray(rest[i:], `["`)
	return id, stream, seq, err
}

func (p payload) parseMsg(text []byte) (stream int, seq uint64, err error) {
	return p.parseArray(text, `42["msg","`)
}

func (p payload) parseArray(text []byte, prefix string) (stream int, seq uint64, err error) {
	rest, ok := bytes.CutPrefix(text, []byte(prefix))
	rest, ok2 := bytes.CutSuffix(rest, []byte(`"]`))
	if !ok || !ok2 {
		return 0, 0, fmt.Errorf("not the packet expected: %.80q", text)
	}
	return p.parse(rest)
}
