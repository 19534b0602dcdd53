package emitter_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/adapter/emitter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

var _ emitter.Sender = adapter.Adapter(nil)

func TestMessages(t *testing.T) {
	var sent *cluster.Message
	e := emitter.New(emitter.Messages("chat", func(m *cluster.Message) error { sent = m; return nil }))
	blob := []byte("bin")
	room := e.To("a").In("b").Except("c")
	target := adapter.Target{Rooms: []string{"a", "b"}, Except: []string{"c"}}
	loud := target
	loud.Volatile, loud.NoCompress = true, true
	for _, tc := range []struct {
		name string
		do   func() error
		want cluster.Message
	}{
		{"emit", func() error { return room.Emit("ev", 1, blob) }, cluster.Message{Type: cluster.Broadcast, Target: target, Packet: &adapter.Packet{
			Data: []byte(`["ev",1,{"_placeholder":true,"num":0}]`), Attachments: [][]byte{[]byte("bin")},
		}}},
		{"options", func() error { return room.Volatile().Compress(false).Emit("ev") },
			cluster.Message{Type: cluster.Broadcast, Target: loud, Packet: &adapter.Packet{Data: []byte(`["ev"]`)}}},
		{"join", func() error { return room.Join("x", "y") }, cluster.Message{Type: cluster.Join, Target: target, Rooms: []string{"x", "y"}}},
		{"leave", func() error { return e.Leave("x") }, cluster.Message{Type: cluster.Leave, Rooms: []string{"x"}}},
		{"disconnect", func() error { return room.Disconnect(true) }, cluster.Message{Type: cluster.Disconnect, Target: target, Close: true}},
		{"server side", func() error { return e.ServerSideEmit("ev", "[") },
			cluster.Message{Type: cluster.ServerSideEmit, Packet: &adapter.Packet{Data: []byte(`["ev","["]`)}}},
	} {
		sent = nil
		if err := tc.do(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		tc.want.UID, tc.want.Namespace = "emitter", "/chat"
		if !reflect.DeepEqual(sent, &tc.want) {
			t.Errorf("%s sent %+v, want %+v", tc.name, sent, tc.want)
		}
	}
	if err := e.Emit("disconnect"); !errors.Is(err, packet.ErrReserved) {
		t.Errorf("a reserved name: %v", err)
	}
	sent = nil
	if err := errors.Join(e.Join(), e.Leave(), e.Emit("ev", make(chan int))); err == nil || sent != nil {
		t.Errorf("%v, %+v", err, sent)
	}
}

func TestCopies(t *testing.T) {
	var rooms [][]string
	e := emitter.New(emitter.Messages("/", func(m *cluster.Message) error { rooms = append(rooms, m.Target.Rooms); return nil })).To("a", "b", "c")
	x, y := e.To("x"), e.To("y")
	_, _, _ = x.Emit("ev"), y.Emit("ev"), e.Emit("ev")
	if want := [][]string{{"a", "b", "c", "x"}, {"a", "b", "c", "y"}, {"a", "b", "c"}}; !reflect.DeepEqual(rooms, want) {
		t.Errorf("%q", rooms)
	}
}

func TestBytesAreCopied(t *testing.T) {
	var p *adapter.Packet
	blob := []byte("bin")
	if err := emitter.New(emitter.Messages("/", func(m *cluster.Message) error { p = m.Packet; return nil })).Emit("ev", blob); err != nil {
		t.Fatal(err)
	}
	blob[0] = 'X'
	if string(p.Attachments[0]) != "bin" {
		t.Error("the packet has the caller's bytes")
	}
}
