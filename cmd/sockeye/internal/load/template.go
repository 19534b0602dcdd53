package load

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A scope is what variables are taken from.
type scope struct {
	run    string // of the run, for stamps
	client int
	n      int           // which turn of the innermost loop, from 0
	due    time.Duration // since the run began
	user   map[string]string
	saved  map[string]jsontext.Value
}

// variables lists what may stand between ${ and }, for error messages.
const variables = "client, n (both also with %N), now, millis, random:A-B, random:a|b|c, text:LENGTH, uuid, user.FIELD, saved.NAME, env.NAME"

// A template is JSON, or text, with variables in it.
type template struct {
	parts   []part
	stamped bool // ${now} is in it
}

// A part is either literal or a variable.
type part struct {
	literal  []byte
	variable func(dst []byte, s *scope) []byte // appends text
	json     func(dst []byte, s *scope) []byte // appends a JSON value instead, where the variable is alone; may be nil
	text     bool                              // the variable stands within a JSON string
}

// parseTemplate reads JSON in whose strings there are variables.
func parseTemplate(value []byte) (*template, error) {
	v := jsontext.Value(bytes.Clone(value))
	if err := v.Compact(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	t := &template{}
	for i := 0; i < len(v); {
		if v[i] != '"' {
			t.literal(v[i : i+1])
			i++
			continue
		}
		end := i + 1
		for v[end] != '"' {
			if v[end] == '\\' {
				end++
			}
			end++
		}
		end++
		quoted := v[i:end]
		name := end < len(v) && v[end] == ':'
		i = end
		if !bytes.Contains(quoted, []byte("${")) {
			t.literal(quoted)
			continue
		}
		text, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return nil, err
		}
		if err := t.add(string(text), true, name); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// parseText reads plain text with variables.
func parseText(text string) (*template, error) {
	t := &template{}
	return t, t.add(text, false, true)
}

// add takes text apart. In JSON it becomes a string, unless it is a single variable that has a JSON value of its own
// and whole strings are not asked for.
func (t *template) add(text string, inJSON, whole bool) error {
	var parts []part
	for text != "" {
		at := strings.Index(text, "${")
		if at < 0 {
			parts = append(parts, part{literal: []byte(text)})
			break
		}
		if at > 0 && text[at-1] == '$' { // $${ stands for ${
			parts = append(parts, part{literal: []byte(text[:at-1] + "${")})
			text = text[at+2:]
			continue
		}
		if at > 0 {
			parts = append(parts, part{literal: []byte(text[:at])})
		}
		name, rest, ok := strings.Cut(text[at+2:], "}")
		if !ok {
			return fmt.Errorf("%q lacks its closing }", text[at:])
		}
		p, err := parseVariable(name)
		if err != nil {
			return err
		}
		parts = append(parts, p)
		t.stamped = t.stamped || name == "now"
		text = rest
	}
	if !inJSON {
		t.parts = append(t.parts, parts...)
		return nil
	}
	if len(parts) == 1 && parts[0].json != nil && !whole {
		p := parts[0]
		p.variable = nil
		t.parts = append(t.parts, p)
		return nil
	}
	t.literal([]byte{'"'})
	for _, p := range parts {
		if p.literal != nil {
			t.literal(appendEscaped(nil, p.literal))
			continue
		}
		p.json, p.text = nil, true
		t.parts = append(t.parts, p)
	}
	t.literal([]byte{'"'})
	return nil
}

func (t *template) literal(b []byte) {
	if n := len(t.parts); n > 0 && t.parts[n-1].literal != nil {
		t.parts[n-1].literal = append(t.parts[n-1].literal, b...)
		return
	}
	t.parts = append(t.parts, part{literal: bytes.Clone(b)})
}

// fixed returns the text of a template without variables.
func (t *template) fixed() ([]byte, bool) {
	switch {
	case len(t.parts) == 0:
		return []byte{}, true
	case len(t.parts) == 1 && t.parts[0].literal != nil:
		return t.parts[0].literal, true
	}
	return nil, false
}

// appendTo appends the template with its variables replaced.
func (t *template) appendTo(dst []byte, s *scope) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		switch {
		case p.literal != nil:
			dst = append(dst, p.literal...)
		case p.variable == nil:
			dst = p.json(dst, s)
		case p.text:
			dst = appendEscaped(dst, p.variable(nil, s))
		default:
			dst = p.variable(dst, s)
		}
	}
	return dst
}

// value returns what an event's argument is.
func (t *template) value(s *scope) jsontext.Value {
	if b, ok := t.fixed(); ok {
		return b
	}
	return t.appendTo(nil, s)
}

func (t *template) string(s *scope) string { return string(t.appendTo(nil, s)) }

// appendEscaped appends text as it stands within a JSON string.
func appendEscaped(dst, text []byte) []byte {
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil { // not UTF-8
		quoted, _ = jsontext.AppendQuote(nil, bytes.ToValidUTF8(text, []byte("\uFFFD")))
	}
	return append(dst, quoted[1:len(quoted)-1]...)
}

// number makes a variable of something that is a number where it stands alone.
func number(f func(s *scope) int64) part {
	p := func(dst []byte, s *scope) []byte { return strconv.AppendInt(dst, f(s), 10) }
	return part{variable: p, json: p}
}

