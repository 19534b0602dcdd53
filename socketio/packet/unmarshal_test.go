package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func TestUnmarshalBinaryAtAnyDepth(t *testing.T) {
	a, b := []byte{1}, []byte{2, 2}
	attachments := [][]byte{a, b}
	type inner struct {
		Blob  []byte
		Named namedBytes
		Any   any
		List  [][]byte
		Map   map[string][]byte
		Ptr   *[]byte
		N     int
	}
	text := `{"Blob":` + place0 + `,"Named":` + place1 + `,"Any":{"deep":[` + place1 + `,"x"]},"List":[` + place0 + `,null],` +
		`"Map":{"k":` + place1 + `},"Ptr":` + place0 + `,"N":7}`
	want := inner{
		Blob: a, Named: b, Any: map[string]any{"deep": []any{b, "x"}}, List: [][]byte{a, nil},
		Map: map[string][]byte{"k": b}, Ptr: &a, N: 7,
	}
	var got inner
	if err := Unmarshal(jsontext.Value(text), attachments, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v: %v", got, err)
	}
	var list []inner
	if err := Unmarshal(jsontext.Value("["+text+"]"), attachments, &list); err != nil || !reflect.DeepEqual(list, []inner{want}) {
		t.Errorf("got %+v: %v", list, err)
	}

	for _, test := range []struct {
		value string
		dst   any
		want  any
	}{
		{place1, new([]byte), b},
		{" " + place1 + " ", new([]byte), b},
		{` { "num" : 1 , "x" : [1,{"num":5}] , "_placeholder" : true } `, new([]byte), b},
		{place1, new(namedBytes), namedBytes(b)},
		{place1, new(any), b},
		{place1, new(*[]byte), &b},
		{`[` + place0 + `]`, new([]any), []any{a}},
		{`[` + place0 + `]`, new([][]byte), [][]byte{a}},
		{`[` + place0 + `]`, new([1]namedBytes), [1]namedBytes{a}},
		{`{"k":` + place0 + `}`, new(map[string]any), map[string]any{"k": a}},
		{place0, new(jsontext.Value), jsontext.Value(place0)},
		{place0, new(json.RawMessage), json.RawMessage(place0)},
		{`{"_placeholder":1,"num":0}`, new(any), map[string]any{"_placeholder": 1.0, "num": 0.0}},
		{`null`, new([]byte), []byte(nil)},
		{`"AQI="`, new([]byte), []byte{1, 2}},
		{`"AQI="`, new(namedBytes), namedBytes{1, 2}},
		{`{"Blob":"AQI="}`, new(inner), inner{Blob: []byte{1, 2}}},
		{`""`, new([]byte), []byte{}},
		{`"1.2.3.4"`, new(net.IP), net.IPv4(1, 2, 3, 4)},
	} {
		err := Unmarshal(jsontext.Value(test.value), attachments, test.dst)
		if got := reflect.ValueOf(test.dst).Elem().Interface(); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, want %#v: %v", test.value, got, test.want, err)
		}
	}
	for _, test := range []struct {
		value string
		dst   any
	}{
		{place0, new(string)}, {place0, new(int)}, {place0, new([]int)}, {place0, new(inner)}, {place0, new(map[string]any)},
		{place0, new(*inner)}, {place0, new(bool)}, {place0, new([1]byte)}, {`"x"`, new([]byte)}, {`1`, new([]byte)}, {`[1]`, new([]byte)},
		{`{}`, new([]byte)}, {`{"Blob":7}`, new(inner)}, {`{"Named":{}}`, new(inner)},
	} {
		if err := Unmarshal(jsontext.Value(test.value), attachments, test.dst); err == nil {
			t.Errorf("%s decoded into %T: %+v", test.value, test.dst, reflect.ValueOf(test.dst).Elem())
		}
	}
}

// Base64 must not be decoded into memory that an earlier message still uses.
func TestUnmarshalDoesNotOverwriteAttachments(t *testing.T) {
	type upload struct{ B []byte }
	first := []byte{1, 2, 3, 4}
	var u upload
	var b []byte
	err := errors.Join(
		Unmarshal(jsontext.Value(`{"B":`+place0+`}`), [][]byte{first}, &u),
		Unmarshal(jsontext.Value(`{"B":"////"}`), nil, &u),
		Unmarshal(jsontext.Value(place0), [][]byte{first}, &b),
		Unmarshal(jsontext.Value(`"////"`), nil, &b),
	)
	if err != nil || !bytes.Equal(first, []byte{1, 2, 3, 4}) || len(u.B) != 3 || len(b) != 3 {
		t.Errorf("attachment is %v: %v", first, err)
	}
}

