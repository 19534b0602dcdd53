package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

type (
	namedBytes  []byte
	namedString string
	namedNumber int
	jsonBytes   []byte // writes itself
	textBytes   []byte // writes itself
	tree        struct {
		Blob     []byte
		Children []*tree `json:",omitempty"`
	}
	embedded struct{ Inner []byte }
)

func (b jsonBytes) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `"json:%x"`, []byte(b)), nil
}
func (b textBytes) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "text:%x", []byte(b)), nil }

// encodeArg returns how v is written as an argument, and the attachments.
func encodeArg(v any) (string, [][]byte, error) {
	text, attachments, err := AppendAck([]byte("prefix"), Header{}, []any{v})
	if err != nil {
		return "", nil, err
	}
	rest, ok := strings.CutPrefix(string(text), "prefix")
	if !ok {
		return "", nil, errors.New("what was in dst is lost: " + string(text))
	}
	if n := len(attachments); n > 0 {
		rest, ok = strings.CutPrefix(rest, fmt.Sprintf("6%d-0[", n))
	} else {
		rest, ok = strings.CutPrefix(rest, "30[")
	}
	if !ok {
		return "", nil, errors.New("header is wrong: " + rest)
	}
	return strings.TrimSuffix(rest, "]"), attachments, nil
}

const (
	place0 = `{"_placeholder":true,"num":0}`
	place1 = `{"_placeholder":true,"num":1}`
	place2 = `{"_placeholder":true,"num":2}`
)

func TestEncodeBinaryAtAnyDepth(t *testing.T) {
	a, b, c := []byte{1}, []byte{2, 2}, []byte{}
	var nilBytes []byte
	text := "text"
	for _, test := range []struct {
		value       any
		want        string
		attachments [][]byte
	}{
		{a, place0, [][]byte{a}},
		{c, place0, [][]byte{c}},
		{nilBytes, "null", nil},
		{&a, place0, [][]byte{a}},
		{namedBytes(a), place0, [][]byte{a}},
		{namedBytes(nil), "null", nil},
		{[][]byte{a, nil, b}, `[` + place0 + `,null,` + place1 + `]`, [][]byte{a, b}},
		{[]namedBytes{a, b}, `[` + place0 + `,` + place1 + `]`, [][]byte{a, b}},
		{[2][]byte{a, b}, `[` + place0 + `,` + place1 + `]`, [][]byte{a, b}},
		{[]any{a, "x", []any{b}}, `[` + place0 + `,"x",[` + place1 + `]]`, [][]byte{a, b}},
		{map[string]any{"k": a}, `{"k":` + place0 + `}`, [][]byte{a}},
		{map[string][]byte{"k": a}, `{"k":` + place0 + `}`, [][]byte{a}},
		{map[int]namedBytes{1: a}, `{"1":` + place0 + `}`, [][]byte{a}},
		{struct{ A []byte }{a}, `{"A":` + place0 + `}`, [][]byte{a}},
		{&struct{ A *[]byte }{&a}, `{"A":` + place0 + `}`, [][]byte{a}},
		{struct{ A any }{a}, `{"A":` + place0 + `}`, [][]byte{a}},
		{struct{ A any }{namedBytes(a)}, `{"A":` + place0 + `}`, [][]byte{a}},
		{struct{ A any }{&a}, `{"A":` + place0 + `}`, [][]byte{a}},
		{struct{ embedded }{embedded{a}}, `{"Inner":` + place0 + `}`, [][]byte{a}},
		{tree{a, []*tree{{b, nil}, {c, nil}}}, `{"Blob":` + place0 + `,"Children":[{"Blob":` + place1 + `},{"Blob":` + place2 + `}]}`,
			[][]byte{a, b, c}},
		{struct {
			A []byte `json:"a,omitempty"`
			B []byte `json:"b,omitempty"`
			C []byte `json:"-"`
		}{a, nil, b}, `{"a":` + place0 + `}`, [][]byte{a}},
		{struct {
			S fmt.Stringer
			B []byte
		}{bytesStringer("x"), a}, `{"S":` + place0 + `,"B":` + place1 + `}`, [][]byte{[]byte("x"), a}},
		// those that write themselves
		{jsonBytes(a), `"json:01"`, nil},
		{textBytes(a), `"text:01"`, nil},
		{[]any{jsonBytes(a), textBytes(a)}, `["json:01","text:01"]`, nil},
		{map[string]jsonBytes{"k": a}, `{"k":"json:01"}`, nil},
		{net.IPv4(1, 2, 3, 4), `"1.2.3.4"`, nil},
		{struct{ IP net.IP }{net.IPv4(1, 2, 3, 4)}, `{"IP":"1.2.3.4"}`, nil},
		{struct{ V json.RawMessage }{json.RawMessage(`{"a":1}`)}, `{"V":{"a":1}}`, nil},
		// arrays and slices of other small things are no binary, as in encoding/json
		{[3]byte{1, 2, 3}, `[1,2,3]`, nil},
		{[]int8{1, 2}, `[1,2]`, nil},
		{&text, `"text"`, nil},
	} {
		got, attachments, err := encodeArg(test.value)
		if err != nil || got != test.want {
			t.Errorf("%T: got %s, want %s: %v", test.value, got, test.want, err)
		}
		if len(attachments) != len(test.attachments) {
			t.Errorf("%T: %d attachments, want %d", test.value, len(attachments), len(test.attachments))
			continue
		}
		for i := range attachments {
			if !bytes.Equal(attachments[i], test.attachments[i]) {
				t.Errorf("%T: attachment %d is %v", test.value, i, attachments[i])
			}
		}
	}
}

