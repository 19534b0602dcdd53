package packet

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	defaultMaxAttachments     = 10
	defaultMaxAttachmentBytes = 10_000_000
	defaultMaxDepth           = 64
	defaultMaxNamespaceLen    = 1024
)

var defaultLimits = Limits{}.withDefaults()

func (l Limits) withDefaults() Limits {
	orDefault := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	orDefault(&l.MaxAttachments, defaultMaxAttachments)
	orDefault(&l.MaxAttachmentBytes, defaultMaxAttachmentBytes)
	orDefault(&l.MaxDepth, defaultMaxDepth)
	orDefault(&l.MaxNamespaceLen, defaultMaxNamespaceLen)
	return l
}

// A Decoder puts the packets of one connection together. The zero value is ready for use and has the default limits.
// It is small, keeps nothing between complete packets, and is not safe for concurrent use.
//
// It is as strict as Node's parser, and a little stricter: it refuses an event or an acknowledgement without
// arguments array, spaces in the header, numbers in the header that are not plain digits, and ids above 2^64-1.
type Decoder struct {
	// Limits may be shared by many decoders; nil means the defaults.
	Limits *Limits
	// Format is how packets are written on this connection; the zero value is JSON.
	Format Format

	pending *pending
}

// pending is a packet whose attachments are not all there.
type pending struct {
	packet Packet
	due    int
	bytes  int
}

func (d *Decoder) limits() Limits {
	if d.Limits == nil {
		return defaultLimits
	}
	return d.Limits.withDefaults()
}

// Text takes a text frame. It returns the packet and true, or false if attachments must follow. The packet doesn't
// refer to data. After an error the decoder must not be fed again, except after Reset.
func (d *Decoder) Text(data []byte) (p Packet, complete bool, err error) {
	if d.pending != nil || d.Format != JSON {
		return Packet{}, false, ErrUnexpectedText
	}
	due, err := decodeText(data, d.limits(), &p)
	if err != nil {
		return Packet{}, false, err
	}
	if due > 0 {
		d.pending = &pending{packet: p, due: due}
		return Packet{}, false, nil
	}
	return p, true, nil
}

// Binary takes a binary frame, an attachment of the packet that the last call of Text began, or with the Msgpack
// format a whole packet. It returns the packet and true when nothing more must follow. The packet doesn't refer to data.
func (d *Decoder) Binary(data []byte) (p Packet, complete bool, err error) {
	if d.Format == Msgpack {
		p, err = decodeMsgpack(data, d.limits())
		return p, err == nil, err
	}
	b := d.pending
	if b == nil {
		return Packet{}, false, ErrUnexpectedBinary
	}
	limits := d.limits()
	if b.bytes += len(data); b.bytes > limits.MaxAttachmentBytes {
		d.pending = nil
		return Packet{}, false, ErrAttachmentBytes
	}
	b.packet.Attachments = append(b.packet.Attachments, append(make([]byte, 0, len(data)), data...))
	if len(b.packet.Attachments) < b.due {
		return Packet{}, false, nil
	}
	d.pending = nil
	return b.packet, true, nil
}

// Pending reports whether attachments are due. How long to wait for them is the caller's affair.
func (d *Decoder) Pending() bool { return d.pending != nil }

// Reset drops a packet that was received in part.
func (d *Decoder) Reset() { d.pending = nil }

// decodeText decodes a text frame into p and returns how many attachments must follow it.
func decodeText(data []byte, limits Limits, p *Packet) (due int, err error) {
	due, data, err = cutHeader(data, limits, p)
	if err != nil {
		return 0, err
	}
	if len(data) > 0 {
		if p.Data, err = checkPayload(data, limits.MaxDepth, due); err != nil {
			return 0, err
		}
	}
	return due, p.checkType()
}

// cutHeader cuts everything before the JSON.
func cutHeader(data []byte, limits Limits, p *Packet) (due int, rest []byte, err error) {
	if len(data) == 0 || data[0] < '0' || data[0] > '0'+byte(BinaryAck) {
		return 0, nil, ErrType
	}
	p.Type = Type(data[0] - '0')
	data = data[1:]
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		if due, data, err = cutAttachments(data, limits.MaxAttachments); err != nil {
			return 0, nil, err
		}
		p.Type -= BinaryEvent - Event
	}
	if p.Namespace, data, err = cutNamespace(data, limits.MaxNamespaceLen); err != nil {
		return 0, nil, err
	}
	p.ID, p.HasID, rest, err = cutID(data)
	return due, rest, err
}

