package load

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/event"
)

func TestTemplates(t *testing.T) {
	t.Setenv("SOCKEYE_TEST_WORD", `a "word"`)
	s := &scope{run: "abcdef", client: 23, n: 7, due: 90 * time.Second, user: map[string]string{"name": `O"Hara`},
		saved: map[string]jsontext.Value{"list": jsontext.Value(`[1,2]`), "text": jsontext.Value(`"x\ny"`)}}
	for _, c := range []struct{ in, want string }{
		{`"hello"`, `"hello"`},
		{` { "a" : [ 1 , "b" ] } `, `{"a":[1,"b"]}`},
		{`"${client}"`, `23`},
		{`"n ${n}"`, `"n 7"`},
		{`["${client%10}", "room-${n%4}"]`, `[3,"room-3"]`},
		{`{"${n}": "${n}"}`, `{"7":7}`},
		{`"${user.name}"`, `"O\"Hara"`},
		{`"${user.other}"`, `""`},
		{`"${env.SOCKEYE_TEST_WORD}!"`, `"a \"word\"!"`},
		{`"$${n} is ${n}"`, `"${n} is 7"`},
		{`"${saved.list}"`, `[1,2]`},
		{`"<${saved.list}>"`, `"<[1,2]>"`},
		{`"<${saved.text}>"`, `"<x\ny>"`},
		{`"${saved.none}"`, `null`},
		{`"tab\t${n}\u00e9"`, `"tab\t7é"`},
		{`"a \" ${n} \" b"`, `"a \" 7 \" b"`},
	} {
		tm, err := parseTemplate([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := tm.value(s); string(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		} else if !got.IsValid() {
			t.Errorf("%s: %s is not JSON", c.in, got)
		}
	}
	for in, want := range map[string]string{
		`"${random:5-5}"`:   `^5$`,
		`"${random:10-99}"`: `^[1-9][0-9]$`,
		`"${random:a|b}"`:   `^"[ab]"$`,
		`"${text:12}"`:      `^"[a-zA-Z0-9_-]{12}"$`,
		`"${uuid}"`:         `^"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"$`,
		`"${millis}"`:       `^[0-9]{13}$`,
	} {
		tm, err := parseTemplate([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if got := string(tm.value(s)); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: got %s", in, got)
		}
	}
	for _, bad := range []string{`hello`, `"${nothing}"`, `"${n"`, `"${client%0}"`, `"${random:5}"`, `"${random:9-1}"`, `"${text:-1}"`,
		`"${text:99999999999}"`, `"${env.SOCKEYE_SURELY_NOT}"`, `"${user.}"`, `{"a":1,}`} {
		if tm, err := parseTemplate([]byte(bad)); err == nil {
			t.Errorf("%s: accepted, as %+v", bad, tm)
		}
	}
}

func TestStamps(t *testing.T) {
	tm, err := parseTemplate([]byte(`{"at":"${now}"}`))
	if err != nil || !tm.stamped {
		t.Fatal(err, tm)
	}
	text := tm.value(&scope{run: "abcdef", due: 1234567 * time.Microsecond})
	if due, ok := findStamp(text, "abcdef"); !ok || due != 1234567*time.Microsecond {
		t.Errorf("found %v, %v in %s", due, ok, text)
	}
	other := string(tm.value(&scope{run: "xyzxyz", due: time.Hour}))
	if _, ok := findStamp([]byte(other), "abcdef"); ok {
		t.Error("took the stamp of another run for its own")
	}
	if due, ok := findStamp([]byte(other+string(text)), "abcdef"); !ok || due != 1234567*time.Microsecond {
		t.Errorf("after another's stamp: %v, %v", due, ok)
	}
	for _, broken := range []string{"at~", "at~abcdef", "at~abcdef~", "at~abcdef~zz", "at~abcdef~!!~", "at~abcdef~" + strings.Repeat("z", 30) + "~"} {
		if due, ok := findStamp([]byte(broken), "abcdef"); ok {
			t.Errorf("found %v in %q", due, broken)
		}
	}
}

func TestMatch(t *testing.T) {
	s := &scope{client: 3, n: 1, saved: map[string]jsontext.Value{"id": jsontext.Value(`9`)}}
	for _, c := range []struct {
		match, value string
		want         bool
	}{
		{`1`, `1.0`, true}, {`1`, `2`, false}, {`1`, `"1"`, false}, {`"a"`, `"\u0061"`, true}, {`null`, `null`, true}, {`true`, `false`, false},
		{`{"a":1}`, `{"b":2,"a":1}`, true}, {`{"a":1}`, `{"b":2}`, false}, {`{"a":{"b":"x"}}`, `{"a":{"b":"x","c":1}}`, true},
		{`{}`, `[]`, false}, {`[1,2]`, `[1,2]`, true}, {`[1,2]`, `[1,2,3]`, false}, {`["${any}",2]`, `[{"x":1},2]`, true},
		{`"${client}"`, `3`, true}, {`"c${client}-${n}"`, `"c3-1"`, true}, {`{"id":"${saved.id}"}`, `{"id":9}`, true},
	} {
		m, err := parseMatcher([]byte(c.match))
		if err != nil {
			t.Errorf("%s: %v", c.match, err)
			continue
		}
		if got := m.match(jsontext.Value(c.value), s); got != c.want {
			t.Errorf("match %s against %s: %v", c.match, c.value, got)
		}
	}
	for _, bad := range []string{`"${random:1-2}"`, `{"a":"${uuid}"}`, `["${now}"]`, `"${nothing}"`} {
		if _, err := parseMatcher([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func TestPick(t *testing.T) {
	ack := event.NewAck(jsontext.Value(`[{"user":{"id":7},"list":["a","b"]},"second"]`), nil)
	for pointer, want := range map[string]string{
		"/0/user/id": "7", "/0/list/1": `"b"`, "/1": `"second"`, "/0/none": "", "/2": "", "/1/x": "", "/0/list/7": "", "/0/list/x": "",
	} {
		p, err := parsePick("x", pointer)
		if err != nil {
			t.Errorf("%s: %v", pointer, err)
		} else if got := string(p.from(ack)); got != want {
			t.Errorf("%s: got %s, want %s", pointer, got, want)
		}
	}
	for _, bad := range []string{"", "0", "/", "/x", "/-1", "/~2"} {
		if _, err := parsePick("x", bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}
