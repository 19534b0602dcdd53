package packet_test

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/socketio/packet"
)

func TestMsgpackValues(t *testing.T) {
	for _, v := range []string{`null`, `5`, `"x"`, `[]`, `{"a":[true,-1,{"b":"ü"}]}`} {
		data, err := packet.AppendMsgpackValue([]byte("head"), jsontext.Value(v), nil)
		if err != nil || !bytes.HasPrefix(data, []byte("head")) {
			t.Fatalf("%s: %q, %v", v, data, err)
		}
		got, attachments, err := packet.DecodeMsgpackValue(data[4:], nil)
		if err != nil || string(got) != v || len(attachments) != 0 {
			t.Errorf("%s came back as %s, %v", v, got, err)
		}
	}
	v := jsontext.Value(`[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
	data, err := packet.AppendMsgpackValue(nil, v, [][]byte{{1}, {2}})
	if err != nil || !bytes.Equal(data, []byte{0x92, 0xc4, 1, 2, 0xc4, 1, 1}) {
		t.Fatalf("% x, %v", data, err)
	}
	got, attachments, err := packet.DecodeMsgpackValue(data, nil)
	if err != nil || string(got) != `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]` ||
		len(attachments) != 2 || attachments[0][0] != 2 {
		t.Errorf("%s with %v, %v", got, attachments, err)
	}

	for _, bad := range []string{``, `[`, `1 2`, `{"_placeholder":true,"num":3}`} {
		if data, err := packet.AppendMsgpackValue(nil, jsontext.Value(bad), [][]byte{{1}}); err == nil {
			t.Errorf("%s is % x", bad, data)
		}
	}
	for _, bad := range [][]byte{{}, {0x91}, {1, 2}, {0xc1}} {
		if v, _, err := packet.DecodeMsgpackValue(bad, nil); err == nil {
			t.Errorf("% x is %s", bad, v)
		}
	}
	// A map that looks like a placeholder beside real binary.
	if v, _, err := packet.DecodeMsgpackValue([]byte("\x92\xc4\x01\x01\x82\xacplaceholder?\xc3\xa3num\x05"), nil); err != nil {
		t.Errorf("%s, %v", v, err)
	}
	if v, _, err := packet.DecodeMsgpackValue([]byte("\x92\xc4\x01\x01\x82\xac_placeholder\xc3\xa3num\x05"), nil); err == nil {
		t.Errorf("a false placeholder is %s", v)
	}
}