// Decoding is as lenient as encoding/json.
func TestUnmarshalLikeEncodingJSON(t *testing.T) {
	type target struct {
		Name    string `json:"name"`
		UserID  int    `json:"userId"`
		Under   int    `json:"under_score"`
		Any     any
		When    time.Time
		Wait    time.Duration
		Number  json.Number
		Float   float64
		Ptr     *int
		Quoted  int `json:",string"`
		Array   [2]int
		Raw     json.RawMessage
		Ignored string `json:"-"`
		embedded2
	}
	for _, text := range []string{
		`{}`, `null`, `{"name":"x","unknown":{"a":[1]}}`, `{"NAME":"x","USERID":3}`, `{"Name":"x","userid":3}`,
		`{"name":"x","name":"y"}`, `{"under_score":1}`, `{"underscore":1}`, `{"under-score":1}`, `{"any":[1,"x",null,{"a":true}]}`,
		`{"when":"2026-11-22T01:02:03.456Z"}`, `{"wait":1000}`, `{"number":12.50}`, `{"number":"12"}`, `{"number":null}`, `{"float":1e3}`,
		`{"ptr":5}`, `{"ptr":null}`, `{"quoted":"5"}`, `{"array":[1]}`, `{"array":[1,2,3]}`, `{"raw":{"a": 1}}`, `{"Ignored":"x"}`,
		`{"e":4}`, `{"name":null}`, ` { "name" : "x" } `, `{"name":"\u00e9\ud83d\ude00"}`,
		// errors in both
		`{"name":1}`, `{"userId":"x"}`, `{"userId":1.5}`, `{"userId":1e30}`, `{"when":"yesterday"}`, `{"number":"x"}`, `[]`, `"x"`, `1`, ``, `{`,
		`{"name":"x"}x`, `{"ptr":"x"}`, `{"number":true}`,
	} {
		var want, got target
		wantErr := json.Unmarshal([]byte(text), &want)
		err := Unmarshal(jsontext.Value(text), nil, &got)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s: error %v, encoding/json %v", text, err, wantErr)
		} else if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got  %+v\nwant %+v", text, got, want)
		}
	}
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `-1.5e3`, `123456789`, `1234567890`, `9223372036854775807`, `"x"`, `"\"\\\/\b\f\n\r\tA"`, `""`,
		`[]`, `{}`, `[1,[2,[3]]]`, `{"a":{"b":{}}}`, ` [ 1 , 2 ] `, "\n1\t", `{"":1}`, `[null]`, `00`, `01`, `+1`, `1.`, `.1`, `-`, `1e`, `nul`,
		`tru`, `[1,]`, `[`, `{"a"}`, `{"a":}`, `{a:1}`, `"`, `"\x"`, `1 2`, `[1]]`, ``, ` `, `'x'`, `1e400`, "\"\x01\"", `{"a":1,}`, `[,]`,
	} {
		for _, kind := range []any{"", 0, false, 0.0, any(nil), []any(nil), map[string]any(nil), int8(0), uint(0), []int(nil), json.Number("")} {
			newTarget := func() any {
				if kind == nil {
					return new(any)
				}
				return reflect.New(reflect.TypeOf(kind)).Interface()
			}
			want, got := newTarget(), newTarget()
			wantErr := json.Unmarshal([]byte(text), want)
			err := Unmarshal(jsontext.Value(text), nil, got)
			if (err == nil) != (wantErr == nil) {
				t.Errorf("%q into %T: error %v, encoding/json %v", text, got, err, wantErr)
			} else if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("%q into %T: got %v, want %v", text, got, reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem())
			}
		}
	}
}

type embedded2 struct{ E int }

func TestUnmarshalTargets(t *testing.T) {
	var n int
	for _, dst := range []any{nil, n, "x", []byte{1}, (*int)(nil), (*string)(nil), (*[]byte)(nil), (*any)(nil), (*jsontext.Value)(nil),
		(*json.RawMessage)(nil), (*struct{})(nil), func() {}, struct{}{}} {
		for _, v := range []string{`1`, `"x"`, `{}`, place0} {
			if err := Unmarshal(jsontext.Value(v), [][]byte{{1}}, dst); err == nil {
				t.Errorf("%s decoded into %T", v, dst)
			}
		}
	}
}

func TestRawTargetsAreCopies(t *testing.T) {
	v := jsontext.Value(`{"a":1}`)
	var a jsontext.Value
	var b json.RawMessage
	if err := errors.Join(Unmarshal(v, nil, &a), Unmarshal(v, nil, &b)); err != nil {
		t.Fatal(err)
	}
	clear(v)
	if string(a) != `{"a":1}` || string(b) != `{"a":1}` {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestSplitArgs(t *testing.T) {
	for text, want := range map[string][]string{
		`[]`:                                  {},
		` [ ] `:                               {},
		`["e"]`:                               {`"e"`},
		`[1,"a,]b",{"c":[2,3]},[],null]`:      {`1`, `"a,]b"`, `{"c":[2,3]}`, `[]`, `null`},
		"[ 1 ,\n\"x\"\t, [ 2 , 3 ] ]":         {`1`, `"x"`, `[ 2 , 3 ]`},
		`["\"],[",{"}":"]"},"\\"]`:            {`"\"],["`, `{"}":"]"}`, `"\\"`},
		`[` + strings.Repeat("1,", 99) + `1]`: strings.Split(strings.Repeat("1,", 99)+"1", ","),
	} {
		args, err := SplitArgs(jsontext.Value(text), nil)
		got := []string{}
		for _, arg := range args {
			got = append(got, string(arg))
			if cap(arg) != len(arg) {
				t.Errorf("%s: appending to %s would overwrite what follows", text, arg)
			}
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q: %v", text, got, err)
		}
	}
	for _, text := range []string{``, `{}`, `1`, `[`, `[1`, `[1,`, `[1 2]`, `[1,]`, `[x]`, `["`} {
		if args, err := SplitArgs(jsontext.Value(text), nil); err == nil {
			t.Errorf("%s: got %q", text, args)
		}
	}
	first := jsontext.Value("first")
	if args, err := SplitArgs(jsontext.Value(`[1]`), []jsontext.Value{first}); err != nil || len(args) != 2 || string(args[0]) != "first" {
		t.Errorf("got %q: %v", args, err)
	}
}

func TestLargeNumbersKeepTheirDigits(t *testing.T) {
	p := mustDecode(t, `2["e",9223372036854775807,18446744073709551615]`)
	args, _ := SplitArgs(p.Data, nil)
	var i int64
	var u uint64
	err := errors.Join(Unmarshal(args[1], nil, &i), Unmarshal(args[2], nil, &u))
	if err != nil || i != math.MaxInt64 || u != math.MaxUint64 {
		t.Errorf("got %d, %d: %v", i, u, err)
	}
}
