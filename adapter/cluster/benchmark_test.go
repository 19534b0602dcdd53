package cluster

import (
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
)

func BenchmarkBroadcastMessage(b *testing.B) {
	m := &Message{
		UID: NewUID(), Namespace: "/", Type: Broadcast,
		Packet: &adapter.Packet{Data: []byte(`["msg","` + strings.Repeat("x", 64) + `"]`)},
		Target: adapter.Target{Rooms: []string{"room"}},
	}
	text := m.AppendJSON(nil)
	packed, err := m.AppendMsgpack(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("AppendJSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.AppendJSON(nil)
		}
	})
	b.Run("DecodeJSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeJSON(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("DecodeMsgpack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeMsgpack(packed); err != nil {
				b.Fatal(err)
			}
		}
	})
}
