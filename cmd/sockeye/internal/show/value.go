package show

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Style says how values look.
type Style struct {
	Color bool
	// Width is how long a line may get before a value is spread over several; zero means 100.
	Width int
	// Limit is how many bytes of a value are shown; zero means 16 KiB. A terminal is no place for more.
	Limit int
}

// Base64 is the only key of the object that stands for binary in JSON.
const Base64 = "$base64"

// A tree is a value, taken apart.
type tree struct {
	kind   jsontext.Kind // 'b' is binary
	text   string        // of a leaf, as JSON
	keys   []string
	kids   []tree
	binary []byte
}

// parse takes a value apart that the packet decoder has found valid.
func parse(v jsontext.Value, attachments [][]byte) tree {
	switch v.Kind() {
	case '{':
		if b, ok := placeholder(v, attachments); ok {
			return tree{kind: 'b', binary: b}
		}
		t := tree{kind: '{'}
		for d := decode(v); d.PeekKind() != '}'; {
			key, err := d.ReadToken()
			if err != nil {
				break
			}
			t.keys = append(t.keys, key.String())
			kid, err := d.ReadValue()
			if err != nil {
				t.keys = t.keys[:len(t.kids)]
				break
			}
			t.kids = append(t.kids, parse(kid, attachments))
		}
		return t
	case '[':
		t := tree{kind: '['}
		for d := decode(v); d.PeekKind() != ']'; {
			kid, err := d.ReadValue()
			if err != nil {
				break
			}
			t.kids = append(t.kids, parse(kid, attachments))
		}
		return t
	case '"':
		s, _ := jsontext.AppendUnquote(nil, v) // what can't be unquoted is shown as far as it goes
		return tree{kind: '"', text: string(AppendString(nil, string(s)))}
	}
	return tree{kind: v.Kind(), text: Clean(string(v))}
}

// decode returns a decoder that is inside of an object or array.
func decode(v jsontext.Value) *jsontext.Decoder {
	d := jsontext.NewDecoder(strings.NewReader(string(v)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	_, _ = d.ReadToken() // the bracket that Kind has seen
	return d
}

// placeholder returns the attachment that an object stands for.
func placeholder(v jsontext.Value, attachments [][]byte) ([]byte, bool) {
	if len(attachments) == 0 || len(v) > 64 {
		return nil, false
	}
	marked, num := false, -1
	d := decode(v)
	for range 2 {
		key, err := d.ReadToken()
		if err != nil || key.Kind() != '"' {
			return nil, false
		}
		name := key.String()
		val, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		switch name {
		case "_placeholder":
			marked = string(val) == "true"
		case "num":
			if num, err = strconv.Atoi(string(val)); err != nil {
				return nil, false
			}
		}
	}
	if !marked || num < 0 || num >= len(attachments) || d.PeekKind() != '}' {
		return nil, false
	}
	return attachments[num], true
}

// AppendJSON appends a value on one line, cleaned, with binary as {"$base64": "…"}. It is valid JSON and means the same.
func AppendJSON(dst []byte, v jsontext.Value, attachments [][]byte) []byte {
	return parse(v, attachments).appendJSON(dst)
}

func (t tree) appendJSON(b []byte) []byte {
	switch t.kind {
	case '{':
		b = append(b, '{')
		for i, kid := range t.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(AppendString(b, t.keys[i]), ':')
			b = kid.appendJSON(b)
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, kid := range t.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = kid.appendJSON(b)
		}
		return append(b, ']')
	case 'b':
		b = append(b, `{"`+Base64+`":"`...)
		b = base64.StdEncoding.AppendEncode(b, t.binary)
		return append(b, `"}`...)
	}
	return append(b, t.text...)
}

// Arguments are those of an event or an acknowledgement.
type Arguments interface {
	Len() int
	Raw(i int) jsontext.Value
	Attachments() [][]byte
}

// AppendArgs appends the arguments as a JSON array, see AppendJSON.
func AppendArgs(dst []byte, a Arguments) []byte {
	dst = append(dst, '[')
	for i := range a.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSON(dst, a.Raw(i), a.Attachments())
	}
	return append(dst, ']')
}

// Line returns the arguments on one line, each as JSON, with a space between them.
func Line(a Arguments) string {
	var b []byte
	for i := range a.Len() {
		if i > 0 {
			b = append(b, ' ')
		}
		b = AppendJSON(b, a.Raw(i), a.Attachments())
	}
	return string(b)
}

// hexBytes is how much of one attachment is dumped: 16 lines.
const hexBytes = 256

