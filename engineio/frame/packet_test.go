package frame_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sockeye-io/sockeye/engineio/frame"
	"pgregory.net/rapid"
)

func text(t frame.Type, data string) frame.Packet {
	return frame.Packet{Type: t, Data: []byte(data)}
}

func binary(data string) frame.Packet {
	return frame.Packet{Type: frame.Message, Binary: true, Data: []byte(data)}
}

func same(a, b frame.Packet) bool {
	return a.Type == b.Type && a.Binary == b.Binary && bytes.Equal(a.Data, b.Data)
}

// What engine.io-parser 5.2.3 makes of the same packets.
var wire = []struct {
	packet frame.Packet
	text   string
}{
	{text(frame.Open, `{"sid":"x"}`), `0{"sid":"x"}`},
	{text(frame.Close, ""), "1"},
	{text(frame.Ping, "probe"), "2probe"},
	{text(frame.Pong, "probe"), "3probe"},
	{text(frame.Message, "hello"), "4hello"},
	{text(frame.Message, "€"), "4€"},
	{text(frame.Message, ""), "4"},
	{binary("\x01\x02\x03\x04"), "bAQIDBA=="},
	{binary("\xfb\xff"), "b+/8="},
	{binary(""), "b"},
	{text(frame.Upgrade, ""), "5"},
	{text(frame.Noop, ""), "6"},
}

func TestPacketText(t *testing.T) {
	for _, c := range wire {
		if got := frame.AppendPacket([]byte("before"), c.packet); string(got) != "before"+c.text {
			t.Errorf("AppendPacket(%v) = %q, want %q", c.packet, got, "before"+c.text)
		}
		got, err := frame.DecodePacket([]byte(c.text))
		if err != nil || !same(got, c.packet) {
			t.Errorf("DecodePacket(%q) = %v, %v, want %v", c.text, got, err, c.packet)
		}
	}
}

func TestDecodePacketRefuses(t *testing.T) {
	for in, want := range map[string]error{
		"":           frame.ErrEmpty,
		"7":          frame.ErrType,
		"/":          frame.ErrType,
		"a":          frame.ErrType,
		"B":          frame.ErrType,
		"\x00":       frame.ErrType,
		" 4":         frame.ErrType,
		"b!!!!":      frame.ErrBase64,
		"bA":         frame.ErrBase64,
		"bAQ==AQ==":  frame.ErrBase64,
		"bAQIDBA===": frame.ErrBase64,
		"b\xff\xfe":  frame.ErrBase64,
		"b===":       frame.ErrBase64,
	} {
		if p, err := frame.DecodePacket([]byte(in)); err != want {
			t.Errorf("DecodePacket(%q) = %v, %v, want %v", in, p, err, want)
		}
	}
}

func TestDecodePacketBase64Dialects(t *testing.T) {
	for in, want := range map[string]string{
		"bAQIDBA":       "\x01\x02\x03\x04",
		"bAQIDBA=":      "\x01\x02\x03\x04",
		"b-_8":          "\xfb\xff",
		"b-_8=":         "\xfb\xff",
		"bAQID\r\nBA==": "\x01\x02\x03\x04",
		"b-_\n8":        "\xfb\xff",
	} {
		p, err := frame.DecodePacket([]byte(in))
		if err != nil || string(p.Data) != want || !p.Binary || p.Type != frame.Message {
			t.Errorf("DecodePacket(%q) = %v, %v, want binary %q", in, p, err, want)
		}
	}
}

func TestDecodePacketAliasesInput(t *testing.T) {
	in := []byte("4abc5")
	p, err := frame.DecodePacket(in[:4])
	if err != nil {
		t.Fatal(err)
	}
	if &p.Data[0] != &in[1] {
		t.Error("the data of a text packet was copied")
	}
	_ = append(p.Data, 'X')
	if in[4] != '5' {
		t.Error("appending to a packet's data overwrote the bytes behind it")
	}
}

func TestTypeString(t *testing.T) {
	for typ, want := range map[frame.Type]string{
		frame.Open: "open", frame.Close: "close", frame.Ping: "ping", frame.Pong: "pong",
		frame.Message: "message", frame.Upgrade: "upgrade", frame.Noop: "noop", 7: "unknown", 255: "unknown",
	} {
		if got := typ.String(); got != want {
			t.Errorf("Type(%d) = %q, want %q", typ, got, want)
		}
	}
}

func TestPayload(t *testing.T) {
	var packets []frame.Packet
	var want []byte
	for i, c := range wire {
		if i > 0 {
			want = append(want, frame.Separator)
		}
		want = append(want, c.text...)
		packets = append(packets, c.packet)
	}
	got := frame.AppendPayload(nil, packets)
	if !bytes.Equal(got, want) {
		t.Fatalf("AppendPayload = %q, want %q", got, want)
	}
	decoded, err := decodePayload(got, 0)
	if err != nil || len(decoded) != len(packets) {
		t.Fatalf("DecodePayload = %d packets, %v, want %d", len(decoded), err, len(packets))
	}
	for i := range packets {
		if !same(decoded[i], packets[i]) {
			t.Errorf("packet %d = %v, want %v", i, decoded[i], packets[i])
		}
	}
	if got := frame.AppendPayload([]byte("x"), nil); string(got) != "x" {
		t.Errorf("AppendPayload of nothing appended %q", got)
	}
}

