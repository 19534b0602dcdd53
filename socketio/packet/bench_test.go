package packet

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

var payload64 = strings.Repeat("x", 64)

func BenchmarkDecodeEcho(b *testing.B) {
	data := []byte(`2123["echo","` + payload64 + `"]`)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		p, complete, err := d.Text(data)
		if err != nil || !complete || p.Event != "echo" {
			b.Fatal(p, complete, err)
		}
	}
}

func BenchmarkDecodeEchoAndBind(b *testing.B) {
	data := []byte(`2123["echo","` + payload64 + `"]`)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		p, _, err := d.Text(data)
		if err != nil {
			b.Fatal(err)
		}
		var room [4]jsontext.Value
		args, err := SplitArgs(p.Data, room[:0])
		if err != nil {
			b.Fatal(err)
		}
		var text string
		if err := Unmarshal(args[1], nil, &text); err != nil || text != payload64 {
			b.Fatal(text, err)
		}
	}
}

func BenchmarkDecodeBinary(b *testing.B) {
	data, attachment := []byte(`51-["echo",{"_placeholder":true,"num":0}]`), []byte(payload64)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		if _, complete, err := d.Text(data); complete || err != nil {
			b.Fatal(complete, err)
		}
		if _, complete, err := d.Binary(attachment); !complete || err != nil {
			b.Fatal(complete, err)
		}
	}
}

type benchRequest struct {
	Room string   `json:"room"`
	Text string   `json:"text,omitempty"`
	N    int      `json:"n"`
	Tags []string `json:"tags"`
}

type benchUpload struct {
	Name    string `json:"name"`
	Content []byte `json:"content"`
}

func BenchmarkEncode(b *testing.B) {
	for _, c := range []struct {
		name string
		arg  any
	}{
		{"String", payload64},
		{"Raw", jsontext.Value(`"` + payload64 + `"`)},
		{"Bytes", []byte(payload64)},
		{"Map", map[string]any{"room": "general", "text": payload64, "n": 12.0, "tags": []any{"a", "b"}}},
		{"Struct", benchRequest{"general", payload64, 12, []string{"a", "b"}}},
		{"StructPointer", &benchRequest{"general", payload64, 12, []string{"a", "b"}}},
		{"StructWithBytes", &benchUpload{"x.png", []byte(payload64)}},
	} {
		args := []any{c.arg}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := AppendEvent(nil, Header{}, "echo", args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	object := jsontext.Value(`{"room":"general","text":"` + payload64 + `","n":12,"tags":["a","b"]}`)
	b.Run("Struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var r benchRequest
			if err := Unmarshal(object, nil, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := Unmarshal(object, nil, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("StructWithBytes", func(b *testing.B) {
		upload, attachments := jsontext.Value(`{"name":"x.png","content":{"_placeholder":true,"num":0}}`), [][]byte{[]byte(payload64)}
		b.ReportAllocs()
		for b.Loop() {
			var u benchUpload
			if err := Unmarshal(upload, attachments, &u); err != nil {
				b.Fatal(err)
			}
		}
	})
}