type bytesStringer []byte

func (b bytesStringer) String() string { return string(b) }

// What holds no []byte is written as encoding/json writes it, but for the escaping of <, > and &.
func TestEncodeLikeEncodingJSON(t *testing.T) {
	now := time.Date(2026, 11, 22, 1, 2, 3, 456_000_000, time.FixedZone("x", 3600))
	nine := 9
	for _, v := range []any{
		nil, "x", "", "\u2028\x00\x7f", true, 1, int8(-1), int16(2), int32(-3), int64(math.MinInt64), uint(1), uint8(2), uint16(3),
		uint32(4), uint64(math.MaxUint64), uintptr(7), 1.5, float32(0.1), 1e21, 1e20, 1e-6, 1e-7, -1e-9, float32(1e21), float32(1e-7), 5e-324,
		math.MaxFloat64, float32(math.MaxFloat32), 100.0, now, &now, time.Second, namedString("n"), namedNumber(5), &nine, (*int)(nil),
		[]int{1, 2}, []int(nil), []int{}, []string{"a", "b"}, []string(nil), []string{}, []any{}, []any(nil), []any{1, "x", nil, 2.5},
		map[string]any{}, map[string]any(nil), map[string]any{"a": []any{map[string]any{}}}, map[string]int{"a": 1}, map[string]int(nil),
		map[string]string{"a": "b"}, map[int]string{1: "b"}, map[namedString]bool{"a": true}, [2]int{1, 2}, [2]bool{},
		struct{}{}, struct{ A, b int }{1, 2}, struct {
			A int `json:"x"`
		}{1},
		struct {
			A int            `json:"a,omitempty"`
			B string         `json:",omitempty"`
			C bool           `json:"c,omitempty"`
			D []int          `json:"d,omitempty"`
			E map[string]int `json:"e,omitempty"`
			F *int           `json:"f,omitempty"`
			G any            `json:"g,omitempty"`
			H time.Time      `json:"h,omitzero"`
			I float64        `json:"i,omitempty"`
			J struct{}       `json:"j,omitempty"`
		}{},
		struct {
			A int     `json:"a,string"`
			B float64 `json:",string"`
			C bool    `json:",string"`
			D string  `json:",string"`
		}{1, 2.5, true, "x"},
		struct {
			A *int
			B []int
			C map[string]int
			D any
			E time.Duration
		}{},
		struct{ embeddedPlain }{embeddedPlain{1}},
		struct {
			*embeddedPlain
			X int
		}{nil, 1},
		json.Number("12.50"), json.Number(""), []json.Number{"1", "2e3"}, struct{ N json.Number }{"7"}, map[string]any{"n": json.Number("7")},
		json.RawMessage(`{"a": [1, 2]}`), json.RawMessage(nil), big.NewInt(12345), netip.MustParseAddr("::1"), jsonBytes{1}, textBytes{1},
		map[textKey]int{{"k"}: 1}, []any{now, time.Minute, &nine, namedString("z")},
		pointerMarshaler{1}, &pointerMarshaler{2}, []*pointerMarshaler{{3}},
	} {
		want, err := stdMarshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := v.(pointerMarshaler); ok {
			want = `"p1"` // encoding/json calls methods of the pointer only where it has one; here they are always called
		}
		got, attachments, err := encodeArg(v)
		if err != nil || got != want || len(attachments) > 0 {
			if raw, ok := v.(json.RawMessage); !ok || got != string(raw) { // raw JSON is not compacted
				t.Errorf("%#v: got %s, want %s: %v", v, got, want, err)
			}
		}
		// And the same deeper down, on the way of the hooks.
		got, _, err = encodeArg(struct{ V any }{v})
		if want := `{"V":` + want + `}`; err != nil || got != want {
			t.Errorf("%#v in any: got %s, want %s: %v", v, got, want, err)
		}
	}
}

func stdMarshal(v any) (string, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	text := strings.TrimSuffix(out.String(), "\n")
	return strings.ReplaceAll(text, `\u2028`, "\u2028"), err
}

