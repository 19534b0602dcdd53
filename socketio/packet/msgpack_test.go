package packet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func decodeMsgpackFrame(frame []byte) (Packet, error) {
	d := Decoder{Format: Msgpack}
	p, complete, err := d.Binary(frame)
	if complete != (err == nil) {
		return p, errors.New("complete doesn't go with the error")
	}
	return p, err
}

// unhex decodes hexadecimal digits with spaces.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// packetHead starts a packet of four members of which the last is data.
const packetHead = "83 a474797065 02 a36e7370 a12f a464617461 "

// The expectations in testdata/msgpack.json are what socket.io-msgpack-parser 3.0.2 does; see
// testdata/msgpack_vectors.mjs.
func TestMsgpackLikeNode(t *testing.T) {
	data, err := os.ReadFile("testdata/msgpack.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Wire   string
		Exact  bool
		Error  string
		Packet nodePacket
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 45 {
		t.Fatalf("%d vectors: some are missing", len(vectors))
	}
	for _, v := range vectors {
		wire := unhex(v.Wire)
		p, err := decodeMsgpackFrame(wire)
		if v.Error != "" {
			if err == nil {
				t.Errorf("%.80s: Node says %q, we took %+v", v.Wire, v.Error, p)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.80s: %v", v.Wire, err)
			continue
		}
		want := v.Packet
		want.Data = fromHex(want.Data)
		if got := asNodePacket(t, p); !reflect.DeepEqual(got, want) {
			t.Errorf("%.80s: got %+v, Node %+v", v.Wire, got, want)
		}
		if !v.Exact {
			continue
		}
		h := Header{Type: p.Type, Namespace: p.Namespace, ID: p.ID, HasID: p.HasID}
		got, err := AppendMsgpack([]byte("x"), AppendRaw(nil, h, p.Data, len(p.Attachments)), p.Attachments)
		if err != nil || !bytes.Equal(got, append([]byte("x"), wire...)) {
			t.Errorf("wrote %.300x\nNode    %.300s: %v", got[1:], v.Wire, err)
		}
	}
}

func TestMsgpackExtensions(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"d40000", `null`},
		{"d7 00 0000000000000000", `"1970-01-01T00:00:00.000Z"`},
		{"d7 00 ffffffffffffffff", `"1969-12-31T23:59:59.999Z"`},
		{"d7 00 7fffffffffffffff", `null`},
		{"d7 00 8000000000000000", `null`},
		{"d6 ff 00000001", `"1970-01-01T00:00:01.000Z"`},
		{"d7 ff 77359400 00000001", `"1970-01-01T00:00:01.500Z"`},
		{"c7 0c ff 1dcd6500 ffffffffffffffff", `"1969-12-31T23:59:59.500Z"`},
		{"c7 0c ff 1dcd6500 7fffffffffffffff", `null`},
		{"c7 01 00 09", place0},
		{"c8 0001 00 09", place0},
		{"c9 00000001 00 09", place0},
		{"c7 00 00", place0},
		{"ca 3fc00000", `1.5`},
		{"ca 7fc00000", `null`},
		{"cb 7ff0000000000000", `null`},
		{"cb 8000000000000000", `0`},
		{"cf ffffffffffffffff", `18446744073709551615`},
		{"d3 8000000000000000", `-9223372036854775808`},
		{"d0 ff", `-1`},
		{"e0", `-32`},
		{"81 05 01", `{"5":1}`},
		{"81 ff 01", `{"-1":1}`},
		{"a4 ff41ffff", "\"\uFFFDA\uFFFD\uFFFD\""},
		{"a2 220a", `"\"\n"`},
		{"de0001 a161 c3", `{"a":true}`},
		{"df00000001 a161 c3", `{"a":true}`},
		{"dc0001 c2", `[false]`},
		{"dd00000001 c2", `[false]`},
	} {
		p, err := decodeMsgpackFrame(unhex(packetHead + "92 a165" + test.value))
		if err != nil {
			t.Errorf("%s: %v", test.value, err)
			continue
		}
		if want := `["e",` + test.want + `]`; string(p.Data) != want {
			t.Errorf("%s: got %s, want %s", test.value, p.Data, want)
		}
	}
}

