package packet

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendMsgpackValue appends a JSON value as msgpack. Placeholders in it become the attachments they refer to.
func AppendMsgpackValue(dst []byte, v jsontext.Value, attachments [][]byte) ([]byte, error) {
	t := translator{scanner: scanner{data: v, depth: maxEncodeDepth}, attachments: attachments, out: dst}
	end, err := t.value(skipSpace(v, 0))
	if err == nil && skipSpace(v, end) != len(v) {
		err = ErrPayload
	}
	if err != nil {
		return dst, fmt.Errorf("cannot translate to msgpack: %w", err)
	}
	return t.out, nil
}

// DecodeMsgpackValue translates one msgpack value, which must be all of data, into JSON. What is binary in it becomes
// placeholders and attachments, as in a [Packet]. The result doesn't refer to data. A nil limits means the defaults;
// of them MaxAttachmentBytes and MaxDepth count.
func DecodeMsgpackValue(data []byte, limits *Limits) (jsontext.Value, [][]byte, error) {
	var l Limits
	if limits != nil {
		l = *limits
	}
	l = l.withDefaults()
	r := msgpackReader{data: data, depth: l.MaxDepth + 1, limits: l}
	v, err := r.value(make(jsontext.Value, 0, len(data)+16))
	if err != nil {
		return nil, nil, err
	}
	if len(r.data) > 0 {
		return nil, nil, errTrailing
	}
	if len(r.attachments) > 0 {
		// A map that was a placeholder already, when it was sent, must not be taken for what it isn't.
		s := scanner{data: v, depth: l.MaxDepth + 1, attachments: len(r.attachments)}
		if _, err := s.value(0); err != nil {
			return nil, nil, err
		}
	}
	return v, r.attachments, nil
}

var errTrailing = errors.New("data after the value")
