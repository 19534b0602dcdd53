package packet

import (
	stdjson "encoding/json"
	"errors"
	"reflect"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

var encodeOptions = json.JoinOptions(
	jsontext.AllowDuplicateNames(true),
	jsontext.AllowInvalidUTF8(true),
	json.FormatNilMapAsNull(true),
	json.FormatNilSliceAsNull(true),
	jsonv1.FormatByteArrayAsArray(true),
	jsonv1.FormatDurationAsNano(true),
	jsonv1.OmitEmptyWithLegacySemantics(true),
	jsonv1.StringifyWithLegacySemantics(true),
)

var errFunc = errors.New("a function can't be sent; to be answered, emit with an acknowledgement")

// A marshaler writes values by reflection. The json package binds hooks to functions, and learns the types it meets
// anew for each: so marshalers are made once and used again.
type marshaler struct {
	enc *jsontext.Encoder
	// What the packet has so far, while one of its values is being written. The encoder itself is not referred to:
	// it would have to live on the heap.
	text        []byte
	attachments [][]byte
}

var (
	plainMarshalers  = sync.Pool{New: func() any { return newMarshaler(false) }}
	hookedMarshalers = sync.Pool{New: func() any { return newMarshaler(true) }}
)

func newMarshaler(hooked bool) *marshaler {
	m := new(marshaler)
	options := encodeOptions
	if hooked {
		options = json.JoinOptions(options, json.WithMarshalers(json.MarshalToFunc(m.hook)))
	}
	m.enc = jsontext.NewEncoder(m, options)
	return m
}

// Write takes what enc has written.
func (m *marshaler) Write(p []byte) (int, error) {
	m.text = append(m.text, p...)
	return len(p), nil
}

// reflected writes a value whose type is none of the common ones.
func (e *encoder) reflected(v any) error {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Func {
		return errFunc
	}
	pool := &hookedMarshalers
	if encodedTypes.info(t).class == plain {
		pool = &plainMarshalers
	}
	m := pool.Get().(*marshaler)
	m.text, m.attachments = e.text, e.attachments
	if err := json.MarshalEncode(m.enc, v); err != nil {
		// The marshaler stays in the middle of the value it failed at: it is of no further use.
		if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
			semantic.ByteOffset = 0 // it counts from the first value that the marshaler wrote in its life
		}
		return err
	}
	e.text, e.attachments = m.text, m.attachments
	m.text, m.attachments = nil, nil
	pool.Put(m)
	if n := len(e.text) - 1; e.text[n] == '\n' {
		e.text = e.text[:n]
	}
	return nil
}

// hook is called with a pointer to every value in the tree. It writes those that the json package would not write as
// packets need them.
func (m *marshaler) hook(enc *jsontext.Encoder, v any) error {
	switch v := v.(type) {
	case *string, *int, *bool, *float64, *any, *map[string]any, *[]any:
		return errors.ErrUnsupported // saves them the look-up
	case *[]byte:
		return m.bytes(enc, *v)
	}
	t := reflect.TypeOf(v).Elem()
	switch encodedTypes.info(t).leaf {
	case bytesLeaf:
		return m.bytes(enc, reflect.ValueOf(v).Elem().Bytes())
	case numberLeaf:
		number := *v.(*stdjson.Number)
		if number == "" {
			number = "0" // as encoding/json does
		}
		return enc.WriteValue(jsontext.Value(number))
	case readerLeaf:
		return ErrReader
	}
	return errors.ErrUnsupported
}

func (m *marshaler) bytes(enc *jsontext.Encoder, b []byte) error {
	if b == nil {
		return enc.WriteToken(jsontext.Null)
	}
	var room [64]byte
	value := appendPlaceholder(room[:0], len(m.attachments))
	m.attachments = append(m.attachments, b)
	return enc.WriteValue(value)
}