func TestMsgpackRefuses(t *testing.T) {
	for _, test := range []struct {
		wire string
		want error
	}{
		{"", ErrPayload},
		{"80", ErrType},
		{"c0", ErrPayload},
		{"83", ErrPayload},
		{packetHead + "91a165 00", ErrPayload},           // bytes after the end
		{packetHead + "91a165" + "c0", ErrPayload},       // the same
		{packetHead + "90", ErrPayload},                  // no name
		{packetHead + "91c0", ErrEventName},              // name is null
		{packetHead + "9180", ErrEventName},              // name is an object
		{packetHead + "91c40165", ErrEventName},          // name is binary
		{packetHead + "91a7636f6e6e656374", ErrReserved}, // connect
		{packetHead + "ddffffffff", ErrPayload},
		{packetHead + "dfffffffff", ErrPayload},
		{packetHead + "dbffffffff", ErrPayload},
		{packetHead + "c6ffffffff", ErrPayload},
		{packetHead + "c9ffffffff00", ErrPayload},
		{packetHead + "92a165 c1", ErrPayload},
		{packetHead + "92a165 d4 01 00", ErrPayload},                             // extension of another type
		{packetHead + "92a165 d6 00 00000000", ErrPayload},                       // and of no meaning
		{packetHead + "92a165 81 c0 01", ErrPayload},                             // null as name of a member
		{packetHead + "92a165 81 90 01", ErrPayload},                             // array as name of a member
		{packetHead + "92a165 81 c40161 01", ErrPayload},                         // binary as name of a member
		{packetHead + strings.Repeat("91", 65) + "00", ErrDepth},                 //
		{packetHead + strings.Repeat("81a161", 500_000), ErrDepth},               //
		{"81 a178 " + strings.Repeat("91", 500_000), ErrDepth},                   // in a member that is ignored
		{strings.Repeat("81", 500_000), ErrDepth},                                // in a name
		{"83 a474797065 05 a36e7370 a12f a464617461 91a165", ErrType},            // BINARY_EVENT
		{"83 a474797065 ff a36e7370 a12f a464617461 91a165", ErrType},            // -1
		{"82 a474797065 02 a464617461 91a165", ErrNamespace},                     // none
		{"83 a474797065 02 a36e7370 a161 a464617461 91a165", ErrNamespace},       // "a"
		{"83 a474797065 02 a36e7370 a0 a464617461 91a165", ErrNamespace},         // ""
		{"83 a474797065 02 a36e7370 a42f612c62 a464617461 91a165", ErrNamespace}, // "/a,b"
		{"84 a474797065 02 a36e7370 a12f a464617461 91a165 a26964 ff", ErrID},
		{"84 a474797065 02 a36e7370 a12f a464617461 91a165 a26964 c0", ErrID},
		{"83 a474797065 02 a36e7370 da2710" + strings.Repeat("2f", 10000) + " a464617461 91a165", ErrNamespace},
		{packetHead + "de03e9" + strings.Repeat("a161c400", 1001), ErrTooManyAttachments},
		// placeholders that were there before
		{packetHead + "93a165 c40101 82 ac5f706c616365686f6c646572 c3 a36e756d 05", ErrPlaceholder},
		{packetHead + "93a165 c40101 82 ac5f706c616365686f6c646572 c3 a36e756d a673706c696365", ErrPlaceholder},
	} {
		if p, err := decodeMsgpackFrame(unhex(test.wire)); !errors.Is(err, test.want) {
			t.Errorf("%.100s: error %v, want %v; %+v", test.wire, err, test.want, p)
		}
	}
	d := Decoder{Format: Msgpack}
	if _, _, err := d.Text([]byte(`2["e"]`)); !errors.Is(err, ErrUnexpectedText) {
		t.Error("text:", err)
	}
	d.Limits = &Limits{MaxAttachmentBytes: 3}
	for data, want := range map[string]error{"93a165 c40101 c4020203": nil, "93a165 c4020101 c4020203": ErrAttachmentBytes} {
		if _, _, err := d.Binary(unhex(packetHead + data)); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", data, err, want)
		}
	}
}

