// Package words reads what people type: the name of an event and its arguments.
//
// Arguments have spaces between them. What begins with {, [ or " is JSON and may have spaces inside. Everything else is a
// word: true, false, null and numbers are what they are in JSON, any other word is a string. An object {"$base64": "…"}
// stands for binary, at any depth.
package words

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// An Error is a line that can't be understood.
type Error struct {
	// Column is where, in characters, from 1.
	Column  int
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// A Word is one piece of a line.
type Word struct {
	Text   string // as it was typed
	Offset int    // in bytes
	Value  any    // a jsontext.Value, or what one with binary in it stands for
}

// String returns the word if it stands for a string.
func (w Word) String() (string, bool) {
	v, ok := w.Value.(jsontext.Value)
	if !ok || v.Kind() != '"' {
		return "", false
	}
	s, err := jsontext.AppendUnquote(nil, v)
	return string(s), err == nil
}

// Split takes a line apart.
func Split(line string) ([]Word, error) {
	var all []Word
	at := 0
	for {
		at += len(line[at:]) - len(strings.TrimLeftFunc(line[at:], unicode.IsSpace))
		if at == len(line) {
			return all, nil
		}
		w, err := next(line, at)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
		at += len(w.Text)
	}
}

// Event returns the event that words stand for, the name first.
func Event(line string, all []Word) (name string, args []any, err error) {
	if len(all) == 0 {
		return "", nil, at(line, len(line), "the name of an event is missing")
	}
	name, ok := all[0].String()
	if !ok {
		if v, isValue := all[0].Value.(jsontext.Value); isValue && v.Kind() != '{' && v.Kind() != '[' {
			name, ok = all[0].Text, true // an event may be called 42
		}
	}
	if !ok || name == "" {
		return "", nil, at(line, all[0].Offset, "an event begins with its name, a word or a string")
	}
	return name, Values(all[1:]), nil
}

// Values returns what words stand for.
func Values(all []Word) []any {
	args := make([]any, len(all))
	for i, w := range all {
		args[i] = w.Value
	}
	return args
}

func next(line string, from int) (Word, error) {
	rest := line[from:]
	if strings.ContainsRune(`{["`, rune(rest[0])) {
		v, err := first(rest)
		if err != nil {
			return Word{}, syntax(line, from, err)
		}
		if r, _ := utf8.DecodeRuneInString(rest[len(v):]); len(rest) > len(v) && !unicode.IsSpace(r) {
			return Word{}, at(line, from+len(v), "a space is missing between two arguments")
		}
		value, err := binary(v)
		if err != nil {
			return Word{}, at(line, from, err.Error())
		}
		return Word{rest[:len(v)], from, value}, nil
	}
	if rest[0] == '\'' {
		return Word{}, at(line, from, `strings are in double quotes, as in "two words"`)
	}
	end := strings.IndexFunc(rest, unicode.IsSpace)
	if end < 0 {
		end = len(rest)
	}
	return Word{rest[:end], from, scalar(rest[:end])}, nil
}

// first returns the JSON value that a text begins with.
func first(text string) (jsontext.Value, error) {
	return jsontext.NewDecoder(strings.NewReader(text)).ReadValue()
}

// Arg returns what one argument of a command line stands for, which the shell has split already: JSON if it begins like
// JSON or is a number, true, false or null, and a string otherwise.
func Arg(s string) (any, error) {
	trimmed := strings.TrimSpace(s)
	if trimmed == "" || !strings.ContainsRune(`{["`, rune(trimmed[0])) {
		return scalar(s), nil
	}
	return JSON(s)
}

// JSON returns what a text stands for, which must be one JSON value.
func JSON(s string) (any, error) {
	v := jsontext.Value(s)
	if !v.IsValid() {
		got, err := first(s)
		if err == nil {
			rest := strings.TrimLeftFunc(strings.TrimLeftFunc(s, unicode.IsSpace)[len(got):], unicode.IsSpace)
			return nil, at(s, len(s)-len(rest), "there is something behind the JSON")
		}
		return nil, syntax(s, 0, err)
	}
	return binary(jsontext.Value(strings.TrimSpace(s)))
}

// Text returns a string as a value.
func Text(s string) any {
	v, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\ufffd"))
	if err != nil {
		return s // it is valid UTF-8 now
	}
	return jsontext.Value(v)
}

func scalar(s string) any {
	if v := jsontext.Value(s); s == strings.TrimSpace(s) && v.IsValid() {
		return v
	}
	return Text(s)
}

// binary replaces the objects that stand for binary. A value that has none is left as it is, down to the digits of its
// numbers.
func binary(v jsontext.Value) (any, error) {
	if !strings.Contains(string(v), show.Base64) {
		return v, nil
	}
	switch v.Kind() {
	case '{':
		var fields map[string]jsontext.Value
		if err := json.Unmarshal(v, &fields); err != nil {
			return nil, err
		}
		if coded, ok := fields[show.Base64]; ok && len(fields) == 1 {
			var text string
			if json.Unmarshal(coded, &text) != nil {
				return nil, fmt.Errorf("%q is a string of base64", show.Base64)
			}
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, fmt.Errorf("%q is not base64", show.Base64)
			}
			return data, nil
		}
		all := map[string]any{}
		for name, field := range fields {
			value, err := binary(field)
			if err != nil {
				return nil, err
			}
			all[name] = value
		}
		return all, nil
	case '[':
		var items []jsontext.Value
		if err := json.Unmarshal(v, &items); err != nil {
			return nil, err
		}
		all := make([]any, len(items))
		for i, item := range items {
			value, err := binary(item)
			if err != nil {
				return nil, err
			}
			all[i] = value
		}
		return all, nil
	}
	return v, nil
}

// at returns an error at an offset in bytes.
func at(line string, offset int, message string) *Error {
	return &Error{utf8.RuneCountInString(line[:min(offset, len(line))]) + 1, message}
}

// syntax says what is wrong with JSON that begins at from.
func syntax(line string, from int, err error) *Error {
	se, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok { // the end of the text within a value
		return at(line, len(line), "the JSON is not finished")
	}
	where := from + int(se.ByteOffset)
	if where >= len(line) {
		return at(line, len(line), "the JSON is not finished")
	}
	message := "this is not JSON"
	if se.Err != nil {
		message += ": " + show.Clean(strings.TrimPrefix(se.Err.Error(), "jsontext: "))
	}
	return at(line, where, message)
}
