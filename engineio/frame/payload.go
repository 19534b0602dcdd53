package frame

import "bytes"

// Separator stands between the packets of a payload and ends each record of a
// stream. It is the ASCII control character "record separator".
const Separator = 0x1e

// AppendPayload appends the packets to dst in text form, joined by Separator. This
// is the body of a long-polling request or response.
func AppendPayload(dst []byte, ps []Packet) []byte {
	for i, p := range ps {
		if i > 0 {
			dst = append(dst, Separator)
		}
		dst = AppendPacket(dst, p)
	}
	return dst
}

// DecodePayload calls yield for each packet of a payload, in order. It stops at the
// first packet that is malformed and returns why, after the packets before it
// have been yielded, or at the first error that yield returns, and returns that.
//
// A payload of more than max packets is refused as a whole with ErrTooMany: yield
// is not called. A max of 0 means no limit. An empty payload, like an empty
// packet inside one, is ErrEmpty.
//
// Packet data aliases the payload, except for binary packets.
func DecodePayload(data []byte, max int, yield func(Packet) error) error {
	if max > 0 && bytes.Count(data, separator) >= max {
		return ErrTooMany
	}
	for {
		one, rest, more := bytes.Cut(data, separator)
		p, err := DecodePacket(one)
		if err != nil {
			return err
		}
		if err := yield(p); err != nil {
			return err
		}
		if !more {
			return nil
		}
		data = rest
	}
}

var separator = []byte{Separator}
