package redis

import (
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
)

func BenchmarkEvent(b *testing.B) {
	p := &adapter.Packet{Data: []byte(`["msg","` + strings.Repeat("x", 64) + `"]`)}
	t := adapter.Target{Rooms: []string{"room"}}
	payload, err := appendEvent(nil, "abcdef", "/", p, t)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := appendEvent(nil, "abcdef", "/", p, t); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, _, err := decodeEvent(payload, "ghijkl"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