type embeddedPlain struct{ P int }

type textKey struct{ s string }

func (k textKey) MarshalText() ([]byte, error) { return []byte("key " + k.s), nil }

type pointerMarshaler struct{ n int }

func (p *pointerMarshaler) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"p%d"`, p.n), nil }

func TestEncodeErrors(t *testing.T) {
	cyclic := map[string]any{}
	cyclic["self"] = []any{cyclic}
	type node struct{ Next *node }
	ring := &node{}
	ring.Next = ring
	var nilReader *os.File
	for _, test := range []struct {
		value any
		want  string
	}{
		{math.NaN(), "NaN"},
		{math.Inf(1), "+Inf"},
		{float32(math.Inf(-1)), "-Inf"},
		{map[string]any{"a": []any{math.NaN()}}, "NaN"},
		{struct{ F float64 }{math.NaN()}, "NaN"},
		{struct{ F any }{math.Inf(1)}, "+Inf"},
		{strings.NewReader("x"), "io.Reader"},
		{new(bytes.Buffer), "io.Reader"},
		{bytes.Buffer{}, "io.Reader"},
		{struct{ R io.Reader }{strings.NewReader("x")}, "io.Reader"},
		{struct{ B bytes.Buffer }{}, "io.Reader"},
		{map[string]io.Reader{"r": strings.NewReader("x")}, "io.Reader"},
		{[]any{strings.NewReader("x")}, "io.Reader"},
		{struct{ V any }{&bytes.Buffer{}}, "io.Reader"},
		{func() {}, "function"},
		{func(string) {}, "function"},
		{[]any{func() {}}, "function"},
		{errors.New("x"), "no exported fields"},
		{make(chan int), "chan"},
		{complex(1, 2), "complex"},
		{struct{ C chan int }{}, "chan"},
		{map[[2]int]int{{}: 1}, "[2]int"},
		{cyclic, "contain itself"},
		{ring, "cycle"},
		{json.RawMessage(`{"a":`), "raw JSON"},
		{jsontext.Value(`1 2`), "raw JSON"},
		{jsontext.Value(` `), "raw JSON"},
		{struct{ R json.RawMessage }{json.RawMessage(`{`)}, "json"},
		{failing{}, "marshaler failed"},
		{&failing{}, "marshaler failed"},
		{[]failing{{}}, "marshaler failed"},
		{struct{ V any }{failing{}}, "marshaler failed"},
		{lying{}, "json"},
	} {
		dst := []byte("prefix")
		text, attachments, err := AppendEvent(dst, Header{}, "name", []any{[]byte{1}, test.value})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `argument 1 of event "name"`) {
			t.Errorf("%T: error is %v", test.value, err)
		}
		if string(text) != "prefix" || attachments != nil {
			t.Errorf("%T: returned %q with %d attachments", test.value, text, len(attachments))
		}
		// The failure leaves nothing behind.
		if got, _, err := encodeArg(struct{ V any }{"ok"}); err != nil || got != `{"V":"ok"}` {
			t.Fatalf("after %T: %s, %v", test.value, got, err)
		}
	}
	if got, _, err := encodeArg(nilReader); err != nil || got != "null" {
		t.Errorf("a reader that is nil: %s, %v", got, err)
	}
	if _, _, err := AppendAck(nil, Header{}, []any{1, math.NaN()}); err == nil || !strings.Contains(err.Error(), "argument 1 of an ack") {
		t.Errorf("error is %v", err)
	}
	if _, _, err := encodeArg(strings.NewReader("")); !errors.Is(err, ErrReader) {
		t.Errorf("error is %v", err)
	}
	if _, err := AppendValue(nil, Header{Type: Connect}, map[string]any{"b": []byte{1}}); err == nil {
		t.Error("a CONNECT with attachments was written")
	}
	if text, err := AppendValue([]byte("p"), Header{Type: ConnectError}, math.NaN()); err == nil || string(text) != "p" {
		t.Errorf("%s %v", text, err)
	}
}

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("marshaler failed") }

type lying struct{}

func (lying) MarshalJSON() ([]byte, error) { return []byte(`{"a":`), nil }

func TestEncodeRaw(t *testing.T) {
	for _, v := range []any{jsontext.Value(" {\"a\": 1}\n"), json.RawMessage(`{"a": 1}`)} {
		if got, _, err := encodeArg(v); err != nil || got != `{"a": 1}` {
			t.Errorf("got %s, %v", got, err)
		}
	}
	text := AppendRaw(nil, Header{Type: Event, Namespace: "/a", ID: 3, HasID: true}, jsontext.Value(`["e",1]`), 2)
	if string(text) != `52-/a,3["e",1]` {
		t.Errorf("got %s", text)
	}
}

// A value that is written while another is: marshalers must not share what they are made of.
func TestEncodeWithinMarshaler(t *testing.T) {
	got, attachments, err := encodeArg([]any{[]byte{1}, nesting{}, []byte{2}})
	if want := `[` + place0 + `,"30[` + strings.ReplaceAll(`{"B":null}`, `"`, `\"`) + `]",` + place1 + `]`; err != nil || got != want {
		t.Errorf("got  %s\nwant %s: %v", got, want, err)
	}
	if len(attachments) != 2 {
		t.Errorf("%d attachments", len(attachments))
	}
}

type nesting struct{ B []byte }

func (n nesting) MarshalText() ([]byte, error) {
	text, _, err := AppendAck(nil, Header{}, []any{struct{ B []byte }{}})
	return text, err
}

// A type that writes and reads itself through the json package has its binary taken out, too.
type streaming struct{ blob []byte }

func (s streaming) MarshalJSONTo(enc *jsontext.Encoder) error {
	return jsonv2.MarshalEncode(enc, map[string]any{"inside": s.blob})
}

func (s *streaming) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var m map[string][]byte
	if err := jsonv2.UnmarshalDecode(dec, &m); err != nil {
		return err
	}
	s.blob = m["inside"]
	return nil
}

func TestStreamingMethods(t *testing.T) {
	type outer struct{ S streaming }
	got, attachments, err := encodeArg(outer{streaming{[]byte{1, 2}}})
	if want := `{"S":{"inside":` + place0 + `}}`; err != nil || got != want || len(attachments) != 1 {
		t.Fatalf("got %s with %d attachments: %v", got, len(attachments), err)
	}
	var back outer
	if err := Unmarshal(jsontext.Value(got), attachments, &back); err != nil || !bytes.Equal(back.S.blob, []byte{1, 2}) {
		t.Errorf("got %+v: %v", back, err)
	}
}

// A value that panics while it is written must not spoil the next one.
func TestEncodeAfterPanic(t *testing.T) {
	for range 10 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			AppendEvent(nil, Header{}, "e", []any{struct{ V any }{panicking{}}})
		}()
		if got, _, err := encodeArg(struct{ V any }{[]byte{1}}); err != nil || got != `{"V":`+place0+`}` {
			t.Fatalf("got %s: %v", got, err)
		}
	}
}

type panicking struct{}

func (panicking) MarshalText() ([]byte, error) { panic("on purpose") }

func TestEncodeConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			blob := []byte{byte(i)}
			for range 200 {
				got, attachments, err := encodeArg(&tree{blob, []*tree{{blob, nil}}})
				if err != nil || len(attachments) != 2 || &attachments[0][0] != &blob[0] || !strings.Contains(got, place1) {
					t.Error(got, attachments, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The attachments are the caller's own, not copies.
func TestEncodeSharesAttachments(t *testing.T) {
	blob := make([]byte, 10)
	for _, v := range []any{blob, struct{ B namedBytes }{blob}} {
		_, attachments, err := encodeArg(v)
		if err != nil || len(attachments) != 1 || &attachments[0][0] != &blob[0] {
			t.Errorf("%T: %v", v, err)
		}
	}
}

func TestTypeClasses(t *testing.T) {
	type plainStruct struct {
		A int
		T time.Time
		J jsonBytes
		I net.IP
		R json.RawMessage
		M map[string][]string
		P *plainStruct2
	}
	for _, test := range []struct {
		t    reflect.Type
		want class
	}{
		{reflect.TypeFor[int](), plain},
		{reflect.TypeFor[plainStruct](), plain},
		{reflect.TypeFor[*plainStruct](), plain},
		{reflect.TypeFor[[]plainStruct](), plain},
		{reflect.TypeFor[time.Duration](), plain},
		{reflect.TypeFor[[]byte](), special},
		{reflect.TypeFor[*tree](), special},
		{reflect.TypeFor[map[string][]namedBytes](), special},
		{reflect.TypeFor[struct{ embedded }](), special},
		{reflect.TypeFor[struct{ hidden []byte }](), plain},
		{reflect.TypeFor[struct {
			A []byte `json:"-"`
		}](), plain},
		{reflect.TypeFor[any](), dynamic},
		{reflect.TypeFor[struct{ A, B any }](), dynamic},
		{reflect.TypeFor[struct{ R io.Reader }](), dynamic},
		{reflect.TypeFor[struct{ R *os.File }](), special},
		{reflect.TypeFor[json.Number](), special},
		{reflect.TypeFor[struct {
			A any
			B []byte
		}](), special},
	} {
		if got := encodedTypes.info(test.t).class; got != test.want {
			t.Errorf("%v: class %d, want %d", test.t, got, test.want)
		}
	}
}

type plainStruct2 struct{ P *plainStruct2 }
