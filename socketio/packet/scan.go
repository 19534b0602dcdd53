package packet

import (
	"encoding/binary"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// A scanner checks JSON in one pass: syntax, depth and, if attachments is not 0, that every placeholder refers to one.
// It is written for packets: most are short, and the rest are mostly strings.
type scanner struct {
	data        []byte
	depth       int // how much deeper values may nest
	attachments int // how many attachments placeholders may refer to; 0: there are no placeholders
}

// value checks the value that starts at i and returns where it ends.
func (s *scanner) value(i int) (int, error) {
	if i >= len(s.data) {
		return i, ErrPayload
	}
	switch c := s.data[i]; c {
	case '"':
		return s.string(i)
	case '{':
		return s.object(i)
	case '[':
		return s.array(i)
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return s.number(i)
		}
		return i, ErrPayload
	}
}

func (s *scanner) literal(i int, want string) (int, error) {
	end := i + len(want)
	if end > len(s.data) || string(s.data[i:end]) != want {
		return i, ErrPayload
	}
	return end, nil
}

// string checks a string. Bytes are compared eight at a time up to the first that needs a look.
func (s *scanner) string(i int) (int, error) {
	data := s.data
	i++
	for {
		for i+8 <= len(data) {
			n := plainBytes(binary.LittleEndian.Uint64(data[i:]))
			i += n
			if n < 8 {
				break
			}
		}
		if i >= len(data) {
			return i, ErrPayload
		}
		switch c := data[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			n := escapeLen(data[i:])
			if n == 0 {
				return i, ErrPayload
			}
			i += n
		case c < ' ':
			return i, ErrPayload
		default:
			i++
		}
	}
}

// plainBytes returns how many of the eight bytes of w, from the lowest on, need no look inside a string: they are
// neither quote nor backslash nor a control character.
func plainBytes(w uint64) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	// Each term sets the high bit of every byte that is less than its constant (and possibly of bytes above such a
	// byte, which is harmless as only the lowest counts).
	found := ((quote - ones) &^ quote) | ((slash - ones) &^ slash) | ((w - ones*' ') &^ w)
	return bits.TrailingZeros64(found&high) / 8
}

// escapeLen returns the length of the escape sequence that b starts with, or 0 if it is not one.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (s *scanner) number(i int) (int, error) {
	data := s.data
	digits := func() bool {
		start := i
		for i < len(data) && '0' <= data[i] && data[i] <= '9' {
			i++
		}
		return i > start
	}
	if data[i] == '-' {
		i++
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else if !digits() {
		return i, ErrPayload
	}
	if i < len(data) && data[i] == '.' {
		i++
		if !digits() {
			return i, ErrPayload
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if !digits() {
			return i, ErrPayload
		}
	}
	return i, nil
}

func (s *scanner) array(i int) (int, error) {
	if s.depth--; s.depth < 0 {
		return i, ErrDepth
	}
	i = skipSpace(s.data, i+1)
	if i < len(s.data) && s.data[i] == ']' {
		s.depth++
		return i + 1, nil
	}
	for {
		var err error
		if i, err = s.value(i); err != nil {
			return i, err
		}
		i = skipSpace(s.data, i)
		if i >= len(s.data) {
			return i, ErrPayload
		}
		switch s.data[i] {
		case ',':
			i = skipSpace(s.data, i+1)
		case ']':
			s.depth++
			return i + 1, nil
		default:
			return i, ErrPayload
		}
	}
}

func (s *scanner) object(i int) (int, error) {
	if s.depth--; s.depth < 0 {
		return i, ErrDepth
	}
	i = skipSpace(s.data, i+1)
	if i < len(s.data) && s.data[i] == '}' {
		s.depth++
		return i + 1, nil
	}
	var found placeholder
	var err error
	for {
		if i >= len(s.data) || s.data[i] != '"' {
			return i, ErrPayload
		}
		name := i
		if i, err = s.string(i); err != nil {
			return i, err
		}
		nameEnd := i
		i = skipSpace(s.data, i)
		if i >= len(s.data) || s.data[i] != ':' {
			return i, ErrPayload
		}
		i = skipSpace(s.data, i+1)
		value := i
		if i, err = s.value(i); err != nil {
			return i, err
		}
		if s.attachments > 0 {
			found.member(s.data[name:nameEnd], s.data[value:i])
		}
		i = skipSpace(s.data, i)
		if i >= len(s.data) {
			return i, ErrPayload
		}
		switch s.data[i] {
		case ',':
			i = skipSpace(s.data, i+1)
		case '}':
			if found.yes {
				if _, err := found.index(s.attachments); err != nil {
					return i, err
				}
			}
			s.depth++
			return i + 1, nil
		default:
			return i, ErrPayload
		}
	}
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// A placeholder collects from the members of an object whether the object stands for an attachment. Of members of the
// same name the last counts.
type placeholder struct {
	yes bool
	num []byte
}

// member takes a member of the object, both parts as they are in the JSON text.
func (p *placeholder) member(name, value []byte) {
	if len(name) < len(`"num"`) {
		return
	}
	if name[1] != '_' && name[1] != 'n' && name[1] != '\\' {
		return
	}
	switch string(unquote(name)) {
	case "_placeholder":
		p.yes = string(value) == "true"
	case "num":
		p.num = value
	}
}

// index returns which of n attachments the placeholder stands for.
func (p *placeholder) index(n int) (int, error) {
	// The shortest form is the only one that encoders write: no sign, no fraction, no exponent.
	if len(p.num) == 0 || len(p.num) > 9 || p.num[0] == '0' && len(p.num) > 1 {
		return 0, ErrPlaceholder
	}
	index := 0
	for _, c := range p.num {
		if c < '0' || c > '9' {
			return 0, ErrPlaceholder
		}
		index = index*10 + int(c-'0')
	}
	if index >= n {
		return 0, ErrPlaceholder
	}
	return index, nil
}

// unquote returns the content of a valid JSON string; invalid text in it becomes U+FFFD.
func unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	for _, c := range inner {
		if c == '\\' || c >= 0x80 {
			text, _ := jsontext.AppendUnquote(nil, quoted) // the error only tells of the U+FFFD
			return text
		}
	}
	return inner
}
