package packet

import (
	"bytes"
	"cmp"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// SplitArgs appends the elements of the JSON array data to dst. They are slices of data. It allocates only to grow
// dst. Data must be a valid array, as [Packet.Data] is.
func SplitArgs(data jsontext.Value, dst []jsontext.Value) ([]jsontext.Value, error) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '[' {
		return dst, ErrPayload
	}
	s := scanner{data: data, depth: maxEncodeDepth}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == ']' {
		return dst, nil
	}
	for {
		end, err := s.value(i)
		if err != nil {
			return dst, err
		}
		dst = append(dst, data[i:end:end])
		i = skipSpace(data, end)
		if i >= len(data) {
			return dst, ErrPayload
		}
		switch data[i] {
		case ',':
			i = skipSpace(data, i+1)
		case ']':
			return dst, nil
		default:
			return dst, ErrPayload
		}
	}
}

var decodeOptions = json.JoinOptions(
	jsontext.AllowDuplicateNames(true),
	jsontext.AllowInvalidUTF8(true),
	json.MatchCaseInsensitiveNames(true),
	jsonv1.MatchCaseSensitiveDelimiter(true),
	jsonv1.FormatByteArrayAsArray(true),
	jsonv1.FormatDurationAsNano(true),
	jsonv1.StringifyWithLegacySemantics(true),
	jsonv1.UnmarshalArrayFromAnyLength(true),
)

// Unmarshal decodes v into dst, which must be a pointer. A placeholder in v becomes the []byte it stands for wherever
// it is: in a field, a map, a slice, an any. Those bytes are shared with attachments: copy them before changing them.
// A string decoded into a []byte is taken as base64, as in encoding/json. Into a json.RawMessage or a jsontext.Value
// placeholders go as they are.
func Unmarshal(v jsontext.Value, attachments [][]byte, dst any) error {
	v = trimSpace(v)
	switch dst := dst.(type) {
	case *string:
		if dst != nil && len(v) > 0 && v[0] == '"' {
			return unmarshalString(v, dst)
		}
	case *int:
		if n, ok := smallInt(v); ok && dst != nil {
			*dst = n
			return nil
		}
	case *[]byte:
		if dst == nil {
			break
		}
		b, err := decodeBytes(v, attachments)
		if err == nil {
			*dst = b
		}
		return err
	case *jsontext.Value:
		if dst == nil {
			break
		}
		*dst = bytes.Clone(v)
		return nil
	case *stdjson.RawMessage:
		if dst == nil {
			break
		}
		*dst = bytes.Clone(v)
		return nil
	case *any:
		if dst == nil {
			break
		}
		got, err := decodeAny(v, attachments)
		if err == nil {
			*dst = got
		}
		return err
	}
	return unmarshalReflected(v, attachments, dst)
}

func trimSpace(v jsontext.Value) jsontext.Value {
	v = v[skipSpace(v, 0):]
	for n := len(v); n > 0 && skipSpace(v[n-1:], 0) > 0; n-- {
		v = v[:n-1]
	}
	return v
}

func unmarshalString(v jsontext.Value, dst *string) error {
	s := scanner{data: v}
	if end, err := s.string(0); err != nil || end != len(v) {
		return ErrPayload
	}
	*dst = string(unquote(v))
	return nil
}

