package redis

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestPythonFormats(t *testing.T) {
	emit := []member{
		{"method", quoted("emit")}, {"namespace", quoted("/")}, {"event", quoted("e")}, {"room", quotedList([]string{"a", "b"})},
		{"skip_sid", quotedList([]string{"s"})}, {"callback", jsontext.Value("null")}, {"host_id", quoted("h")},
	}
	for _, version := range []PythonVersion{Python515, Python514, PythonPickle} {
		for _, args := range [][]jsontext.Value{
			nil, {jsontext.Value(`"x"`)}, {jsontext.Value(`[1,2]`)}, {jsontext.Value(`{"a":[true,false,null,-1.5,3000000000,7]}`)},
			{jsontext.Value(`{"f":{"_placeholder":true,"num":0}}`)}, {jsontext.Value(`1`), jsontext.Value(`"y"`)},
		} {
			var attachments [][]byte
			if len(args) > 0 && bytes.Contains(args[0], []byte("placeholder")) {
				attachments = [][]byte{{1, 2, 3}}
			}
			payload, err := encodePython(version, emit, "data", args, attachments)
			if err != nil {
				t.Fatal(err)
			}
			m, err := decodePython(version, payload)
			if err != nil {
				t.Fatalf("%q: %v", payload, err)
			}
			want := joined(append([]jsontext.Value{jsontext.Value(`"e"`)}, args...))
			if version == Python514 && len(args) == 2 {
				want = jsontext.Value(`["e",[1,"y"]]`) // as the documentation says
			}
			if string(m.packet.Data) != string(want) || len(m.packet.Attachments) != len(attachments) {
				t.Errorf("version %d: sent %s, received %s with %d attachments", version, want, m.packet.Data, len(m.packet.Attachments))
			}
			if m.hostID != "h" || m.namespace != "/" || !slices.Equal(m.rooms, []string{"a", "b"}) || !slices.Equal(m.skip, []string{"s"}) {
				t.Errorf("version %d: received %+v", version, m)
			}
		}
	}
}

func TestPicklesThatMakeObjects(t *testing.T) {
	for _, in := range []string{
		"cos\nsystem\n(S'true'\ntR.",                             // a call
		"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", // one of protocol 4
		"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",                // contains itself
		"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",          // longer than it is
	} {
		v, err := unpickle([]byte(in))
		if err == nil {
			_, err = (&translator{budget: 1 << 16}).append(nil, v, 0)
		}
		if err == nil {
			t.Errorf("%q was taken", in)
		}
	}
	// Each list has the one before ten times.
	bomb := "\x80\x02]q\x00"
	for range 20 {
		bomb += "](" + strings.Repeat("h\x00", 10) + "eq\x00"
	}
	bomb += "\x85."
	if v, err := unpickle([]byte(bomb)); err == nil {
		if _, err := (&translator{budget: 1 << 16}).append(nil, v, 0); err == nil {
			t.Error("a bomb was taken")
		}
	}
}

func FuzzPython(f *testing.F) {
	f.Add(byte(0), []byte(`{"method":"emit","event":"e","data":[[{"f":{"_placeholder":true,"num":0}},"t"],"YWI="],"binary":true,"namespace":"/","room":["r1","r2"],"skip_sid":"s","callback":["SID","/",1],"host_id":"h"}`))
	f.Add(byte(1), []byte(`{"method":"callback","host_id":"h","sid":"SID","namespace":"/","id":1,"args":[1]}`))
	f.Add(byte(0), []byte(`{"method":"close_room","room":"r"}`))
	f.Add(byte(2), []byte("\x80\x04\x95\x20\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\x05event\x94\x8c\x01e\x94\x8c\x04data\x94K\x01C\x02ab\x94\x86\x94u."))
	f.Fuzz(func(t *testing.T, version byte, payload []byte) {
		m, err := decodePython(PythonVersion(version%3), payload)
		if err != nil || m.packet == nil {
			return
		}
		if !m.packet.Data.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			t.Fatalf("%q became %q", payload, m.packet.Data)
		}
	})
}
