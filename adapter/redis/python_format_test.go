package redis

import (
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Messages of the form that python-socketio 5.15.1 and later publish, written by hand: they were not captured from a server.
func TestPythonRead(t *testing.T) {
	for _, tc := range []struct {
		payload, data string
		rooms, skip   []string
		attachments   int
		callback      string
	}{
		{
			`{"method":"emit","event":"e1","data":["x",1],"binary":false,"namespace":"/","room":null,"skip_sid":null,"callback":null,"host_id":"h"}`,
			`["e1","x",1]`, nil, nil, 0, "",
		},
		{
			`{"method":"emit","event":"e2","data":[[{"f":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1},"txt"],"YWI=","Y2Q="],"binary":true,` +
				`"namespace":"/","room":["r1","r2"],"skip_sid":["s1"],"callback":null,"host_id":"h"}`,
			`["e2",{"f":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1},"txt"]`, []string{"r1", "r2"}, []string{"s1"}, 2, "",
		},
		{
			`{"method":"emit","event":"e3","data":[null],"binary":false,"namespace":"/","room":"SID","skip_sid":"s","callback":["SID","/",1],"host_id":"h"}`,
			`["e3"]`, []string{"SID"}, []string{"s"}, 0, `["SID","/",1]`,
		},
		{`{"method":"callback","host_id":"h","sid":"SID","namespace":"/","id":1,"args":["a",null]}`, `["a",null]`, nil, nil, 0, ""},
	} {
		m, err := decodePython(Python515, []byte(tc.payload))
		if err != nil {
			t.Errorf("%s: %v", tc.payload, err)
			continue
		}
		if string(m.packet.Data) != tc.data || len(m.packet.Attachments) != tc.attachments || string(m.callback) != tc.callback ||
			!slices.Equal(m.rooms, tc.rooms) || !slices.Equal(m.skip, tc.skip) || m.hostID != "h" || m.namespace != "/" {
			t.Errorf("%s became %+v with %s", tc.payload, m, m.packet.Data)
		}
	}
}

// What is published for each version. That 5.14 and later read it has not been tried with these versions themselves.
func TestPythonWritten(t *testing.T) {
	emit := []member{{"method", quoted("emit")}, {"event", quoted("e")}}
	binary := jsontext.Value(`{"_placeholder":true,"num":0}`)
	for _, tc := range []struct {
		version     PythonVersion
		args        []jsontext.Value
		attachments [][]byte
		want        string
	}{
		{Python515, nil, nil, `{"method":"emit","event":"e","binary":false,"data":[]}`},
		{Python515, []jsontext.Value{jsontext.Value(`[1]`)}, nil, `{"method":"emit","event":"e","binary":false,"data":[[1]]}`},
		{Python515, []jsontext.Value{binary}, [][]byte{[]byte("ab")}, `{"method":"emit","event":"e","binary":true,"data":[[` + string(binary) + `],"YWI="]}`},
		{Python514, nil, nil, `{"method":"emit","event":"e","binary":false,"data":null}`},
		{Python514, []jsontext.Value{jsontext.Value(`[1]`)}, nil, `{"method":"emit","event":"e","binary":false,"data":[1]}`},
		{Python514, []jsontext.Value{binary}, [][]byte{[]byte("ab")}, `{"method":"emit","event":"e","binary":true,"data":[` + string(binary) + `,"YWI="]}`},
	} {
		got, err := encodePython(tc.version, emit, "data", tc.args, tc.attachments)
		if err != nil || string(got) != tc.want {
			t.Errorf("wrote %s, error %v, want %s", got, err, tc.want)
		}
	}
}
