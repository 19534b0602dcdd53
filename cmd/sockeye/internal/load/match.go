package load

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/event"
)

// A matcher says what the arguments of an event or an acknowledgement must be like. Objects may have more members than
// are asked for, and there may be more arguments; everything else must be equal. "${any}" stands for any value.
type matcher struct {
	any     bool
	scalar  *template
	members []member
	items   []*matcher
	kind    jsontext.Kind
	saved   bool // there is a variable in it that is known only when the step is reached
}

type member struct {
	name  string
	value *matcher
}

// parseMatcher reads a JSON value.
func parseMatcher(value []byte) (*matcher, error) {
	v := jsontext.Value(value)
	switch m := (&matcher{kind: v.Kind()}); m.kind {
	case '{':
		d := jsontext.NewDecoder(bytes.NewReader(v))
		if _, err := d.ReadToken(); err != nil {
			return nil, err
		}
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String()
			raw, err := d.ReadValue()
			if err != nil {
				return nil, err
			}
			sub, err := parseMatcher(bytes.Clone(raw))
			if err != nil {
				return nil, err
			}
			m.members = append(m.members, member{key, sub})
			m.saved = m.saved || sub.saved
		}
		return m, nil
	case '[':
		var raws []jsontext.Value
		if err := json.Unmarshal(v, &raws); err != nil {
			return nil, err
		}
		for _, raw := range raws {
			sub, err := parseMatcher(raw)
			if err != nil {
				return nil, err
			}
			m.items = append(m.items, sub)
			m.saved = m.saved || sub.saved
		}
		return m, nil
	default:
		if string(v) == `"${any}"` {
			m.any = true
			return m, nil
		}
		for _, changing := range []string{"${random:", "${text:", "${uuid}", "${millis}", "${now}"} {
			if bytes.Contains(v, []byte(changing)) {
				return nil, fmt.Errorf("%s can't be matched: it is another one every time", v)
			}
		}
		var err error
		m.scalar, err = parseTemplate(v)
		m.saved = bytes.Contains(v, []byte("${saved."))
		return m, err
	}
}

// arguments is what events and acknowledgements have in common.
type arguments interface {
	Raw(i int) jsontext.Value
}

var (
	_ arguments = (*event.Message)(nil)
	_ arguments = (*event.Ack)(nil)
)

// matchArguments compares arguments; those for which there is no matcher may be anything.
func matchArguments(ms []*matcher, args arguments, s *scope) bool {
	for i, m := range ms {
		v := args.Raw(i)
		if v == nil || !m.match(v, s) {
			return false
		}
	}
	return true
}

func (m *matcher) match(v jsontext.Value, s *scope) bool {
	switch {
	case m.any:
		return true
	case m.scalar != nil:
		return equalScalar(m.scalar.value(s), v)
	case m.kind == '{':
		var members map[string]jsontext.Value
		if v.Kind() != '{' || json.Unmarshal(v, &members, jsontext.AllowDuplicateNames(true)) != nil {
			return false
		}
		for _, want := range m.members {
			got, ok := members[want.name]
			if !ok || !want.value.match(got, s) {
				return false
			}
		}
		return true
	default:
		var items []jsontext.Value
		if v.Kind() != '[' || json.Unmarshal(v, &items) != nil || len(items) != len(m.items) {
			return false
		}
		for i, want := range m.items {
			if !want.match(items[i], s) {
				return false
			}
		}
		return true
	}
}

func equalScalar(a, b jsontext.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case '"':
		x, err1 := jsontext.AppendUnquote(nil, a)
		y, err2 := jsontext.AppendUnquote(nil, b)
		return err1 == nil && err2 == nil && bytes.Equal(x, y)
	case '0':
		var x, y float64
		return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
	}
	return true // the kinds of true, false and null say everything; objects don't get here
}

// A pick takes a value out of an acknowledgement or an event: the number of an argument and a JSON pointer into it.
type pick struct {
	name    string
	pointer jsontext.Pointer
}

var errNoPointer = errors.New(`want a JSON pointer that begins with the number of an argument, such as /0/token`)

func parsePick(name, text string) (pick, error) {
	p := jsontext.Pointer(text)
	tokens := slices.Collect(p.Tokens())
	if !p.IsValid() || len(tokens) == 0 {
		return pick{}, errNoPointer
	}
	if _, ok := index(tokens[0]); !ok {
		return pick{}, errNoPointer
	}
	return pick{name, p}, nil
}

func index(token string) (int, bool) {
	if token == "" || len(token) > 6 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(token) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// from returns nil if there is no such value.
func (p pick) from(args arguments) jsontext.Value {
	var v jsontext.Value
	first := true
	for token := range p.pointer.Tokens() {
		i, isIndex := index(token)
		if first {
			v, first = args.Raw(i), false
			continue
		}
		switch v.Kind() {
		case '{':
			var members map[string]jsontext.Value
			if json.Unmarshal(v, &members, jsontext.AllowDuplicateNames(true)) != nil {
				return nil
			}
			v = members[token]
		case '[':
			var items []jsontext.Value
			if !isIndex || json.Unmarshal(v, &items) != nil || i >= len(items) {
				return nil
			}
			v = items[i]
		default:
			return nil
		}
	}
	return bytes.Clone(v)
}