func TestMsgpackMemberOrder(t *testing.T) {
	for _, wire := range []string{
		"85 a464617461 92a165c40101 a26964 07 a36e7370 a22f61 a474797065 02 a76f7074696f6e73 82 a178 c40102 a179 c7010003",
		"86 a76f7074696f6e73 c40109 a474797065 02 a36e7370 a12f a36e7370 a22f61 a464617461 92a165c40101 a26964 cb401c000000000000",
		"86 a464617461 91c40105 a464617461 92a165c40101 a26964 cf0000000000000007 a36e7370 a22f61 a474797065 cc02 05 80",
	} {
		p, err := decodeMsgpackFrame(unhex(wire))
		want := Packet{
			Type: Event, Namespace: "/a", ID: 7, HasID: true, Event: "e", Data: jsontext.Value(`["e",` + place0 + `]`), Attachments: [][]byte{{1}},
		}
		if err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("%s: got %+v: %v", wire, p, err)
		}
	}
}

// python-socketio writes None where there is nothing.
func TestMsgpackNoneAsData(t *testing.T) {
	for _, kind := range []string{"00", "01"} {
		p, err := decodeMsgpackFrame(unhex("83 a474797065" + kind + "a464617461 c0 a36e7370 a12f"))
		if err != nil || p.Data != nil {
			t.Errorf("type %s: %+v, %v", kind, p, err)
		}
	}
	if p, err := decodeMsgpackFrame(unhex("83 a464617461 c0 a474797065 00 a36e7370 a12f")); err != nil || p.Data != nil {
		t.Errorf("data before type: %+v, %v", p, err)
	}
}

func TestAppendMsgpackErrors(t *testing.T) {
	for _, test := range []struct {
		text        string
		attachments [][]byte
	}{
		{"", nil}, {"9", nil}, {`2["e"`, nil}, {`2["e"]x`, nil}, {`2["e"]`, [][]byte{{1}}}, {`51-["e"]`, nil},
		{`51-["e",{"_placeholder":true,"num":1}]`, [][]byte{{1}}}, {`2["e",{"a"}]`, nil}, {`2["e",{1:2}]`, nil}, {`2[`, nil}, {`2{`, nil},
		{"2" + strings.Repeat("[", 2000), nil},
	} {
		got, err := AppendMsgpack([]byte("dst"), []byte(test.text), test.attachments)
		if err == nil || string(got) != "dst" {
			t.Errorf("%.50q: got %x, %v", test.text, got, err)
		}
	}
}

func TestMsgpackLargeContainers(t *testing.T) {
	for _, n := range []int{15, 16, 65535, 65536} {
		long := strings.Repeat("x", n)
		list := make([]any, n)
		text, attachments, err := AppendEvent(nil, Header{}, "e", []any{list, long, make([]byte, n), map[string]any{"a": list}})
		if err != nil {
			t.Fatal(err)
		}
		frame, err := AppendMsgpack(nil, text, attachments)
		if err != nil {
			t.Fatal(err)
		}
		p, err := decodeMsgpackFrame(frame)
		if err != nil || len(p.Attachments) != 1 || len(p.Attachments[0]) != n {
			t.Fatal(n, err)
		}
		if want := string(text[len(`51-`):]); string(p.Data) != want {
			t.Errorf("%d: got %.100s…, want %.100s…", n, p.Data, want)
		}
	}
}

func TestMsgpackRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			Type:      rapid.SampledFrom([]Type{Event, Ack}).Draw(t, "type"),
			Namespace: rapid.SampledFrom([]string{"/", "/chat", "/é"}).Draw(t, "namespace"),
			HasID:     true,
			ID:        rapid.Uint64().Draw(t, "id"),
		}
		args := rapid.SliceOfN(anyValue(), 0, 5).Draw(t, "args")
		var text []byte
		var attachments [][]byte
		var err error
		if h.Type == Ack {
			text, attachments, err = AppendAck(nil, h, args)
		} else {
			text, attachments, err = AppendEvent(nil, h, "name", args)
		}
		if err != nil {
			t.Fatal(err)
		}
		frame, err := AppendMsgpack(nil, text, attachments)
		if err != nil {
			t.Fatal(err)
		}
		p, err := decodeMsgpackFrame(frame)
		if err != nil || p.Type != h.Type || p.Namespace != h.Namespace || p.ID != h.ID || !p.HasID {
			t.Fatalf("got %+v: %v", p, err)
		}
		var got []any
		if err := Unmarshal(p.Data, p.Attachments, &got); err != nil {
			t.Fatal(err)
		}
		want := asDecoded(args).([]any)
		if h.Type == Event {
			want = append([]any{"name"}, want...)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v\nwant %#v", got, want)
		}
	})
}

