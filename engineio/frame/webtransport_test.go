package frame_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio/frame"
	"pgregory.net/rapid"
)

// The hex is what engine.io-parser 5.2.3 writes, except for the empty binary
// message, which it writes as a frame that it then refuses itself.
func TestWebTransport(t *testing.T) {
	for _, c := range []struct {
		packet frame.Packet
		want   string
	}{
		{text(frame.Message, "hello"), "063468656c6c6f"},
		{text(frame.Message, "€"), "0434e282ac"},
		{text(frame.Ping, "probe"), "063270726f6265"},
		{binary("\x01\x02\x03\x04"), "8401020304"},
		{binary(""), "0162"},
	} {
		got := frame.AppendWebTransport(nil, c.packet)
		if hex.EncodeToString(got) != c.want {
			t.Errorf("AppendWebTransport(%q) = %x, want %s", c.packet.Data, got, c.want)
		}
		p, n, err := frame.DecodeWebTransport(append(got, "rest"...), 0)
		if err != nil || n != len(got) || !same(p, c.packet) {
			t.Errorf("DecodeWebTransport(%s) = %v, %d, %v", c.want, p, n, err)
		}
	}
}

func TestWebTransportLengths(t *testing.T) {
	for n, header := range map[int]string{
		124: "7d", 125: "7e007e", 126: "7e007f", 65534: "7effff",
		65535: "7f0000000000010000", 65536: "7f0000000000010001",
	} {
		whole := frame.AppendWebTransport(nil, text(frame.Message, strings.Repeat("a", n)))
		if got := hex.EncodeToString(whole[:len(whole)-n]); got != header+"34" {
			t.Errorf("%d bytes: header %s, want %s", n, got, header+"34")
		}
		for _, cut := range []int{0, 1, 2, 3, 8, 9, 10, len(whole) - 1} {
			if p, used, err := frame.DecodeWebTransport(whole[:min(cut, len(whole)-1)], 0); used != 0 || err != nil {
				t.Errorf("%d bytes cut at %d: %v, %d, %v, want a request for more", n, cut, p, used, err)
			}
		}
		if p, used, err := frame.DecodeWebTransport(whole, n+1); used != len(whole) || err != nil || len(p.Data) != n {
			t.Errorf("%d bytes: used %d, %v", n, used, err)
		}
		if _, _, err := frame.DecodeWebTransport(whole[:9], n); err != frame.ErrTooLong {
			t.Errorf("%d bytes with a limit one less, header only: %v, want ErrTooLong", n, err)
		}
	}
}

func TestDecodeWebTransportRefuses(t *testing.T) {
	for in, want := range map[string]error{
		"00":                 frame.ErrEmpty,
		"80":                 frame.ErrEmpty,
		"7e0000":             frame.ErrEmpty,
		"7f0000000000000000": frame.ErrEmpty,
		"0139":               frame.ErrType,
		"026221":             frame.ErrBase64,
		"ff0020000000000000": frame.ErrTooLong,
		"7fffffffffffffffff": frame.ErrTooLong,
	} {
		data, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if p, n, err := frame.DecodeWebTransport(data, 0); err != want || n != 0 {
			t.Errorf("%s: %v, %d, %v, want %v", in, p, n, err, want)
		}
	}
	// Longer than need be, and yet what Node accepts.
	for _, in := range []string{"7e000134", "7f000000000000000134"} {
		data, _ := hex.DecodeString(in)
		if p, n, err := frame.DecodeWebTransport(data, 0); err != nil || n != len(data) || !same(p, text(frame.Message, "")) {
			t.Errorf("%s: %v, %d, %v", in, p, n, err)
		}
	}
}

func TestWebTransportRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := packets().Draw(t, "packets")
		var stream []byte
		for _, p := range want {
			stream = frame.AppendWebTransport(stream, p)
		}
		var got []frame.Packet
		for len(stream) > 0 {
			p, n, err := frame.DecodeWebTransport(stream, 0)
			if err != nil || n == 0 {
				t.Fatalf("%x: %d, %v", stream, n, err)
			}
			p.Data = bytes.Clone(p.Data)
			got = append(got, p)
			stream = stream[n:]
		}
		requireSame(t, got, want)
	})
}