// checkType checks that the payload is what packets of its type have, and sets the name of an event.
func (p *Packet) checkType() (err error) {
	var first byte
	if len(p.Data) > 0 {
		first = p.Data[0]
	}
	switch p.Type {
	case Connect:
		if first != 0 && first != '{' {
			return ErrPayload
		}
	case Disconnect:
		if first != 0 {
			return ErrPayload
		}
	case ConnectError:
		if first != 0 && first != '{' && first != '"' {
			return ErrPayload
		}
	case Event:
		if first != '[' {
			return ErrPayload
		}
		p.Event, err = eventName(p.Data)
	case Ack:
		if first != '[' {
			return ErrPayload
		}
	}
	return err
}

// cutAttachments cuts "<n>-".
func cutAttachments(data []byte, max int) (n int, rest []byte, err error) {
	for i, c := range data {
		if c == '-' {
			switch {
			case n == 0:
				return 0, nil, ErrAttachments
			case n > max:
				return 0, nil, ErrTooManyAttachments
			}
			return n, data[i+1:], nil
		}
		if c < '0' || c > '9' {
			return 0, nil, ErrAttachments
		}
		n = min(n*10+int(c-'0'), math.MaxInt32) // saturates: the exact number of too many is of no interest
	}
	return 0, nil, ErrAttachments
}

// cutNamespace cuts "/<name>,"; the comma is missing if nothing follows.
func cutNamespace(data []byte, max int) (name string, rest []byte, err error) {
	if len(data) == 0 || data[0] != '/' {
		return "/", data, nil
	}
	end := bytes.IndexByte(data, ',')
	if end >= 0 {
		rest = data[end+1:]
	} else {
		end = len(data)
	}
	if end > max {
		return "", nil, ErrNamespace
	}
	return intern(validUTF8(data[:end])), rest, nil
}

// validUTF8 returns data with U+FFFD in place of what is not valid UTF-8.
func validUTF8(data []byte) []byte {
	if utf8.Valid(data) {
		return data
	}
	return bytes.ToValidUTF8(data, []byte("\uFFFD"))
}

func cutID(data []byte) (id uint64, has bool, rest []byte, err error) {
	for i, c := range data {
		if c < '0' || c > '9' {
			return id, i > 0, data[i:], nil
		}
		digit := uint64(c - '0')
		if id > (math.MaxUint64-digit)/10 {
			return 0, false, nil, ErrID
		}
		id = id*10 + digit
	}
	return id, len(data) > 0, nil, nil
}

// checkPayload returns a copy of data, after checking that it is one valid JSON value. Text in it that is not valid
// UTF-8 is replaced, so that the packet can be sent on as it is.
func checkPayload(data []byte, maxDepth, attachments int) (jsontext.Value, error) {
	data = validUTF8(data)
	s := scanner{data: data, depth: maxDepth, attachments: attachments}
	end, err := s.value(0)
	if err != nil {
		return nil, err
	}
	if skipSpace(data, end) != len(data) {
		return nil, ErrPayload
	}
	value := make(jsontext.Value, end) // exactly as long, nothing can be appended into somebody else's memory
	copy(value, data)
	return value, nil
}

// eventName returns the name of the event with the given payload, a valid JSON array.
func eventName(data jsontext.Value) (string, error) {
	i := skipSpace(data, 1)
	s := scanner{data: data}
	switch c := data[i]; {
	case c == '"':
		end, _ := s.string(i)
		name := unquote(data[i:end])
		if Reserved(string(name)) { // does not allocate
			return "", ErrReserved
		}
		return intern(name), nil
	case c == '-' || '0' <= c && c <= '9':
		end, _ := s.number(i)
		f, err := strconv.ParseFloat(string(data[i:end]), 64)
		if err != nil {
			return "", ErrEventName // out of range
		}
		return string(appendFloat(nil, f, 64)), nil
	case c == ']':
		return "", ErrPayload
	}
	return "", ErrEventName
}
