package packet

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// decode feeds frames to a new decoder and returns the last packet.
func decode(limits *Limits, frames ...any) (p Packet, complete bool, err error) {
	d := Decoder{Limits: limits}
	for _, frame := range frames {
		if p, complete, err = feed(&d, frame); err != nil {
			return p, complete, err
		}
	}
	return p, complete, nil
}

func mustDecode(t *testing.T, frames ...any) Packet {
	t.Helper()
	p, complete, err := decode(nil, frames...)
	if err != nil || !complete {
		t.Fatalf("%.100q: complete %v, error %v", frames, complete, err)
	}
	return p
}

func wantError(t *testing.T, want error, frames ...any) {
	t.Helper()
	if _, _, err := decode(nil, frames...); !errors.Is(err, want) {
		t.Errorf("%.100q: error %v, want %v", frames, err, want)
	}
}

func TestPacketDoesNotReferToInput(t *testing.T) {
	var d Decoder
	text := []byte(`51-/chat,7["name",{"_placeholder":true,"num":0}]`)
	if _, complete, err := d.Text(text); complete || err != nil {
		t.Fatal(complete, err)
	}
	clear(text)
	blob := []byte{1, 2, 3}
	p, complete, err := d.Binary(blob)
	if !complete || err != nil {
		t.Fatal(complete, err)
	}
	clear(blob)
	want := Packet{
		Type: Event, Namespace: "/chat", ID: 7, HasID: true, Event: "name",
		Data:        jsontext.Value(`["name",{"_placeholder":true,"num":0}]`),
		Attachments: [][]byte{{1, 2, 3}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

func TestPendingAndReset(t *testing.T) {
	var d Decoder
	if d.Pending() {
		t.Error("new decoder is pending")
	}
	if _, _, err := d.Text([]byte(`52-["e"]`)); err != nil || !d.Pending() {
		t.Error(err, d.Pending())
	}
	if _, complete, err := d.Binary([]byte{1}); err != nil || complete || !d.Pending() {
		t.Error(err, complete, d.Pending())
	}
	if _, _, err := d.Text([]byte(`2["e"]`)); !errors.Is(err, ErrUnexpectedText) {
		t.Error("text between attachments:", err)
	}
	d.Reset()
	if d.Pending() {
		t.Error("pending after Reset")
	}
	if _, _, err := d.Binary([]byte{1}); !errors.Is(err, ErrUnexpectedBinary) {
		t.Error("binary without packet:", err)
	}
	if _, complete, err := d.Text([]byte(`2["e"]`)); err != nil || !complete {
		t.Error("packet after Reset:", err)
	}
	if p, complete, err := d.Text([]byte(`2["f"]`)); err != nil || !complete || p.Attachments != nil {
		t.Error("second packet:", p, err)
	}
}

func TestEventNames(t *testing.T) {
	for data, want := range map[string]string{
		`2["e"]`: "e", `2[""]`: "", `2["error"]`: "error", `2["message"]`: "message", `2["a\u0062\n"]`: "ab\n",
		`2["é"]`: "é", `2["\ud83d\ude00"]`: "😀", `2["Connect"]`: "Connect", `2["connect "]`: "connect ", `2[ "e" ]`: "e",
		`2[1]`: "1", `2[0]`: "0", `2[-0]`: "0", `2[1.0]`: "1", `2[1.5]`: "1.5", `2[-3]`: "-3", `2[1e3]`: "1000", `2[1e21]`: "1e+21",
		`2[1e-7]`: "1e-7", `2[12345678901234567890]`: "12345678901234567000",
	} {
		if got := mustDecode(t, data).Event; got != want {
			t.Errorf("%s: name %q, want %q", data, got, want)
		}
	}
	long := strings.Repeat("n", 10_000)
	if got := mustDecode(t, `2["`+long+`"]`).Event; got != long {
		t.Error("long name got lost")
	}
}

// The tests from here to the end of the file are the attacks that Node's parser and its siblings once fell for.

// CVE-2020-36049: megabytes of digits made Node build strings in quadratic time.
func TestAttackDigits(t *testing.T) {
	digits := strings.Repeat("2", 5_000_000)
	wantError(t, ErrID, "2"+digits)
	wantError(t, ErrID, "2"+digits+`["e"]`)
	wantError(t, ErrID, "2/a,"+digits+`["e"]`)
	wantError(t, ErrTooManyAttachments, "5"+digits+`-["e"]`)
	wantError(t, ErrAttachments, "5"+digits)
	if p := mustDecode(t, `2["e",`+digits+`]`); len(p.Data) != len(digits)+6 {
		t.Error("a long number is a number all the same")
	}
	if p := mustDecode(t, "2"+strings.Repeat("0", 100)+`7["e"]`); p.ID != 7 {
		t.Error("leading zeros change the id to", p.ID)
	}
	if p := mustDecode(t, `218446744073709551615["e"]`); p.ID != 1<<64-1 {
		t.Error("greatest id is", p.ID)
	}
	wantError(t, ErrID, `218446744073709551616["e"]`)
}

// CVE-2022-2421: a placeholder could name a method of the array of attachments.
func TestAttackPlaceholderNum(t *testing.T) {
	one := []byte{1}
	for _, num := range []string{`"splice"`, `"length"`, `"0"`, `1`, `10`, `-1`, `-0`, `0.5`, `1e0`, `0e0`, `00`, `1e400`, `null`,
		`true`, `[0]`, `{"a":0}`, `9999999999999999999999`, `"__proto__"`} {
		for _, object := range []string{
			`{"_placeholder":true,"num":` + num + `}`,
			`{"num":` + num + `,"_placeholder":true}`,
			`{"a":[{"_placeholder":true,"num":` + num + `}]}`,
			`{"\u005fplaceholder":true,"n\u0075m":` + num + `}`,
			`{"_placeholder":false,"num":0,"_placeholder":true,"num":` + num + `}`,
		} {
			want := ErrPlaceholder
			if num == "00" {
				want = ErrPayload
			}
			wantError(t, want, `51-["e",`+object+`]`, one)
			wantError(t, want, `61-1[`+object+`]`, one)
			if num == "00" {
				continue
			}
			// The Decoder refuses the packet; but Unmarshal may see JSON that didn't come from it.
			for _, dst := range []any{new(any), new([]byte), new([]any), new(map[string][]byte), new(struct{ A [][]byte })} {
				if err := Unmarshal(jsontext.Value(object), [][]byte{one}, dst); err == nil {
					t.Errorf("%s decoded into %T", object, dst)
				}
			}
		}
	}
	wantError(t, ErrPlaceholder, `51-["e",{"_placeholder":true}]`, one)
}

func TestPlaceholderUsedTwiceOrNever(t *testing.T) {
	p := mustDecode(t, `52-["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]`, []byte{0}, []byte{1})
	var got []any
	if err := Unmarshal(p.Data, p.Attachments, &got); err != nil {
		t.Fatal(err)
	}
	if want := []any{"e", []byte{1}, []byte{1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// A packet without attachments has no placeholders, only objects that look like them.
func TestPlaceholderWithoutAttachments(t *testing.T) {
	p := mustDecode(t, `2["e",{"_placeholder":true,"num":0}]`)
	var got []any
	if err := Unmarshal(p.Data, p.Attachments, &got); err != nil {
		t.Fatal(err)
	}
	if want := []any{"e", map[string]any{"_placeholder": true, "num": 0.0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	args, _ := SplitArgs(p.Data, nil)
	var b []byte
	if err := Unmarshal(args[1], p.Attachments, &b); err == nil {
		t.Errorf("decoded into %v", b)
	}
}

// CVE-2023-32695: an object as event name made Node throw while it converted it to a string.
func TestAttackObjectAsEventName(t *testing.T) {
	for _, name := range []string{`{"toString":"foo"}`, `{}`, `[]`, `["e"]`, `null`, `true`, `false`} {
		wantError(t, ErrEventName, `2[`+name+`]`)
		wantError(t, ErrEventName, `51-[`+name+`]`)
	}
	wantError(t, ErrEventName, `2[1e999]`)
	wantError(t, ErrPayload, `2[]`)
	wantError(t, ErrPayload, `2{"0":"e"}`)
	wantError(t, ErrPayload, `2"e"`)
}

// Node up to 4.2.3 dispatched events that only the library itself may emit.
func TestAttackReservedNames(t *testing.T) {
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		wantError(t, ErrReserved, `2["`+name+`"]`)
		wantError(t, ErrReserved, `2/a,1["`+name+`",1]`)
		wantError(t, ErrReserved, `51-["`+name+`",{"_placeholder":true,"num":0}]`)
		escaped := strings.NewReplacer("c", `\u0063`, "e", `\u0065`).Replace(name)
		wantError(t, ErrReserved, `2["`+escaped+`"]`)
		if _, _, err := AppendEvent(nil, Header{}, name, nil); !errors.Is(err, ErrReserved) {
			t.Errorf("emitted %s: %v", name, err)
		}
	}
}

// CVE-2026-33151: a peer announces ever so many attachments and sends them slowly.
func TestAttackAttachmentCount(t *testing.T) {
	wantError(t, ErrTooManyAttachments, `511-["e"]`)
	wantError(t, ErrTooManyAttachments, `5100000-["e"]`)
	wantError(t, ErrTooManyAttachments, `54294967297-["e"]`)           // 2^32+1
	wantError(t, ErrTooManyAttachments, `518446744073709551617-["e"]`) // 2^64+1
	wantError(t, ErrTooManyAttachments, `611-1["e"]`)
	frames := []any{`510-["e"]`}
	for range 10 {
		frames = append(frames, []byte{1})
	}
	if p := mustDecode(t, frames...); len(p.Attachments) != 10 {
		t.Errorf("%d attachments", len(p.Attachments))
	}
	if _, _, err := decode(&Limits{MaxAttachments: 2}, `53-["e"]`); !errors.Is(err, ErrTooManyAttachments) {
		t.Error("limit of 2:", err)
	}
	if _, _, err := decode(&Limits{MaxAttachments: 1000}, `51000-["e"]`); err != nil {
		t.Error("limit of 1000:", err)
	}
}

// CVE-2026-69185: with 0 attachments announced the packet never got complete, and binary frames piled up behind it.
func TestAttackZeroAttachments(t *testing.T) {
	for _, text := range []string{`50-["x"]`, `5-["x"]`, `500-["x"]`, `60-["x"]`, `60-1[]`} {
		wantError(t, ErrAttachments, text)
	}
	var d Decoder
	if _, _, err := d.Text([]byte(`50-["x"]`)); err == nil || d.Pending() {
		t.Error("pending:", d.Pending(), err)
	}
	if _, _, err := d.Binary([]byte{1}); !errors.Is(err, ErrUnexpectedBinary) {
		t.Error(err)
	}
}

// CVE-2026-48804 and GHSA-55mf-67qm-4wpg: attachments pile up in memory.
func TestAttackAttachmentBytes(t *testing.T) {
	limits := &Limits{MaxAttachmentBytes: 100}
	d := Decoder{Limits: limits}
	if _, _, err := d.Text([]byte(`53-["e"]`)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := d.Binary(make([]byte, 50)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := d.Binary(make([]byte, 1)); !errors.Is(err, ErrAttachmentBytes) {
		t.Error(err)
	}
	if d.Pending() {
		t.Error("the attachments are kept")
	}
	if _, complete, err := decode(limits, `51-["e"]`, make([]byte, 100)); !complete || err != nil {
		t.Error("exactly at the limit:", err)
	}
	if _, _, err := decode(nil, `51-["e"]`, make([]byte, 10_000_001)); !errors.Is(err, ErrAttachmentBytes) {
		t.Error("default limit:", err)
	}
}

func TestAttackPrototypeKeys(t *testing.T) {
	p := mustDecode(t, `2["e",{"__proto__":{"admin":true},"constructor":{"prototype":{}},"toString":1}]`)
	args, err := SplitArgs(p.Data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := Unmarshal(args[1], nil, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"__proto__":   map[string]any{"admin": true},
		"constructor": map[string]any{"prototype": map[string]any{}},
		"toString":    1.0,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	var s struct{ Admin bool }
	if err := Unmarshal(args[1], nil, &s); err != nil || s.Admin {
		t.Errorf("got %+v, %v", s, err)
	}
	if got := mustDecode(t, `2["__proto__"]`).Event; got != "__proto__" {
		t.Errorf("name %q", got)
	}
	if got := mustDecode(t, `0/__proto__,`).Namespace; got != "/__proto__" {
		t.Errorf("namespace %q", got)
	}
}

func TestAttackDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	mustDecode(t, `2["e",`+nested(63)+`]`)
	mustDecode(t, `2["e",`+objects(63)+`]`)
	mustDecode(t, `2["e",`+strings.Repeat(nested(63)+",", 100)+`1]`)
	wantError(t, ErrDepth, `2["e",`+nested(64)+`]`)
	wantError(t, ErrDepth, `2["e",`+objects(64)+`]`)
	wantError(t, ErrDepth, `2["e",`+nested(500_000)+`]`)
	wantError(t, ErrDepth, `2["e",`+strings.Repeat(`[`, 1_000_000))
	wantError(t, ErrDepth, `2["e",`+strings.Repeat(`{"":`, 1_000_000))
	wantError(t, ErrDepth, `0`+objects(65))
	wantError(t, ErrDepth, `4`+objects(65))
	if _, _, err := decode(&Limits{MaxDepth: 3}, `2["e",[[1]]]`); err != nil {
		t.Error("depth 3:", err)
	}
	if _, _, err := decode(&Limits{MaxDepth: 3}, `2["e",[[[1]]]]`); !errors.Is(err, ErrDepth) {
		t.Error("depth 4:", err)
	}
	for _, v := range []string{nested(1_000_000), objects(1_000_000)} {
		if err := Unmarshal(jsontext.Value(v), nil, new(any)); err == nil {
			t.Error("Unmarshal took a depth of a million")
		}
	}
}

// JavaScript strings may hold half a surrogate pair, which has no UTF-8 form. Nobody is disconnected for that, and what
// is passed on is valid: a browser closes a WebSocket on which invalid UTF-8 comes.
func TestAttackSurrogatesAndInvalidUTF8(t *testing.T) {
	for _, data := range []string{
		`2["e\ud800","\ud800x","\udc00","\ud800\ud800","\ud83d\ude00"]`,
		"2[\"e\xff\",\"\xffx\",\"\xc0\x80\",\"\xed\xa0\x80\",\"😀\"]",
	} {
		p := mustDecode(t, data)
		if !utf8.Valid(p.Data) || !utf8.ValidString(p.Event) {
			t.Errorf("%q: not valid UTF-8: %q", data, p.Data)
		}
		if p.Event != "e\uFFFD" {
			t.Errorf("%q: name %q", data, p.Event)
		}
		args, err := SplitArgs(p.Data, nil)
		if err != nil || len(args) != 5 {
			t.Fatal(args, err)
		}
		for i, want := range []string{"e\uFFFD", "\uFFFDx", "", "", "😀"} {
			var s string
			var v any
			var in struct{ S string }
			err := errors.Join(Unmarshal(args[i], nil, &s), Unmarshal(args[i], nil, &v),
				Unmarshal(jsontext.Value(`{"S":`+string(args[i])+`}`), nil, &in))
			if err != nil || s != v || s != in.S || want != "" && s != want || !utf8.ValidString(s) {
				t.Errorf("%q: got %q, %q, %q: %v", args[i], s, v, in.S, err)
			}
		}
	}
	if p := mustDecode(t, "0/\xff,"); !utf8.ValidString(p.Namespace) {
		t.Errorf("namespace %q", p.Namespace)
	}
	text, _, err := AppendEvent(nil, Header{}, "e\xff", []any{"\xff", map[string]any{"\xff": "\xff"}, struct{ S string }{"\xff"}, []string{"\xff"}})
	if err != nil || !utf8.Valid(text) {
		t.Errorf("wrote %q: %v", text, err)
	}
	if _, _, err := AppendEvent(nil, Header{}, "e", []any{jsontext.Value("\"\xff\"")}); err == nil {
		t.Error("wrote invalid UTF-8 as raw JSON")
	}
}

func TestAttackNUL(t *testing.T) {
	wantError(t, ErrPayload, "2[\"e\x00\"]")
	wantError(t, ErrPayload, "2[\"e\"\x00]")
	wantError(t, ErrPayload, "2\x00[\"e\"]")
	wantError(t, ErrPayload, "2[\"e\"]\x00")
	wantError(t, ErrType, "\x00")
	wantError(t, ErrAttachments, "5\x001-[\"e\"]")
	if p := mustDecode(t, `2["e\u0000"]`); p.Event != "e\x00" {
		t.Errorf("name %q", p.Event)
	}
}

func TestAttackNamespace(t *testing.T) {
	long := "/" + strings.Repeat("n", 1_000_000)
	for _, text := range []string{"0" + long, "0" + long + ",", "2" + long + `,["e"]`, "51-" + long + `,["e"]`} {
		wantError(t, ErrNamespace, text)
	}
	if p := mustDecode(t, "0"+long[:1024]+","); p.Namespace != long[:1024] {
		t.Error("a name of 1024 bytes got lost")
	}
	wantError(t, ErrNamespace, "0"+long[:1025]+",")
	if _, _, err := decode(&Limits{MaxNamespaceLen: 2}, "0/ab,"); !errors.Is(err, ErrNamespace) {
		t.Error("limit of 2:", err)
	}
	// Without a comma everything up to the end is the name.
	if p := mustDecode(t, "0/admin"); p.Namespace != "/admin" || p.Data != nil {
		t.Errorf("got %+v", p)
	}
	if p := mustDecode(t, `0/admin{}`); p.Namespace != "/admin{}" {
		t.Errorf("got %+v", p)
	}
	wantError(t, ErrPayload, `2/admin["e"]`)
	wantError(t, ErrPayload, `2/admin`)
	wantError(t, ErrPayload, `2admin,["e"]`)
}

// Names are remembered, but not as many as a peer can think of.
func TestAttackManyNames(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var d Decoder
	text := []byte(`2["` + strings.Repeat("n", 60) + `0000000"]`)
	for i := range 200_000 {
		for j, n := len(text)-3, i; n > 0; j, n = j-1, n/10 {
			text[j] = '0' + byte(n%10)
		}
		if _, _, err := d.Text(text); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes more are in use", grown)
	}
}

func TestDuplicateNamesLastWins(t *testing.T) {
	p := mustDecode(t, `2["e",{"a":1,"a":2}]`)
	args, _ := SplitArgs(p.Data, nil)
	var s struct{ A int }
	var m map[string]int
	var v any
	err := errors.Join(Unmarshal(args[1], nil, &s), Unmarshal(args[1], nil, &m), Unmarshal(args[1], nil, &v))
	if err != nil || s.A != 2 || m["a"] != 2 || !reflect.DeepEqual(v, map[string]any{"a": 2.0}) {
		t.Errorf("%v %v %v: %v", s, m, v, err)
	}
}

// The scanner looks at eight bytes at a time; every alignment must find what matters.
func TestScanStringAlignment(t *testing.T) {
	for length := range 40 {
		for _, special := range []string{"", "\\\"", "\\u0041", "\x1f", "\x00", "\"", "\\", "\x7f", "é", "\\x"} {
			for at := range length + 1 {
				inner := strings.Repeat("a", at) + special + strings.Repeat("b", length-at)
				data := []byte(`2["` + inner + `"]`)
				_, _, err := decode(nil, string(data))
				want := jsontext.Value(data[1:]).IsValid()
				if (err == nil) != want {
					t.Fatalf("%q: error %v, valid %v", data, err, want)
				}
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	var d Decoder
	text := []byte(`2/chat,12["echo","` + strings.Repeat("x", 64) + `"]`)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := d.Text(text); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("decoding an event takes %v allocations", n)
	}
	args := []any{strings.Repeat("x", 64)}
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := AppendEvent(nil, Header{Namespace: "/chat"}, "echo", args); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("encoding an event takes %v allocations", n)
	}
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := AppendEvent(dst, Header{Namespace: "/chat"}, "echo", args); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("encoding an event into a buffer takes %v allocations", n)
	}
	data := bytes.TrimLeft(text, "2/chat,1")
	if n := testing.AllocsPerRun(100, func() {
		var room [4]jsontext.Value
		if args, err := SplitArgs(data, room[:0]); err != nil || len(args) != 2 {
			t.Fatal(len(args), err)
		}
	}); n > 0 {
		t.Errorf("splitting takes %v allocations", n)
	}
}