func decodePayload(data []byte, max int) ([]frame.Packet, error) {
	var ps []frame.Packet
	err := frame.DecodePayload(data, max, func(p frame.Packet) error {
		ps = append(ps, p)
		return nil
	})
	return ps, err
}

func TestDecodePayloadStopsAtFirstBadPacket(t *testing.T) {
	for _, c := range []struct {
		in      string
		packets int
		err     error
	}{
		{"", 0, frame.ErrEmpty},
		{"\x1e", 0, frame.ErrEmpty},
		{"4a\x1e", 1, frame.ErrEmpty},
		{"\x1e4a", 0, frame.ErrEmpty},
		{"4a\x1e\x1e4b", 1, frame.ErrEmpty},
		{"4a\x1e9\x1e4b", 1, frame.ErrType},
		{"4a\x1eb!\x1e4b", 1, frame.ErrBase64},
		{"4a\x1e4b\x1ex", 2, frame.ErrType},
		{"4a\x1e4b", 2, nil},
	} {
		ps, err := decodePayload([]byte(c.in), 0)
		if len(ps) != c.packets || err != c.err {
			t.Errorf("DecodePayload(%q) = %d packets, %v, want %d, %v", c.in, len(ps), err, c.packets, c.err)
		}
	}
}

func TestDecodePayloadMax(t *testing.T) {
	three := []byte("4a\x1e4b\x1e4c")
	if ps, err := decodePayload(three, 3); len(ps) != 3 || err != nil {
		t.Errorf("3 packets with max 3: %d, %v", len(ps), err)
	}
	if ps, err := decodePayload(three, 2); len(ps) != 0 || err != frame.ErrTooMany {
		t.Errorf("3 packets with max 2: %d, %v, want none and ErrTooMany", len(ps), err)
	}
}

func TestDecodePayloadReturnsErrorOfYield(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := frame.DecodePayload([]byte("4a\x1e4b\x1e4c"), 0, func(frame.Packet) error {
		n++
		if n == 2 {
			return stop
		}
		return nil
	})
	if err != stop || n != 2 {
		t.Errorf("got %v after %d packets, want stop after 2", err, n)
	}
}

// A megabyte of two-byte packets is the cheapest way to make a decoder work: the
// limit must refuse it before anything is allocated, and without one the cost
// must not grow with the square of the count.
func TestDecodePayloadTinyPackets(t *testing.T) {
	flood := bytes.Repeat([]byte("4\x1e"), 500_000)
	flood = flood[:len(flood)-1]
	none := func(frame.Packet) error { t.Error("a packet of a refused payload was delivered"); return nil }
	if n := testing.AllocsPerRun(5, func() {
		if err := frame.DecodePayload(flood, 10_000, none); err != frame.ErrTooMany {
			t.Errorf("err = %v, want ErrTooMany", err)
		}
	}); n != 0 {
		t.Errorf("refusing the flood took %v allocations", n)
	}
	count := 0
	if n := testing.AllocsPerRun(1, func() {
		count = 0
		if err := frame.DecodePayload(flood, 0, func(frame.Packet) error { count++; return nil }); err != nil {
			t.Error(err)
		}
	}); n != 0 || count != 500_000 {
		t.Errorf("%d packets took %v allocations", count, n)
	}
}

func TestEncodersDoNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 4096)
	packets := []frame.Packet{text(frame.Message, "line 1\nline 2\r%"), binary("\x00\x01"), text(frame.Message, "plain")}
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range packets {
			dst = frame.AppendPacket(dst[:0], p)
			dst = frame.AppendRecord(dst, p)
			dst = frame.AppendSSE(dst, p)
			dst = frame.AppendWebTransport(dst, p)
		}
		dst = frame.AppendPayload(dst, packets)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDecodeTextDoesNotAllocate(t *testing.T) {
	in := []byte("4hello")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := frame.DecodePacket(in); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// packets draws packets whose data survives every form: no Separator in text.
func packets() *rapid.Generator[[]frame.Packet] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) frame.Packet {
		if rapid.Bool().Draw(t, "binary") {
			return frame.Packet{Type: frame.Message, Binary: true, Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
		}
		chars := rapid.SampledFrom([]rune("ab%:\r\n\x00 0D€\u2028\ufeff\"\\"))
		return frame.Packet{
			Type: frame.Type(rapid.IntRange(0, int(frame.Noop)).Draw(t, "type")),
			Data: []byte(string(rapid.SliceOf(chars).Draw(t, "text"))),
		}
	}), 1, 20)
}

func requireSame(t interface{ Fatalf(string, ...any) }, got, want []frame.Packet) {
	if len(got) != len(want) {
		t.Fatalf("got %d packets, want %d", len(got), len(want))
	}
	for i := range want {
		if !same(got[i], want[i]) {
			t.Fatalf("packet %d = %v %q, want %v %q", i, got[i].Type, got[i].Data, want[i].Type, want[i].Data)
		}
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := packets().Draw(t, "packets")
		got, err := decodePayload(frame.AppendPayload(nil, want), len(want))
		if err != nil {
			t.Fatal(err)
		}
		requireSame(t, got, want)
	})
}
