package show

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/event"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünïcode 日本 👩‍💻":  "plain ünïcode 日本 👩‍💻",
		"\x1b[2J\x07\r\n\t\x7f": `\u001b[2J\u0007\u000d\u000a\u0009\u007f`,
		"\u009b31m\u0085":       `\u009b31m\u0085`,
		"\u202eexe\u2066\ufeff": `\u202eexe\u2066\ufeff`,
		"\xff\xfe":              `\ufffd\ufffd`,
		"\U000e0041":            `\udb40\udc41`,
		"\u2028\u00ad":          `\u2028\u00ad`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := CleanLines("a\n\tb\x1b"); got != "a\n\tb\\u001b" {
		t.Errorf("%q", got)
	}
	for in, want := range map[string]string{"say": "say", "two words": `"two words"`, "/x": `"/x"`, `{`: `"{"`, "": `""`, "a\x1b": `"a\u001b"`} {
		if got := Name(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func message(data string, attachments ...[]byte) *event.Message {
	return event.NewMessage("x", jsontext.Value(data), attachments, nil)
}

func TestArgs(t *testing.T) {
	m := message(`["x", {"b" : [1, 2.50, true], "a": null, "p": {"num":0,"_placeholder":true}}, "Gr\u00fc\u00dfe \u001b", 12345678901234567890]`, []byte{0, 255})
	if got, want := string(AppendArgs(nil, m)), `[{"b":[1,2.50,true],"a":null,"p":{"$base64":"AP8="}},"Grüße \u001b",12345678901234567890]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := Line(message(`["x",1,"a"]`)), `1 "a"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := (Style{}).Args(message(`["x",1,{"a":[]}]`)), `1 {"a": []}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	want := "\n  {\n    \"a\": [1, 2],\n    \"b\": \"long enough\"\n  }"
	if got := (Style{Width: 20}).Args(message(`["x",{"a":[1,2],"b":"long enough"}]`)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := (Style{Color: true}).Args(message(`["x",{"a":[1,"s",null]}]`)); got != "{\x1b[34m\"a\"\x1b[0m: [\x1b[36m1\x1b[0m, \x1b[32m\"s\"\x1b[0m, \x1b[33mnull\x1b[0m]}" {
		t.Errorf("%q", got)
	}
	long := (Style{Color: true, Limit: 100}).Args(message(`["x","` + strings.Repeat("ä", 1000) + `"]`))
	if len(long) > 200 || !utf8.ValidString(long) || !strings.Contains(long, "more bytes") || !strings.Contains(long, reset) {
		t.Errorf("%q", long)
	}
	// A placeholder for which there is no attachment is an object like others.
	if got := Line(message(`["x",{"_placeholder":true,"num":1}]`, []byte("a"))); got != `{"_placeholder":true,"num":1}` {
		t.Error(got)
	}
}

func TestHex(t *testing.T) {
	got := Style{}.Hex([]byte("\x00\x1b[2Jabcdefghijklm"))
	want := "000000  00 1b 5b 32 4a 61 62 63  64 65 66 67 68 69 6a 6b  ..[2Jabcdefghijk\n" +
		"000010  6c 6d                                             lm"
	if got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	if got := (Style{}).Hex(make([]byte, 1000)); strings.Count(got, "\n") != 16 || !strings.HasSuffix(got, "… 744 more bytes") {
		t.Error(got)
	}
}

func TestSecrets(t *testing.T) {
	var s Secrets
	s.Add("pass word", "abc")
	s.AddHeader(http.Header{"Authorization": {"Bearer tokentoken"}, "User-Agent": {"robot"}})
	s.AddJSON([]byte(`{"a":[{"b":"deep-secret"}]}`))
	got := s.Hide("pass word, pass+word, pass%20word, tokentoken, deep-secret, robot, abc")
	if got != "…, …, …, …, …, robot, abc" {
		t.Error(got)
	}
	if !s.In("x deep-secret") || s.In("robot") {
		t.Error("In")
	}
	if err := s.Error(errors.New("tokentoken\x1b")); err.Error() != `…\u001b` {
		t.Error(err)
	}
	if s.Error(nil) != nil {
		t.Error("an error out of nothing")
	}
}

// Whatever a server sends, nothing of it acts on a terminal, and JSON stays JSON that means the same.
func FuzzValue(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u001b[2J",{"_placeholder":true,"num":0}]}`), []byte("\x1b"))
	f.Add([]byte("\"\u009b\u202e\""), []byte(nil))
	f.Add([]byte(`{"_placeholder":true,"num":99999999999999999999}`), []byte("x"))
	f.Add([]byte(`[[[{}]], -0.0e5, "\ud83d\ude00", "\ud800"]`), []byte("x"))
	f.Fuzz(func(t *testing.T, data, attachment []byte) {
		v := jsontext.Value(data)
		if !v.IsValid() {
			return
		}
		v = bytes.TrimSpace(v)
		got := AppendJSON(nil, v, nil)
		if s := string(got); Clean(s) != s {
			t.Errorf("%q became %q", data, got)
		}
		var before, after any
		if err := json.Unmarshal(v, &before); err != nil {
			return // deeper than this package goes, or a number out of range
		}
		if err := json.Unmarshal(got, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q: %v", data, got, err)
		}
		for _, st := range []Style{{}, {Width: 10, Limit: 50}} {
			text := st.Args(message("[\"x\","+string(v)+"]", attachment))
			if CleanLines(text) != text {
				t.Errorf("%q became %q", data, text)
			}
		}
	})
}