func words(f func(dst []byte, s *scope) []byte) part { return part{variable: f} }

// maxText bounds ${text:LENGTH}, in bytes.
const maxText = 16 << 20

func parseVariable(name string) (part, error) {
	fail := func(why string) (part, error) {
		return part{}, fmt.Errorf("${%s}: %s; variables are %s", name, why, variables)
	}
	if base, modulo, ok := strings.Cut(name, "%"); ok && (base == "client" || base == "n") {
		m, err := strconv.Atoi(modulo)
		if err != nil || m < 1 {
			return fail("% takes a number above 0")
		}
		if base == "client" {
			return number(func(s *scope) int64 { return int64(s.client % m) }), nil
		}
		return number(func(s *scope) int64 { return int64(s.n % m) }), nil
	}
	switch name {
	case "client":
		return number(func(s *scope) int64 { return int64(s.client) }), nil
	case "n":
		return number(func(s *scope) int64 { return int64(s.n) }), nil
	case "now":
		return words(func(dst []byte, s *scope) []byte { return appendStamp(dst, s.run, s.due) }), nil
	case "millis":
		return number(func(*scope) int64 { return time.Now().UnixMilli() }), nil
	case "uuid":
		return words(func(dst []byte, _ *scope) []byte { return appendUUID(dst) }), nil
	}
	if field, ok := strings.CutPrefix(name, "user."); ok && field != "" {
		return words(func(dst []byte, s *scope) []byte { return append(dst, s.user[field]...) }), nil
	}
	if field, ok := strings.CutPrefix(name, "saved."); ok && field != "" {
		return part{
			variable: func(dst []byte, s *scope) []byte {
				v := s.saved[field]
				if v.Kind() == '"' {
					dst, _ = jsontext.AppendUnquote(dst, v)
					return dst
				}
				return append(dst, v...)
			},
			json: func(dst []byte, s *scope) []byte {
				if v := s.saved[field]; v != nil {
					return append(dst, v...)
				}
				return append(dst, "null"...)
			},
		}, nil
	}
	if key, ok := strings.CutPrefix(name, "env."); ok && key != "" {
		v, ok := os.LookupEnv(key)
		if !ok {
			return part{}, fmt.Errorf("${%s}: the environment has no %s", name, key)
		}
		return words(func(dst []byte, _ *scope) []byte { return append(dst, v...) }), nil
	}
	if length, ok := strings.CutPrefix(name, "text:"); ok {
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > maxText {
			return fail(fmt.Sprintf("the length is a number of bytes up to %d", maxText))
		}
		return words(func(dst []byte, _ *scope) []byte { return appendText(dst, n) }), nil
	}
	if choice, ok := strings.CutPrefix(name, "random:"); ok {
		if strings.Contains(choice, "|") {
			options := strings.Split(choice, "|")
			return words(func(dst []byte, _ *scope) []byte {
				return append(dst, options[mathrand.IntN(len(options))]...)
			}), nil
		}
		a, b, ok := strings.Cut(choice, "-")
		from, err1 := strconv.ParseInt(a, 10, 32)
		to, err2 := strconv.ParseInt(b, 10, 32)
		if !ok || err1 != nil || err2 != nil || from < 0 || to < from {
			return fail("random takes a range such as 1-100, or words such as red|green")
		}
		return number(func(*scope) int64 { return from + mathrand.Int64N(to-from+1) }), nil
	}
	return fail("no such variable")
}

// appendText appends n random letters. They don't compress well, as real text with ids and tokens doesn't.
func appendText(dst []byte, n int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	var bits uint64
	for i := range n {
		if i%10 == 0 {
			bits = mathrand.Uint64()
		}
		dst = append(dst, letters[bits&63])
		bits >>= 6
	}
	return dst
}

func appendUUID(dst []byte) []byte {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return append(dst, s[:8]+"-"+s[8:12]+"-"+s[12:16]+"-"+s[16:20]+"-"+s[20:]...)
}

// A stamp is what ${now} becomes: text that a run finds again in whatever it receives, wherever the server has put it.
// It holds a time since the run began on this process's monotonic clock, so that neither another machine's run nor a
// clock that is set can be taken for it.
const stampPrefix = "at~"

func appendStamp(dst []byte, run string, due time.Duration) []byte {
	dst = append(dst, stampPrefix...)
	dst = append(dst, run...)
	dst = append(dst, '~')
	dst = strconv.AppendInt(dst, int64(due), 36)
	return append(dst, '~')
}

// findStamp returns the time of the first stamp of the run in data.
func findStamp(data []byte, run string) (time.Duration, bool) {
	for {
		at := bytes.Index(data, []byte(stampPrefix))
		if at < 0 {
			return 0, false
		}
		data = data[at+len(stampPrefix):]
		rest, ok := bytes.CutPrefix(data, []byte(run))
		if !ok || len(rest) == 0 || rest[0] != '~' {
			continue
		}
		text, _, ok := bytes.Cut(rest[1:], []byte("~"))
		if !ok || len(text) > 13 { // 13 digits of base 36 are 64 bits
			continue
		}
		if due, err := strconv.ParseInt(string(text), 36, 64); err == nil {
			return time.Duration(due), true
		}
	}
}
