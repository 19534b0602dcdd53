package words

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// describe writes values as they are sent.
func describe(args []any) string {
	var parts []string
	for _, a := range args {
		switch a := a.(type) {
		case jsontext.Value:
			parts = append(parts, string(a))
		case []byte:
			parts = append(parts, fmt.Sprintf("<%x>", a))
		default:
			parts = append(parts, fmt.Sprint(a))
		}
	}
	return strings.Join(parts, " · ")
}

func TestEvent(t *testing.T) {
	for line, want := range map[string]string{
		`say`:                                  "say: ",
		` say  hello 12  -1.5e3 true null `:    `say: "hello" · 12 · -1.5e3 · true · null`,
		`say {"a": [1, 2]} "two words" [ ]`:    `say: {"a": [1, 2]} · "two words" · [ ]`,
		`"chat message" 007 1x don't 12:30 +1`: `chat message: "007" · "1x" · "don't" · "12:30" · "+1"`,
		`42 12345678901234567890`:              `42: 12345678901234567890`,
		`e {"$base64":"AQI="} ü`:               `e: <0102> · "ü"`,
		`e {"a":[{"$base64":""}]}`:             `e: map[a:[[]]]`,
	} {
		all, err := Split(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		name, args, err := Event(line, all)
		if got := name + ": " + describe(args); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", line, got, err, want)
		}
	}
	for line, want := range map[string]Error{
		`say {"a":tru}`:       {13, "this is not JSON"},
		`säy {"ä":}`:          {10, "this is not JSON"},
		`say [1 2]`:           {8, "this is not JSON"},
		`say {"a":1`:          {11, "the JSON is not finished"},
		`say "abc`:            {9, "the JSON is not finished"},
		`say {"a":1}{"b":2}`:  {12, "a space is missing"},
		`say 'a b'`:           {5, "double quotes"},
		`say {"$base64":"?"}`: {5, "not base64"},
		`say {"a":1,"a":2}`:   {12, "this is not JSON"},
		`[1]`:                 {1, "begins with its name"},
		`""`:                  {1, "begins with its name"},
		``:                    {1, "the name of an event is missing"},
	} {
		all, err := Split(line)
		if err == nil {
			_, _, err = Event(line, all)
		}
		e, ok := err.(*Error)
		if !ok || e.Column != want.Column || !strings.Contains(e.Message, want.Message) {
			t.Errorf("%s: %v, want column %d, %s", line, err, want.Column, want.Message)
		}
	}
}

func TestArg(t *testing.T) {
	for text, want := range map[string]string{
		`two words`: `"two words"`, ` {"a":1} `: `{"a":1}`, `12`: `12`, ` 12`: `" 12"`, ``: `""`, `'x`: `"'x"`, `null`: `null`, "\xff": "\"\ufffd\"",
	} {
		v, err := Arg(text)
		if got := describe([]any{v}); err != nil || got != want {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
	for text, column := range map[string]int{`{"a":1} x`: 9, `{"a"}`: 5, `[`: 2} {
		_, err := Arg(text)
		if e, ok := err.(*Error); !ok || e.Column != column {
			t.Errorf("%q: %v, want column %d", text, err, column)
		}
	}
	if v := Text(`{"a":1}`); describe([]any{v}) != `"{\"a\":1}"` {
		t.Errorf("%v", v)
	}
}

// Whatever somebody types, words lie in the line one behind the other, and an error points into it.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`say {"a":1} x`, `"a b" 'c`, "\xff\xfe [", `{"$base64":"AA=="}`, " \u00a0x\t{} ", `""""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		all, err := Split(line)
		if err != nil {
			e, ok := err.(*Error)
			if !ok || e.Column < 1 || e.Column > utf8.RuneCountInString(line)+1 {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		end := 0
		for _, w := range all {
			if w.Offset < end || w.Text == "" || line[w.Offset:w.Offset+len(w.Text)] != w.Text {
				t.Fatalf("%q: %q at %d", line, w.Text, w.Offset)
			}
			if v, ok := w.Value.(jsontext.Value); ok && !v.IsValid() {
				t.Fatalf("%q: %q is no JSON", line, v)
			}
			end = w.Offset + len(w.Text)
		}
		again, err := Split(line)
		if err != nil || !reflect.DeepEqual(all, again) {
			t.Fatalf("%q is two things", line)
		}
	})
}
