package packet

import (
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestSplitMembers(t *testing.T) {
	for text, want := range map[string][]Member{
		`{}`:      nil,
		` { } `:   nil,
		`{"a":1}`: {{jsontext.Value(`"a"`), jsontext.Value(`1`)}},
		`{ "a" : [1,{"b":2}] , "a":"}" } `: {
			{jsontext.Value(`"a"`), jsontext.Value(`[1,{"b":2}]`)}, {jsontext.Value(`"a"`), jsontext.Value(`"}"`)},
		},
	} {
		got, err := SplitMembers(jsontext.Value(text), nil)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %v, %v", text, got, err)
			continue
		}
		for i := range want {
			if string(got[i].Name) != string(want[i].Name) || string(got[i].Value) != string(want[i].Value) {
				t.Errorf("%s: %s: %s", text, got[i].Name, got[i].Value)
			}
		}
	}
	for _, text := range []string{``, `[]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":x}`} {
		if _, err := SplitMembers(jsontext.Value(text), nil); err == nil {
			t.Errorf("%s is an object", text)
		} else if !errors.Is(err, ErrPayload) {
			t.Logf("%s: %v", text, err)
		}
	}
}