// FuzzMsgpack decodes anything; what is taken must be valid, and come back the same.
func FuzzMsgpack(f *testing.F) {
	for _, wire := range []string{
		"83 a474797065 02 a36e7370 a12f a464617461 92 a568656c6c6f a3796f75", "83 a474797065 00 a464617461 d40000 a36e7370 a12f",
		"85 a474797065 02 a464617461 92a161a178 a76f7074696f6e73 81a8636f6d7072657373c3 a26964 00 a36e7370 a12f",
		"82 a474797065 01 a36e7370 a12f", packetHead + "93a165 c40101 c701000a", packetHead + "94a165 d70000000000000003e8 d6ff00000001 ca3fc00000",
		packetHead + "93a165 c40101 82 ac5f706c616365686f6c646572 c3 a36e756d 00", packetHead + "92a165 df00000001 05 dd00000001 d9 01 78",
		packetHead + "ddffffffff", packetHead + strings.Repeat("91", 70), "84 a474797065 03 a36e7370 a12f a464617461 90 a26964 cfffffffffffffffff",
	} {
		f.Add(unhex(wire))
	}
	shortened := func(p Packet) bool { // numbers with exponents and duplicate use of attachments may be written another way
		return len(p.Attachments) > 0 || strings.ContainsAny(string(p.Data), "eE")
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodeMsgpackFrame(data)
		if err != nil {
			return
		}
		if len(p.Attachments) > maxMsgpackAttachments {
			t.Fatalf("%d attachments", len(p.Attachments))
		}
		if len(p.Attachments) > 0 && p.Type != Event && p.Type != Ack {
			return // binary in what a client authenticates with: only msgpack can write it
		}
		if len(p.Attachments) <= defaultMaxAttachments {
			checkPacket(t, p)
		}
		h := Header{Type: p.Type, Namespace: p.Namespace, ID: p.ID, HasID: p.HasID}
		frame, err := AppendMsgpack(nil, AppendRaw(nil, h, p.Data, len(p.Attachments)), p.Attachments)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		p2, err := decodeMsgpackFrame(frame)
		if err != nil || p2.Event != p.Event || p2.Namespace != p.Namespace || p2.ID != p.ID ||
			string(p2.Data) != string(p.Data) && !shortened(p) {
			t.Fatalf("%+v comes back as %+v: %v", p, p2, err)
		}
	})
}

func BenchmarkMsgpack(b *testing.B) {
	text, attachments, err := AppendEvent(nil, Header{}, "echo", []any{payload64})
	if err != nil {
		b.Fatal(err)
	}
	frame, err := AppendMsgpack(nil, text, attachments)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := AppendMsgpack(nil, text, attachments); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Decode", func(b *testing.B) {
		d := Decoder{Format: Msgpack}
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := d.Binary(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestMsgpackNumbers(t *testing.T) {
	for number, want := range map[string]string{
		"1e3": "cd03e8", "1.0": "01", "-0": "00", "-0.0": "00", "-1e0": "ff", "1e-1": "cb3fb999999999999a",
		"18446744073709551615": "cfffffffffffffffff", "18446744073709551616": "cb43f0000000000000",
		"-9223372036854775808": "d38000000000000000", "-9223372036854775809": "cbc3e0000000000000",
		"1e300": "cb7e37e43c8800759c", "1e400": "cb7ff0000000000000", "9007199254740993.0": "cf0020000000000000",
	} {
		got, err := AppendMsgpack(nil, []byte("30["+number+"]"), nil)
		if err != nil || hex.EncodeToString(got) != "84a47479706503a46461746191"+want+"a2696400a36e7370a12f" {
			t.Errorf("%s: got %x: %v", number, got, err)
		}
	}
}

func TestNamesOfTypesAndFormats(t *testing.T) {
	if got := BinaryAck.String() + " " + Connect.String() + " " + Type(9).String() + " " + JSON.String() + " " + Msgpack.String(); got !=
		"binary_ack connect type 9 json msgpack" {
		t.Error(got)
	}
}
