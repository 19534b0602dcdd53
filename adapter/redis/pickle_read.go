package redis

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// errPickle is a pickle that is broken, or has more in it than plain values: nothing is ever constructed or called.
var errPickle = errors.New("not a pickle of plain values")

// Values of Python besides nil, bool, number, float64, string and []byte.
type (
	number string // an integer
	tuple  []any
	list   struct{ items []any }
	dict   struct{ keys, values []any }
	mark   struct{}
)

// An unpickler runs the opcodes of a pickle that make plain values.
type unpickler struct {
	in    []byte
	stack []any
	memo  map[uint64]any
}

// unpickle reads a pickle of any protocol from 1 to 5. What comes back may refer to a value many times, and even to
// itself: who walks it must bound the walk.
func unpickle(in []byte) (any, error) {
	u := unpickler{in: in, memo: make(map[uint64]any)}
	for {
		op := u.take(1)
		if op == nil {
			return nil, errPickle
		}
		if op[0] == '.' {
			if len(u.stack) != 1 {
				return nil, errPickle
			}
			return u.stack[0], nil
		}
		if !u.step(op[0]) {
			return nil, errPickle
		}
	}
}

func (u *unpickler) take(n uint64) []byte {
	if n > uint64(len(u.in)) {
		return nil
	}
	b := u.in[:n:n]
	u.in = u.in[n:]
	return b
}

// uint takes a number of so many bytes, the least one first.
func (u *unpickler) uint(size int) (n uint64, ok bool) {
	b := u.take(uint64(size))
	if b == nil {
		return 0, false
	}
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n, true
}

func (u *unpickler) push(v any) bool {
	u.stack = append(u.stack, v)
	return true
}

func (u *unpickler) pop() (any, bool) {
	if len(u.stack) == 0 {
		return nil, false
	}
	v := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	return v, true
}

// popMark takes what was pushed since the last mark.
func (u *unpickler) popMark() ([]any, bool) {
	for i := len(u.stack) - 1; i >= 0; i-- {
		if _, ok := u.stack[i].(mark); ok {
			items := append([]any(nil), u.stack[i+1:]...)
			u.stack = u.stack[:i]
			return items, true
		}
	}
	return nil, false
}

func (u *unpickler) step(op byte) bool {
	switch op {
	case 0x80: // the protocol
		return u.take(1) != nil
	case 0x95: // the length of a frame
		return u.take(8) != nil
	case '(':
		return u.push(mark{})
	case '0':
		_, ok := u.pop()
		return ok
	case '1':
		_, ok := u.popMark()
		return ok
	case 'N':
		return u.push(nil)
	case 0x88, 0x89:
		return u.push(op == 0x88)
	case 'K', 'M', 'J', 0x8a:
		return u.integer(op)
	case 'G':
		b := u.take(8)
		return b != nil && u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case 0x8c, 'X', 0x8d, 'C', 'B', 0x8e, 0x96:
		return u.bytes(op)
	case 'q', 'r', 0x94, 'h', 'j':
		return u.remember(op)
	}
	return u.container(op)
}

func (u *unpickler) integer(op byte) bool {
	switch op {
	case 'K':
		n, ok := u.uint(1)
		return ok && u.push(number(strconv.FormatUint(n, 10)))
	case 'M':
		n, ok := u.uint(2)
		return ok && u.push(number(strconv.FormatUint(n, 10)))
	case 'J':
		n, ok := u.uint(4)
		return ok && u.push(number(strconv.FormatInt(int64(int32(n)), 10)))
	}
	size, ok := u.uint(1)
	if !ok || size > 8 {
		return false // more than 64 bits: JSON's readers could not keep it either
	}
	n, ok := u.uint(int(size))
	if !ok {
		return false
	}
	if shift := 64 - 8*size; size > 0 {
		n = uint64(int64(n<<shift) >> shift)
	}
	return u.push(number(strconv.FormatInt(int64(n), 10)))
}

// bytes takes a string, or bytes, behind their length.
func (u *unpickler) bytes(op byte) bool {
	size := 4
	switch op {
	case 0x8c, 'C':
		size = 1
	case 0x8d, 0x8e, 0x96:
		size = 8
	}
	n, ok := u.uint(size)
	if !ok {
		return false
	}
	b := u.take(n)
	if b == nil && n > 0 {
		return false
	}
	if op == 0x8c || op == 'X' || op == 0x8d {
		return u.push(string(b))
	}
	return u.push(append([]byte{}, b...))
}

