package nats

import "testing"

// What a stream delivers must not do harm, whoever wrote it.
func FuzzLog(f *testing.F) {
	f.Add(append(make([]byte, stampSize), asOperation, '{', '}'))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01" +
		`{"type":3,"data":{"packet":{"type":2,"data":["x"]},"opts":{"rooms":["r"]}},"uid":"u","nsp":"/"}`))
	f.Add([]byte("mwswpxsk-12"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x82\xa3sid\xa1s\xa3pid\xa1p"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeLogged(data)
		if err == nil && (e.message == nil) == (e.operation.Kind == 0) {
			t.Errorf("%+v is neither a message nor an operation", e)
		}
		if s, _, err := decodeSession(data); err == nil && (s.SID == "" || s.PID == "") {
			t.Errorf("session %+v has no name", s)
		}
		if p, err := parsePosition(string(data)); err == nil && p.String() != string(data) {
			t.Errorf("position %q is %q", data, p)
		}
	})
}
