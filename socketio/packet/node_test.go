package packet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
)

// The expectations in testdata/parser.json are what socket.io-parser 4.2.7 does; see testdata/vectors.mjs.
type nodeVectors struct {
	Decode []struct {
		Frames  []any
		Error   string
		Packets []nodePacket
	}
	Encode []struct {
		Packet nodePacket
		Frames []any
	}
}

type nodePacket struct {
	Type Type
	Nsp  string
	ID   *float64
	Data any
}

func readNodeVectors(t *testing.T) nodeVectors {
	t.Helper()
	data, err := os.ReadFile("testdata/parser.json")
	if err != nil {
		t.Fatal(err)
	}
	var v nodeVectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Decode) < 150 || len(v.Encode) < 20 {
		t.Fatalf("%d and %d vectors: some are missing", len(v.Decode), len(v.Encode))
	}
	return v
}

// fromHex turns {"hex":"00ff"} into []byte, anywhere in v.
func fromHex(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if s, ok := v["hex"].(string); ok {
			b, err := hex.DecodeString(s)
			if err != nil {
				panic(err)
			}
			return b
		}
		for name := range v {
			v[name] = fromHex(v[name])
		}
	case []any:
		for i := range v {
			v[i] = fromHex(v[i])
		}
	}
	return v
}

func feed(d *Decoder, frame any) (Packet, bool, error) {
	if text, ok := frame.(string); ok {
		return d.Text([]byte(text))
	}
	return d.Binary(frame.([]byte))
}

// What Node takes and we refuse; see Decoder.
var stricter = map[string]error{
	"":                              ErrType, // to Node a CONNECT
	"2":                             ErrPayload,
	"3":                             ErrPayload,
	"212":                           ErrPayload,
	"312":                           ErrPayload,
	`2 ["e"]`:                       ErrPayload,
	"2\n[\"e\"]":                    ErrPayload,
	`21 2["e"]`:                     ErrPayload,
	"2/a":                           ErrPayload,
	`2/a["e"]`:                      ErrPayload,
	`5 1-["e"]`:                     ErrAttachments,
	`51e0-["e"]`:                    ErrAttachments,
	`5+1-["e"]`:                     ErrAttachments,
	`51.0-["e"]`:                    ErrAttachments,
	"5\t1-[\"e\"]":                  ErrAttachments,
	`50x1-["e"]`:                    ErrAttachments,
	`51-`:                           ErrPayload,
	`299999999999999999999999["e"]`: ErrID,
	`51-["e",{"_placeholder":true,"num":0.5}]`: ErrPlaceholder,
	`51-["e",{"_placeholder":true,"num":0.0}]`: ErrPlaceholder,
	`51-["e",{"_placeholder":true,"num":0e0}]`: ErrPlaceholder,
	`51-["e",{"_placeholder":true,"num":-0}]`:  ErrPlaceholder,
}

func TestDecodesWhatNodeDecodes(t *testing.T) {
	strict := 0
	for _, v := range readNodeVectors(t).Decode {
		frames := fromHex(v.Frames).([]any)
		var d Decoder
		var got []nodePacket
		var failure error
		for _, frame := range frames {
			p, complete, err := feed(&d, frame)
			if err != nil {
				failure = err
				break
			}
			if complete {
				got = append(got, asNodePacket(t, p))
			}
		}
		first, isText := frames[0].(string)
		if want, ok := stricter[first]; ok && isText {
			strict++
			if !errors.Is(failure, want) {
				t.Errorf("%q: error %v, want %v", frames, failure, want)
			}
			if v.Error != "" {
				t.Errorf("%q is refused by Node, too", frames)
			}
			continue
		}
		if (failure != nil) != (v.Error != "") {
			t.Errorf("%q: error %v, Node's is %q", frames, failure, v.Error)
		}
		var want []nodePacket
		for _, p := range v.Packets {
			p.Data = fromHex(p.Data)
			want = append(want, p)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, Node %+v", frames, got, want)
		}
	}
	if strict != len(stricter) {
		t.Errorf("%d of the %d inputs that we are stricter about are among the vectors", strict, len(stricter))
	}
}

func asNodePacket(t *testing.T, p Packet) nodePacket {
	t.Helper()
	n := nodePacket{Type: p.Type, Nsp: p.Namespace}
	if p.HasID {
		id := float64(p.ID)
		n.ID = &id
	}
	if p.Data != nil {
		if err := Unmarshal(p.Data, p.Attachments, &n.Data); err != nil {
			t.Errorf("%s: %v", p.Data, err)
		}
	}
	if p.Type == Event {
		name := n.Data.([]any)[0]
		if f, ok := name.(float64); ok {
			name = string(appendFloat(nil, f, 64))
		}
		if name != p.Event {
			t.Errorf("%s: name is %q", p.Data, p.Event)
		}
	}
	return n
}

func TestEncodesWhatNodeEncodes(t *testing.T) {
	for _, v := range readNodeVectors(t).Encode {
		h := Header{Type: v.Packet.Type, Namespace: v.Packet.Nsp}
		if v.Packet.ID != nil {
			h.ID, h.HasID = uint64(*v.Packet.ID), true
		}
		var (
			text        []byte
			attachments [][]byte
			err         error
		)
		switch data := fromHex(v.Packet.Data); h.Type {
		case Event:
			args := data.([]any)
			text, attachments, err = AppendEvent(nil, h, args[0].(string), args[1:])
		case Ack:
			text, attachments, err = AppendAck(nil, h, data.([]any))
		default:
			text, err = AppendValue(nil, h, data)
		}
		if err != nil {
			t.Errorf("%v: %v", v.Packet, err)
			continue
		}
		want := fromHex(v.Frames).([]any)
		if string(text) != want[0] {
			t.Errorf("wrote %s\nNode   %s", text, want[0])
		}
		if len(attachments) != len(want)-1 {
			t.Errorf("%s: %d attachments, Node %d", text, len(attachments), len(want)-1)
			continue
		}
		for i, b := range attachments {
			if !bytes.Equal(b, want[i+1].([]byte)) {
				t.Errorf("%s: attachment %d is %x, Node has %x", text, i, b, want[i+1])
			}
		}
	}
}
