package packet

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzDecoder feeds a text frame, and a number of attachments of one byte, to a Decoder. What it takes must be valid,
// and come back the same after it was written again.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{
		"", "0", "0{}", "0/a,{}", "1", "1/a,", `2["e"]`, `2/a,7["e",1,"x",null,{"a":[true]}]`, `30[]`, `4"x"`, `4{"message":"x"}`, "2[1.5]",
		`51-["e",{"_placeholder":true,"num":0}]`, `52-/a,1["e",[{"_placeholder":true,"num":1}]]`, `61-0[{"_placeholder":true,"num":0}]`,
		`50-["x"]`, `511-["x"]`, `2["connect"]`, `2[{"toString":"foo"}]`, `51-["e",{"_placeholder":true,"num":"splice"}]`,
		`2["\ud800","\u0000é` + "\xff" + `"]`, `218446744073709551615["e"]`, "2" + strings.Repeat("[", 70), `2["e",-1.5e-7,1e400]`,
	} {
		f.Add([]byte(s), uint8(2))
	}
	f.Fuzz(func(t *testing.T, data []byte, attachments uint8) {
		input := bytes.Clone(data)
		frames := []any{string(data)}
		for i := range attachments % 12 {
			frames = append(frames, []byte{i})
		}
		var d Decoder
		for _, frame := range frames {
			p, complete, err := feed(&d, frame)
			if err != nil {
				if d.Pending() && d.pending.packet.Data == nil {
					t.Fatal("pending without a packet")
				}
				return
			}
			if complete {
				checkPacket(t, p)
			}
		}
		if !bytes.Equal(input, data) {
			t.Fatal("the input was changed")
		}
	})
}

func checkPacket(t *testing.T, p Packet) {
	t.Helper()
	if !utf8.Valid(p.Data) || !utf8.ValidString(p.Event) || !utf8.ValidString(p.Namespace) || p.Namespace[0] != '/' {
		t.Fatalf("not valid: %+v", p)
	}
	if p.Data != nil && !json.Valid(p.Data) {
		t.Fatalf("invalid JSON: %s", p.Data)
	}
	if len(p.Attachments) > defaultMaxAttachments || Reserved(p.Event) {
		t.Fatalf("got past the limits: %+v", p)
	}
	if p.Type == Event || p.Type == Ack {
		args, err := SplitArgs(p.Data, nil)
		if err != nil {
			t.Fatalf("cannot split %s: %v", p.Data, err)
		}
		for _, arg := range args {
			var v any
			if err := Unmarshal(arg, p.Attachments, &v); err != nil && !strings.Contains(err.Error(), "out of range") {
				t.Fatalf("cannot decode %s: %v", arg, err)
			}
		}
	}
	h := Header{Type: p.Type, Namespace: p.Namespace, ID: p.ID, HasID: p.HasID}
	again := []any{string(AppendRaw(nil, h, p.Data, len(p.Attachments)))}
	for _, b := range p.Attachments {
		again = append(again, b)
	}
	p2, complete, err := decode(nil, again...)
	if err != nil || !complete || !reflect.DeepEqual(p, p2) {
		t.Fatalf("written as %q it comes back as %+v, %v; was %+v", again, p2, err, p)
	}
}

// FuzzUnmarshal compares with encoding/json, where there are no attachments, and looks for panics where there are.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{
		`null`, `[]`, `{}`, `"x"`, `-1.5e3`, place0, `{"A":` + place0 + `,"B":[` + place1 + `]}`, `{"_placeholder":true,"num":"splice"}`,
		`{"_placeholder":true,"num":-1}`, `{"_placeholder":true}`, `{"num":0,"_placeholder":true,"num":1}`, `{"a":{"b":[1,"\ud800"]}}`,
		`{"_placeholder":{"_placeholder":true,"num":0},"num":0}`, ` [ 1 , 2 ] `, `"AQI="`, `{"B":["AQI=",null]}`, `{"C":{"k":"AQI="}}`,
		strings.Repeat("[", 2000), `n`, `{"num":0"_placeholder":true`, // the last two were findings
	} {
		f.Add([]byte(s))
	}
	type target struct {
		A []byte
		B [][]byte
		C map[string]namedBytes
		D any
		E *target
		F json.Number
		G string
	}
	attachments := [][]byte{{0}, {1}}
	f.Fuzz(func(t *testing.T, data []byte) {
		if json.Valid(data) && utf8.Valid(data) && !strings.Contains(string(data), "_") {
			var want, got any
			wantErr := json.Unmarshal(data, &want)
			err := Unmarshal(jsontext.Value(data), nil, &got)
			if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
				// depth is the one thing that is limited differently
				if err != ErrDepth {
					t.Fatalf("%q: got %#v, %v; encoding/json %#v, %v", data, got, err, want, wantErr)
				}
			}
		}
		for _, dst := range []any{new(any), new([]byte), new(target), new([]any), new(map[string]any), new(string), new(map[string][]byte), new(int)} {
			if err := Unmarshal(jsontext.Value(data), attachments, dst); err == nil && !json.Valid(data) {
				t.Fatalf("%q is not JSON but decoded into %T", data, dst)
			}
		}
	})
}
