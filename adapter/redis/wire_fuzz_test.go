package redis

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
)

func FuzzDecodeEvent(f *testing.F) {
	for _, p := range []*adapter.Packet{
		{Data: jsontext.Value(`["ev",1,{"a":"b"}]`)},
		{Data: jsontext.Value(`["ev",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}},
	} {
		payload, err := appendEvent(nil, "abcdef", "/", p, adapter.Target{Rooms: []string{"a"}, Except: []string{"1"}, Volatile: true})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Add([]byte("\x93\xa6lILULq\x83\xa4type\x02\xa4data\x93\xa2ev\x01\x81\xa1a\xa1b\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"))
	f.Add([]byte("\x92\xa7emitter\x82\xa4type\x02\xa4data\x91\xa2ev"))
	f.Add([]byte("\x93\xa1a\x81\xa4data\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		_, _, p, target, err := decodeEvent(payload, "self")
		if err != nil || p == nil {
			return
		}
		if !isEvent(p.Data) || target.Timeout < 0 {
			t.Fatalf("%s, %+v", p.Data, target)
		}
		// What was understood can be passed on, and is understood again.
		again, err := appendEvent(nil, "other", "/", p, target)
		if err != nil {
			t.Fatalf("%s can't be written: %v", p.Data, err)
		}
		if _, _, p, _, err := decodeEvent(again, "self"); err != nil || p == nil {
			t.Fatalf("%q is not understood: %v", again, err)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	target := &adapter.Target{Rooms: []string{"a"}}
	for _, m := range []*message{
		{UID: "a", RequestID: "r", Type: typeFetch, Target: target},
		{UID: "a", Type: typeJoin, Target: target, Rooms: []string{"b"}},
		{UID: "a", Type: typeDisconnect, Target: target, Close: true},
		{UID: "a", Type: typeServerSide, Data: jsontext.Value(`["ev",{"_placeholder":true,"num":0}]`), Binary: [][]byte{{1}}},
		{UID: "a", RequestID: "r", Type: typeBroadcast, Packet: &adapter.Packet{Data: jsontext.Value(`["ev"]`)}, Target: target},
		{UID: "a", RequestID: "r", Type: typeClientCount, Clients: 3},
		{UID: "a", RequestID: "r", Type: typeAck, Packet: &adapter.Packet{Data: jsontext.Value(`[1,2]`)}},
		{RequestID: "r", Type: typeNone, Sockets: []adapter.Socket{{ID: "s", Rooms: []string{"s"}}}},
	} {
		payload, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Add([]byte(`{"requestId":"r","type":2,"sid":"s","room":1}`))
	f.Add([]byte(`{"type":7,"packet":{"data":[]}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := decodeMessage(payload)
		if err != nil {
			return
		}
		if m.Clients < 0 || (m.Type == typeBroadcast && !isEvent(m.Packet.Data)) || (m.Type == typeAck && m.Packet == nil) {
			t.Fatalf("%+v", m)
		}
	})
}
