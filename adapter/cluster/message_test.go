package cluster_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

func packetOf(data string, attachments ...[]byte) *adapter.Packet {
	return &adapter.Packet{Data: jsontext.Value(data), Attachments: attachments}
}

var target = adapter.Target{
	Rooms: []string{"a", "b"}, Except: []string{"c"}, Volatile: true, NoCompress: true, Timeout: 1500 * time.Millisecond,
}

var messages = map[string]*cluster.Message{
	"initial heartbeat": {Type: cluster.InitialHeartbeat},
	"heartbeat":         {Type: cluster.Heartbeat},
	"broadcast":         {Type: cluster.Broadcast, Packet: packetOf(`["ev",1,"ü\"<"]`), Target: target},
	"binary": {
		Type: cluster.Broadcast, Packet: packetOf(`["ev",{"x":{"_placeholder":true,"num":0}}]`, []byte("\x00\xff")),
	},
	"with acks": {
		Type: cluster.Broadcast, RequestID: "r", Packet: packetOf(`["ev"]`), Target: adapter.Target{Timeout: time.Second},
		Leavers: true,
	},
	"join":       {Type: cluster.Join, Target: target, Rooms: []string{"x", "y"}},
	"leave":      {Type: cluster.Leave, Target: target, Rooms: []string{"x"}},
	"disconnect": {Type: cluster.Disconnect, Target: target, Close: true},
	"fetch":      {Type: cluster.FetchSockets, RequestID: "r", Target: target},
	"sockets": {Type: cluster.SocketsResponse, RequestID: "r", Sockets: []adapter.Socket{{
		ID: "s", Rooms: []string{"s", "a"}, Data: jsontext.Value(`{"a":1}`),
		Handshake: adapter.Handshake{
			Headers: map[string]string{"host": "h"}, Time: "t", Address: "::1", XDomain: true, Secure: true,
			Issued: 5, URL: "/", Query: map[string]string{"EIO": "4"}, Auth: jsontext.Value(`{"t":"x"}`),
		},
	}}},
	"server side":     {Type: cluster.ServerSideEmit, Packet: packetOf(`["ev","x"]`)},
	"server side ack": {Type: cluster.ServerSideEmit, RequestID: "r", Packet: packetOf(`["ev"]`)},
	"answer":          {Type: cluster.ServerSideResponse, RequestID: "r", Packet: packetOf(`[5]`)},
	"clients":         {Type: cluster.BroadcastClientCount, RequestID: "r", Clients: 7},
	"ack":             {Type: cluster.BroadcastAck, RequestID: "r", Packet: packetOf(`["x"]`)},
	"ack of none":     {Type: cluster.BroadcastAck, RequestID: "r", Packet: packetOf(`[]`)},
	"ack of many":     {Type: cluster.BroadcastAck, RequestID: "r", Packet: packetOf(`[1,[2],3]`)},
	"binary ack": {
		Type: cluster.BroadcastAck, RequestID: "r", Packet: packetOf(`[{"_placeholder":true,"num":0}]`, []byte("x")),
	},
	"left":    {Type: cluster.BroadcastAck, RequestID: "r", Left: true},
	"goodbye": {Type: cluster.Goodbye},
}

func TestMessagesComeBack(t *testing.T) {
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			m.UID, m.Namespace = "0123456789abcdef", "/chat"
			text := m.AppendJSON(nil)
			if !json.Valid(text) {
				t.Fatalf("not JSON: %s", text)
			}
			if !m.Binary() {
				got, err := cluster.DecodeJSON(text)
				if err != nil || !reflect.DeepEqual(got, m) {
					t.Errorf("got %+v of %s, %v", got, text, err)
				}
			}
			data, err := m.AppendMsgpack(nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cluster.DecodeMsgpack(data)
			if err != nil || !reflect.DeepEqual(got, m) {
				t.Errorf("got %+v of msgpack, %v", got, err)
			}
			if part := m.AppendData(nil); len(part) > 0 && !m.Binary() {
				got := &cluster.Message{UID: m.UID, Namespace: m.Namespace, Type: m.Type}
				if err := got.DecodeData(part); err != nil || !reflect.DeepEqual(got, m) {
					t.Errorf("got %+v of %s, %v", got, part, err)
				}
			}
		})
	}
}

// What Node writes, as it was seen on the wire.
func TestMessagesOfNode(t *testing.T) {
	for text, want := range map[string]*cluster.Message{
		`{"type":3,"data":{"packet":{"type":2,"data":["ev","x"]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"4e882ec5135ffec6","nsp":"/"}`: {
			UID: "4e882ec5135ffec6", Namespace: "/", Type: cluster.Broadcast, Packet: packetOf(`["ev","x"]`),
		},
		// An emitter names the namespace in the packet.
		`{"type":3,"data":{"packet":{"type":2,"data":["ev","from emitter"],"nsp":"/"},"opts":{"rooms":[],"flags":{},"except":[]}},"uid":"emitter"}`: {
			UID: "emitter", Namespace: "/", Type: cluster.Broadcast, Packet: packetOf(`["ev","from emitter"]`),
		},
		// Rooms may be numbers; unknown flags are ignored.
		`{"type":4,"data":{"opts":{"rooms":[1,"b"],"except":[2.5],"flags":{"broadcast":true,"compress":true}},"rooms":["x",3]},"uid":"u","nsp":"/n"}`: {
			UID: "u", Namespace: "/n", Type: cluster.Join, Target: adapter.Target{Rooms: []string{"1", "b"}, Except: []string{"2.5"}},
			Rooms: []string{"x", "3"},
		},
		// An answer of undefined is left out.
		`{"type":12,"data":{"requestId":"r"},"uid":"u","nsp":"/"}`: {
			UID: "u", Namespace: "/", Type: cluster.BroadcastAck, RequestID: "r", Packet: packetOf(`[]`),
		},
	} {
		got, err := cluster.DecodeJSON([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis %+v, %v", text, got, err)
		}
	}
}

func TestNotMessages(t *testing.T) {
	for _, text := range []string{
		``, `5`, `[]`, `{"type":3}`, `{"type":3,"data":{"packet":{"data":[]}}}`, `{"type":3,"data":{"packet":{"data":[{}]}}}`,
		`{"type":9,"data":{"packet":{}}}`, `{"type":"x"}`, `{"type":7,"data":{"opts":{"rooms":[}}}`, `{"type":300}`,
	} {
		if m, err := cluster.DecodeJSON([]byte(text)); err == nil {
			t.Errorf("%s is %+v", text, m)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range messages {
		f.Add(m.AppendJSON(nil))
		data, err := m.AppendMsgpack(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(m *cluster.Message, err error) {
			if err != nil {
				return
			}
			// What was understood can be passed on, and is understood the same way.
			text, err := m.AppendMsgpack(nil)
			if err != nil {
				t.Fatalf("%+v: %v", m, err)
			}
			again, err := cluster.DecodeMsgpack(text)
			if err != nil {
				t.Fatalf("%+v: %v", m, err)
			}
			if len(again.Sockets) != len(m.Sockets) || again.Type != m.Type || again.RequestID != m.RequestID {
				t.Fatalf("%+v became %+v", m, again)
			}
		}
		check(cluster.DecodeJSON(data))
		check(cluster.DecodeMsgpack(data))
	})
}