// Args returns arguments for people: on one line if they fit, and otherwise each value spread over lines; binary is
// dumped below. The lines after the first are indented.
func (st Style) Args(a Arguments) string {
	var trees []tree
	width := 0
	for i := range a.Len() {
		t := parse(a.Raw(i), a.Attachments())
		width += len(t.compact(Style{})) + 1
		trees = append(trees, t)
	}
	var b strings.Builder
	for i, t := range trees {
		switch {
		case width <= st.width():
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(t.compact(st))
		default:
			b.WriteString("\n  ")
			b.WriteString(t.pretty(st, "  "))
		}
	}
	text := st.cut(b.String())
	for i, data := range a.Attachments() {
		if i == 4 {
			text += fmt.Sprintf("\n  … and %d more binaries", len(a.Attachments())-i)
			break
		}
		text += "\n" + indent(st.Hex(data))
	}
	return text
}

func (st Style) width() int {
	if st.Width <= 0 {
		return 100
	}
	return st.Width
}

// cut bounds a text. It ends colours that may have been cut off.
func (st Style) cut(s string) string {
	limit := st.Limit
	if limit <= 0 {
		limit = 16 << 10
	}
	if len(s) <= limit {
		return s
	}
	rest := len(s) - limit
	s = strings.ToValidUTF8(s[:limit], "")
	if i := strings.LastIndexByte(s, '\x1b'); i > len(s)-8 {
		s = s[:i] // a colour that may be cut in two
	}
	if st.Color {
		s += reset
	}
	return s + fmt.Sprintf("\n  … %d more bytes", rest)
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// Hex dumps the beginning of data.
func (st Style) Hex(data []byte) string {
	var b strings.Builder
	shown := data[:min(len(data), hexBytes)]
	for at := 0; at < len(shown); at += 16 {
		row := shown[at:min(at+16, len(shown))]
		if at > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(st.Dim(fmt.Sprintf("%06x", at)) + "  ")
		for i := range 16 {
			if i < len(row) {
				fmt.Fprintf(&b, "%02x ", row[i])
			} else {
				b.WriteString("   ")
			}
			if i == 7 {
				b.WriteByte(' ')
			}
		}
		b.WriteByte(' ')
		for _, c := range row {
			if c < 0x20 || c > 0x7e {
				c = '.'
			}
			b.WriteByte(c)
		}
	}
	if len(data) > len(shown) {
		b.WriteString("\n" + st.Dim(fmt.Sprintf("… %d more bytes", len(data)-len(shown))))
	}
	return b.String()
}

func (t tree) compact(st Style) string {
	switch t.kind {
	case '{':
		parts := make([]string, len(t.kids))
		for i, kid := range t.kids {
			parts[i] = st.paint(blue, string(AppendString(nil, t.keys[i]))) + ": " + kid.compact(st)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case '[':
		parts := make([]string, len(t.kids))
		for i, kid := range t.kids {
			parts[i] = kid.compact(st)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return t.leaf(st)
}

func (t tree) pretty(st Style, margin string) string {
	if len(t.kids) == 0 || len(t.compact(Style{}))+len(margin) <= st.width() {
		return t.compact(st)
	}
	var b strings.Builder
	b.WriteByte(byte(t.kind))
	for i, kid := range t.kids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n" + margin + "  ")
		if t.kind == '{' {
			b.WriteString(st.paint(blue, string(AppendString(nil, t.keys[i]))) + ": ")
		}
		b.WriteString(kid.pretty(st, margin+"  "))
	}
	b.WriteString("\n" + margin)
	b.WriteByte(byte(t.kind) + 2) // { } and [ ] are two apart
	return b.String()
}

func (t tree) leaf(st Style) string {
	switch t.kind {
	case '"':
		return st.paint(green, t.text)
	case '0':
		return st.paint(cyan, t.text)
	case 'b':
		unit := "bytes"
		if len(t.binary) == 1 {
			unit = "byte"
		}
		return st.paint(magenta, fmt.Sprintf("<%d %s>", len(t.binary), unit))
	}
	return st.paint(yellow, t.text)
}

const (
	red     = "\x1b[31m"
	green   = "\x1b[32m"
	yellow  = "\x1b[33m"
	blue    = "\x1b[34m"
	magenta = "\x1b[35m"
	cyan    = "\x1b[36m"
	bold    = "\x1b[1m"
	dim     = "\x1b[2m"
	reset   = "\x1b[0m"
)

func (st Style) paint(color, s string) string {
	if !st.Color || s == "" {
		return s
	}
	return color + s + reset
}

// Good, Bad, Wait, Dim and Bold paint a piece of text by what it means.
func (st Style) Good(s string) string { return st.paint(green, s) }

// Bad is for failures.
func (st Style) Bad(s string) string { return st.paint(red, s) }

// Wait is for what may still become good.
func (st Style) Wait(s string) string { return st.paint(yellow, s) }

// Dim is for what is there only to be looked up.
func (st Style) Dim(s string) string { return st.paint(dim, s) }

// Bold is for names.
func (st Style) Bold(s string) string { return st.paint(bold, s) }
