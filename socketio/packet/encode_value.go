package packet

import (
	stdjson "encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxEncodeDepth is how deep values may nest that we write: enough for everything that is not a cycle.
const maxEncodeDepth = 1000

// value writes v. The types that most arguments have, and those that decoding into any yields, are written here, in a
// tenth of the time that reflection takes.
func (e *encoder) value(v any) error {
	switch v := v.(type) {
	case nil:
		e.text = append(e.text, "null"...)
	case string:
		e.string(v)
	case []byte:
		e.bytes(v)
	case bool:
		e.text = strconv.AppendBool(e.text, v)
	case int:
		e.text = strconv.AppendInt(e.text, int64(v), 10)
	case int64:
		e.text = strconv.AppendInt(e.text, v, 10)
	case int32:
		e.text = strconv.AppendInt(e.text, int64(v), 10)
	case uint:
		e.text = strconv.AppendUint(e.text, uint64(v), 10)
	case uint64:
		e.text = strconv.AppendUint(e.text, v, 10)
	case uint32:
		e.text = strconv.AppendUint(e.text, uint64(v), 10)
	case float64:
		return e.float(v, 64)
	case float32:
		return e.float(float64(v), 32)
	case jsontext.Value:
		return e.raw(v)
	case stdjson.RawMessage:
		return e.raw(v)
	case map[string]any:
		return e.object(v)
	case []any:
		return e.array(v)
	case []string:
		e.strings(v)
	default:
		return e.reflected(v)
	}
	return nil
}

func (e *encoder) float(f float64, bits int) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("JSON has no number %v", f)
	}
	e.text = appendFloat(e.text, f, bits)
	return nil
}

func (e *encoder) enter() error {
	if e.depth++; e.depth > maxEncodeDepth {
		return fmt.Errorf("value is nested more than %d deep; does it contain itself?", maxEncodeDepth)
	}
	return nil
}

func (e *encoder) object(m map[string]any) error {
	if m == nil {
		e.text = append(e.text, "null"...)
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	separator := byte('{')
	for name, v := range m {
		e.text = append(e.text, separator)
		separator = ','
		e.string(name)
		e.text = append(e.text, ':')
		if err := e.value(v); err != nil {
			return err
		}
	}
	if len(m) == 0 {
		e.text = append(e.text, '{')
	}
	e.text = append(e.text, '}')
	e.depth--
	return nil
}

func (e *encoder) array(a []any) error {
	if a == nil {
		e.text = append(e.text, "null"...)
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	e.text = append(e.text, '[')
	for i, v := range a {
		if i > 0 {
			e.text = append(e.text, ',')
		}
		if err := e.value(v); err != nil {
			return err
		}
	}
	e.text = append(e.text, ']')
	e.depth--
	return nil
}

func (e *encoder) strings(a []string) {
	if a == nil {
		e.text = append(e.text, "null"...)
		return
	}
	e.text = append(e.text, '[')
	for i, s := range a {
		if i > 0 {
			e.text = append(e.text, ',')
		}
		e.string(s)
	}
	e.text = append(e.text, ']')
}

// appendFloat appends f as JavaScript prints it: without exponent from 1e-6 to 1e21.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if f == 0 {
		return append(dst, '0') // the sign of zero gets lost, as in JSON.stringify
	}
	format := byte('f')
	if abs := math.Abs(f); bits == 64 && (abs < 1e-6 || abs >= 1e21) ||
		bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is e-9
		dst = dst[:n-1]
	}
	return dst
}
