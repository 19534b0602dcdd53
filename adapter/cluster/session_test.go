package cluster_test

import (
	"reflect"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

func TestSession(t *testing.T) {
	for _, s := range []adapter.Session{
		{SID: "sid", PID: "pid", Rooms: []string{"sid", "r\""}, Data: jsontext.Value(`{"a":[1,"x"]}`), Namespace: "/n",
			Owner: "me", Away: true, Start: "1-0", At: "2-0", Floor: "1-1", Stays: []adapter.Stay{{Room: "r\"", Since: "1-0"}, {Room: "q", Since: "1-0", Until: "1-5"}}},
		{SID: "sid", PID: "pid", Rooms: []string{"sid"}, Namespace: "/"},
	} {
		data, err := cluster.AppendSession(nil, &s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cluster.DecodeSession(data)
		if err != nil || !reflect.DeepEqual(*got, s) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, s)
		}
	}
}

// FuzzDecodeSession has what is decoded decode to the same when it is encoded again.
func FuzzDecodeSession(f *testing.F) {
	data, _ := cluster.AppendSession(nil, &adapter.Session{SID: "s", PID: "p", Rooms: []string{"s"}, Stays: []adapter.Stay{{Room: "r"}}})
	f.Add(data)
	f.Add([]byte("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x91\xa1s\xa4data\x80")) // of a Node server
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := cluster.DecodeSession(data)
		if err != nil {
			return
		}
		again, err := cluster.AppendSession(nil, s)
		if err != nil {
			t.Fatal(err)
		}
		same, err := cluster.DecodeSession(again)
		if err != nil || same.SID != s.SID || same.PID != s.PID || len(same.Rooms) != len(s.Rooms) || len(same.Stays) != len(s.Stays) {
			t.Fatalf("%+v became %+v, %v", s, same, err)
		}
	})
}
