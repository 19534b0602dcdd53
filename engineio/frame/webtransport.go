package frame

import (
	"encoding/binary"
	"math"
)

// The header of a WebTransport frame: the top bit of the first byte is set for
// binary payloads, the others hold the length, or announce it in the next 2 or 8
// bytes, big-endian.
const (
	wtBinary   = 0x80
	wtLength16 = 126
	wtLength64 = 127
	// wtMaxLength is the largest length a JavaScript peer can represent.
	wtMaxLength = 1<<53 - 1
)

// AppendWebTransport appends p to dst as a frame of a WebTransport stream: a header
// with the length in its shortest form, then the data of a binary message as it
// is, or the text form of any other packet.
//
// The format has no frame of length 0, so an empty binary message is sent as its
// text form, "b". Peers decode that to an empty binary message.
func AppendWebTransport(dst []byte, p Packet) []byte {
	if p.Binary && len(p.Data) > 0 {
		dst = appendWebTransportHeader(dst, wtBinary, len(p.Data))
		return append(dst, p.Data...)
	}
	dst = appendWebTransportHeader(dst, 0, 1+len(p.Data))
	return AppendPacket(dst, p)
}

func appendWebTransportHeader(dst []byte, flag byte, n int) []byte {
	switch {
	case n < wtLength16:
		return append(dst, flag|byte(n))
	case n <= math.MaxUint16:
		dst = append(dst, flag|wtLength16)
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	dst = append(dst, flag|wtLength64)
	return binary.BigEndian.AppendUint64(dst, uint64(n))
}

// DecodeWebTransport decodes the frame at the start of data and returns its packet
// and its length in bytes, header included. If data does not hold a whole frame yet,
// n and err are zero; the header alone is enough to find out that a frame is too long.
//
// A payload of more than max bytes is ErrTooLong; a max of 0 means no limit. A
// payload of no bytes is ErrEmpty. The packet's data aliases data, unless it was
// base64.
func DecodeWebTransport(data []byte, max int) (p Packet, n int, err error) {
	if len(data) == 0 {
		return Packet{}, 0, nil
	}
	header := 1
	length := uint64(data[0] &^ wtBinary)
	switch length {
	case wtLength16:
		header = 3
		if len(data) < header {
			return Packet{}, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(data[1:]))
	case wtLength64:
		header = 9
		if len(data) < header {
			return Packet{}, 0, nil
		}
		length = binary.BigEndian.Uint64(data[1:])
	}
	switch {
	case length == 0:
		return Packet{}, 0, ErrEmpty
	case length > wtMaxLength || length > math.MaxInt-9 || max > 0 && length > uint64(max):
		return Packet{}, 0, ErrTooLong
	case uint64(len(data)-header) < length:
		return Packet{}, 0, nil
	}
	n = header + int(length)
	payload := data[header:n:n]
	if data[0]&wtBinary != 0 {
		return Packet{Type: Message, Binary: true, Data: payload}, n, nil
	}
	if p, err = DecodePacket(payload); err != nil {
		return Packet{}, 0, err
	}
	return p, n, nil
}
