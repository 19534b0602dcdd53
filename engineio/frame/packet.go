package frame

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// Type is the type of an Engine.IO packet.
type Type byte

// The packet types of Engine.IO protocol 4. On the wire each is its decimal digit.
const (
	Open    Type = iota // the handshake, server to client
	Close               // the peer is leaving (polling and streaming)
	Ping                // heartbeat, server to client; with data "probe" a transport is tried
	Pong                // answer to a ping, with the same data
	Message             // application data
	Upgrade             // the client has moved to the transport this arrives on
	Noop                // nothing; releases a held polling request
)

var typeNames = [...]string{"open", "close", "ping", "pong", "message", "upgrade", "noop"}

// String returns the name that the protocol's documentation uses, "open" to "noop".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// Packet is one Engine.IO packet.
type Packet struct {
	Type Type
	// Binary tells a binary message from a text message. The other types are
	// always text.
	Binary bool
	// Data is what follows the type, without base64. It may be empty.
	Data []byte
}

// What the decoders may report. They return these values unwrapped.
var (
	ErrEmpty   = errors.New("frame: empty packet")
	ErrType    = errors.New("frame: unknown packet type")
	ErrBase64  = errors.New("frame: invalid base64 in binary packet")
	ErrTooMany = errors.New("frame: too many packets in one payload")
	ErrTooLong = errors.New("frame: packet exceeds the limit")
	ErrEscape  = errors.New("frame: invalid escape in event")
)

// binaryMark is in the place of the type in the text form of a binary message.
const binaryMark = 'b'

// AppendPacket appends the text form of p to dst: the digit of its type and its
// data, or "b" and base64 if p is binary.
func AppendPacket(dst []byte, p Packet) []byte {
	if p.Binary {
		dst = append(dst, binaryMark)
		return base64.StdEncoding.AppendEncode(dst, p.Data)
	}
	dst = append(dst, '0'+byte(p.Type))
	return append(dst, p.Data...)
}

// DecodePacket decodes the text form of one packet. The Data of a binary packet is
// newly allocated, that of any other aliases data.
//
// Base64 is accepted with and without padding, in the standard and in the URL
// alphabet and broken into lines, since clients in the field send all of these.
// Anything else in it is ErrBase64.
func DecodePacket(data []byte) (Packet, error) {
	if len(data) == 0 {
		return Packet{}, ErrEmpty
	}
	body := data[1:len(data):len(data)]
	switch c := data[0]; {
	case c >= '0' && c <= '0'+byte(Noop):
		return Packet{Type: Type(c - '0'), Data: body}, nil
	case c == binaryMark:
		raw, err := decodeBase64(body)
		if err != nil {
			return Packet{}, err
		}
		return Packet{Type: Message, Binary: true, Data: raw}, nil
	}
	return Packet{}, ErrType
}

func decodeBase64(src []byte) ([]byte, error) {
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(src)))
	n, err := base64.StdEncoding.Decode(dst, src)
	if err == nil {
		return dst[:n], nil
	}
	// The other alphabet, or no padding: rare enough to pay for a copy.
	std := bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case '\r', '\n':
			return -1
		}
		return r
	}, src)
	for i := 0; i < 2 && len(std) > 0 && std[len(std)-1] == '='; i++ {
		std = std[:len(std)-1]
	}
	dst = make([]byte, base64.RawStdEncoding.DecodedLen(len(std)))
	n, err = base64.RawStdEncoding.Decode(dst, std)
	if err != nil {
		return nil, ErrBase64
	}
	return dst[:n], nil
}