// remember notes the last value, or pushes one that was noted.
func (u *unpickler) remember(op byte) bool {
	index, ok := uint64(len(u.memo)), true
	switch op {
	case 'q', 'h':
		index, ok = u.uint(1)
	case 'r', 'j':
		index, ok = u.uint(4)
	}
	if !ok {
		return false
	}
	if op == 'h' || op == 'j' {
		v, ok := u.memo[index]
		return ok && u.push(v)
	}
	if len(u.stack) == 0 {
		return false
	}
	u.memo[index] = u.stack[len(u.stack)-1]
	return true
}

func (u *unpickler) container(op byte) bool {
	switch op {
	case ')':
		return u.push(tuple{})
	case ']':
		return u.push(&list{})
	case '}':
		return u.push(&dict{})
	case 0x85, 0x86, 0x87:
		n := int(op) - 0x84
		if len(u.stack) < n {
			return false
		}
		t := append(tuple{}, u.stack[len(u.stack)-n:]...)
		u.stack = u.stack[:len(u.stack)-n]
		return u.push(t)
	case 't', 'l', 'd', 'e', 'u':
		items, ok := u.popMark()
		if !ok {
			return false
		}
		switch op {
		case 't':
			return u.push(tuple(items))
		case 'l':
			return u.push(&list{items})
		case 'd':
			d := &dict{}
			return d.set(items) && u.push(d)
		}
		return u.extend(items)
	case 'a':
		v, ok := u.pop()
		return ok && u.extend([]any{v})
	case 's':
		value, ok := u.pop()
		key, found := u.pop()
		return ok && found && u.extend([]any{key, value})
	}
	return false
}

// extend adds to the list or dictionary that is on top.
func (u *unpickler) extend(items []any) bool {
	if len(u.stack) == 0 {
		return false
	}
	switch v := u.stack[len(u.stack)-1].(type) {
	case *list:
		v.items = append(v.items, items...)
		return true
	case *dict:
		return v.set(items)
	}
	return false
}

func (d *dict) set(items []any) bool {
	if len(items)%2 != 0 {
		return false
	}
	for i := 0; i < len(items); i += 2 {
		d.keys = append(d.keys, items[i])
		d.values = append(d.values, items[i+1])
	}
	return true
}

// A translator writes values of Python as JSON.
type translator struct {
	attachments [][]byte
	noBinary    bool // null for what is binary
	budget      int  // bytes that may still be written: references can make a small pickle enormous
}

const maxPickleDepth = 1000

func (t *translator) append(dst []byte, v any, depth int) ([]byte, error) {
	start := len(dst)
	if depth > maxPickleDepth {
		return nil, errPickle
	}
	var err error
	switch v := v.(type) {
	case nil:
		dst = append(dst, "null"...)
	case bool:
		dst = strconv.AppendBool(dst, v)
	case number:
		dst = append(dst, v...)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errPickle
		}
		dst = append(dst, jsontext.Float(v).String()...)
	case string:
		dst, _ = jsontext.AppendQuote(dst, v) // the error only tells of invalid UTF-8
	case []byte:
		if t.noBinary {
			dst = append(dst, "null"...)
			break
		}
		dst = append(dst, `{"_placeholder":true,"num":`...)
		dst = append(strconv.AppendInt(dst, int64(len(t.attachments)), 10), '}')
		t.attachments = append(t.attachments, v)
		t.budget -= len(v)
	case tuple:
		return t.array(dst, v, depth)
	case *list:
		return t.array(dst, v.items, depth)
	case *dict:
		return t.object(dst, v, depth)
	default:
		err = errPickle
	}
	if t.budget -= len(dst) - start; t.budget < 0 {
		err = errPickle
	}
	return dst, err
}

func (t *translator) array(dst []byte, items []any, depth int) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, v := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = t.append(dst, v, depth+1); err != nil {
			return nil, err
		}
	}
	if t.budget -= 2; t.budget < 0 {
		return nil, errPickle
	}
	return append(dst, ']'), nil
}

func (t *translator) object(dst []byte, d *dict, depth int) (_ []byte, err error) {
	// Of keys that were set several times the last one counts.
	last := make(map[string]int, len(d.keys))
	names := make([]string, len(d.keys))
	for i, key := range d.keys {
		switch key := key.(type) {
		case string:
			names[i] = string(mustQuote(key))
		case number:
			names[i] = `"` + string(key) + `"`
		default:
			return nil, errPickle
		}
		last[names[i]] = i
	}
	if t.budget -= 2 + len(d.keys); t.budget < 0 {
		return nil, errPickle
	}
	dst = append(dst, '{')
	first := true
	for i, name := range names {
		if last[name] != i {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, name...), ':')
		if t.budget -= len(name); t.budget < 0 {
			return nil, errPickle
		}
		if dst, err = t.append(dst, d.values[i], depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func mustQuote(s string) []byte {
	text, _ := jsontext.AppendQuote(nil, s) // the error only tells of invalid UTF-8
	return text
}