// smallInt decodes the integers that are not in danger of overflow.
func smallInt(v []byte) (int, bool) {
	if len(v) == 0 || len(v) > 9 || v[0] == '0' && len(v) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// decodeBytes decodes a placeholder, a string of base64, or null.
func decodeBytes(v jsontext.Value, attachments [][]byte) ([]byte, error) {
	if string(v) == "null" {
		return nil, nil
	}
	switch v.Kind() {
	case '{':
		index, ok, err := placeholderIndex(v, len(attachments))
		if err != nil {
			return nil, err
		}
		if ok {
			return attachments[index], nil
		}
	case '"':
		var text string
		if err := unmarshalString(v, &text); err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(text)
	}
	return nil, fmt.Errorf("cannot decode %.40s into a []byte: neither binary nor base64", v)
}

// placeholderIndex returns which of n attachments the object v stands for. It returns false if v is an ordinary
// object; without attachments every object is.
func placeholderIndex(v jsontext.Value, n int) (index int, ok bool, err error) {
	if n == 0 {
		return 0, false, nil
	}
	i := skipSpace(v, 1)
	s := scanner{data: v, depth: maxEncodeDepth}
	var found placeholder
	for i < len(v) && v[i] == '"' {
		name := i
		if i, err = s.string(i); err != nil {
			return 0, false, err
		}
		nameEnd := i
		if i = skipSpace(v, i); i >= len(v) || v[i] != ':' {
			return 0, false, ErrPayload
		}
		i = skipSpace(v, i+1)
		value := i
		if i, err = s.value(i); err != nil {
			return 0, false, err
		}
		found.member(v[name:nameEnd], v[value:i])
		i = skipSpace(v, i)
		if i < len(v) && v[i] == ',' {
			i = skipSpace(v, i+1)
		}
	}
	if !found.yes {
		return 0, false, nil
	}
	if end, err := s.value(0); err != nil || end != len(v) {
		return 0, false, ErrPayload // the loop above doesn't look at what is between the members
	}
	index, err = found.index(n)
	return index, err == nil, err
}

// An unmarshaler decodes by reflection what can have binary in it; see marshaler for why it is kept.
type unmarshaler struct {
	options     json.Options
	attachments [][]byte
}

var unmarshalers = sync.Pool{New: func() any {
	u := new(unmarshaler)
	u.options = json.JoinOptions(decodeOptions, json.WithUnmarshalers(json.UnmarshalFromFunc(u.hook)))
	return u
}}

func unmarshalReflected(v jsontext.Value, attachments [][]byte, dst any) error {
	t := reflect.TypeOf(dst)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("cannot decode into %T: not a pointer", dst)
	}
	switch decodedTypes.info(t.Elem()).class {
	case plain:
		return json.Unmarshal(v, dst, decodeOptions)
	case dynamic:
		if len(attachments) == 0 {
			return json.Unmarshal(v, dst, decodeOptions)
		}
	}
	if isObject(t) && v.Kind() == '{' {
		if _, ok, err := placeholderIndex(v, len(attachments)); ok || err != nil {
			return cmp.Or(err, fmt.Errorf("cannot decode binary into a %v", t.Elem()))
		}
	}
	u := unmarshalers.Get().(*unmarshaler)
	u.attachments = attachments
	err := json.Unmarshal(v, dst, u.options)
	u.attachments = nil
	unmarshalers.Put(u)
	return err
}

// isObject reports whether t, behind pointers, is decoded from an object member by member.
func isObject(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return (t.Kind() == reflect.Struct || t.Kind() == reflect.Map) && !implements(t, decodedTypes.methods...) &&
		!implements(t, decodedTypes.streams...)
}

// hook is called with a pointer to every value that is about to be decoded.
func (u *unmarshaler) hook(dec *jsontext.Decoder, dst any) error {
	switch dst := dst.(type) {
	case *string, *int, *bool, *float64:
		return errors.ErrUnsupported // saves them the look-up
	case *[]byte:
		return u.bytes(dec, func(b []byte) { *dst = b })
	case *any:
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		*dst, err = decodeAny(v, u.attachments)
		return err
	}
	t := reflect.TypeOf(dst).Elem()
	switch decodedTypes.info(t).leaf {
	case bytesLeaf:
		return u.bytes(dec, func(b []byte) { reflect.ValueOf(dst).Elem().SetBytes(b) })
	case numberLeaf:
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		return decodeNumber(v, dst.(*stdjson.Number))
	}
	return errors.ErrUnsupported
}

func (u *unmarshaler) bytes(dec *jsontext.Decoder, set func([]byte)) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	b, err := decodeBytes(v, u.attachments)
	if err != nil {
		return err
	}
	set(b)
	return nil
}

func decodeNumber(v jsontext.Value, dst *stdjson.Number) error {
	switch v.Kind() {
	case 'n':
		*dst = ""
		return nil
	case '"':
		text := unquote(v)
		s := scanner{data: text}
		if len(text) > 0 && (text[0] == '-' || '0' <= text[0] && text[0] <= '9') {
			if end, err := s.number(0); err == nil && end == len(text) {
				*dst = stdjson.Number(text)
				return nil
			}
		}
	case '0':
		*dst = stdjson.Number(v)
		return nil
	}
	return errors.New("not a number")
}
