package frame_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

func TestAppendSSE(t *testing.T) {
	for _, c := range []struct {
		packet frame.Packet
		want   string
	}{
		{text(frame.Message, "hello"), "data: 4hello\n\n"},
		{text(frame.Ping, ""), "data: 2\n\n"},
		{text(frame.Message, "a\nb\n"), "data: 4a\ndata: b\ndata: \n\n"},
		{text(frame.Message, "50%"), "data: 450%\n\n"},
		{text(frame.Message, "a\rb"), "event: e\ndata: 4a%0Db\n\n"},
		{text(frame.Message, "100%\r\n\x00"), "event: e\ndata: 4100%25%0D%0A%00\n\n"},
		{binary("\x01\x02\x03\x04"), "data: bAQIDBA==\n\n"},
		{binary("\r"), "data: bDQ==\n\n"},
	} {
		if got := frame.AppendSSE([]byte("x"), c.packet); string(got) != "x"+c.want {
			t.Errorf("AppendSSE(%q) = %q, want %q", c.packet.Data, got[1:], c.want)
		}
		if got := frame.AppendSSEText([]byte("x"), frame.AppendPacket(nil, c.packet)); string(got) != "x"+c.want {
			t.Errorf("AppendSSEText(%q) = %q, want %q", c.packet.Data, got[1:], c.want)
		}
	}
}

func TestAppendSSETextOfNothing(t *testing.T) {
	if got := frame.AppendSSEText([]byte("x"), nil); string(got) != "x" {
		t.Errorf("got %q", got)
	}
}

func TestEvents(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"LF", "data: 4a\n\ndata: 4b\n\n", []string{"4a", "4b"}},
		{"CRLF", "data: 4a\r\n\r\ndata: 4b\r\n\r\n", []string{"4a", "4b"}},
		{"CR", "data: 4a\r\rdata: 4b\r\r", []string{"4a", "4b"}},
		{"several lines", "data: 4a\ndata: b\ndata:c\n\n", []string{"4a\nb\nc"}},
		{"only one space goes", "data:  4a\n\n", []string{" 4a"}},
		{"no colon", "data\n\n", []string{""}},
		{"empty data", "data:\n\n", []string{""}},
		{"byte order mark", "\xef\xbb\xbfdata: 4a\n\n", []string{"4a"}},
		{"mark later on is data", "data: 4a\n\n\xef\xbb\xbfdata: 4b\n\n", []string{"4a"}},
		{"comments and other fields", ": hi\nid: 7\nretry: 100\ndata: 4a\nfoo: bar\n\n", []string{"4a"}},
		{"event without data", "event: e\n\ndata: 450%\n\n", []string{"450%"}},
		{"named message", "event: message\ndata: 4a\n\n", []string{"4a"}},
		{"other names are skipped", "event: stats\ndata: 4a\n\ndata: 4b\n\n", []string{"4b"}},
		{"escaped", "event: e\ndata: 4%25%0D%0A%00x\n\n", []string{"4%\r\n\x00x"}},
		{"cut off at the end", "data: 4a\n\ndata: 4b\n", []string{"4a"}},
	} {
		for size := 1; size <= len(c.in); size++ {
			got, err := feed(new(frame.Events), []byte(c.in), size, 0)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s, chunks of %d: %q, %v, want %q", c.name, size, got, err, c.want)
				break
			}
		}
	}
}

func TestEventsBadEscape(t *testing.T) {
	for _, data := range []string{"4%", "4%2", "4%41", "4%0d", "4%%25"} {
		got, err := feed(new(frame.Events), []byte("event: e\ndata: "+data+"\n\n"), 1000, 0)
		if err != frame.ErrEscape || len(got) != 0 {
			t.Errorf("%q: %q, %v, want ErrEscape", data, got, err)
		}
	}
}

func TestEventsLimit(t *testing.T) {
	const limit = 64
	for name, in := range map[string]string{
		"one endless line":       "data: " + strings.Repeat("x", limit),
		"one endless comment":    ":" + strings.Repeat("x", limit),
		"endless data lines":     strings.Repeat("data:\n", limit),
		"endless unknown fields": strings.Repeat("foo\n", limit),
	} {
		for _, size := range []int{1, 7, 1000} {
			if got, err := feed(new(frame.Events), []byte(in), size, limit); err != frame.ErrTooLong || len(got) != 0 {
				t.Errorf("%s, chunks of %d: %q, %v, want ErrTooLong", name, size, got, err)
			}
		}
	}
	quiet := strings.Repeat(": still here\n", 10*limit) + "data: 4a\n\n"
	if got, err := feed(new(frame.Events), []byte(quiet), 5, limit); err != nil || !slices.Equal(got, []string{"4a"}) {
		t.Errorf("comments that keep a connection alive: %q, %v", got, err)
	}
}

// Line ends of the other kind must not be searched for again and again.
func TestEventsManyLines(t *testing.T) {
	for _, end := range []string{"\n", "\r", "\r\n"} {
		in := bytes.Repeat([]byte("data: 4"+end+end), 100_000)
		n := 0
		err := new(frame.Events).Feed(in, 100, func(b []byte) error { n++; return nil })
		if err != nil || n != 100_000 {
			t.Errorf("line end %q: %d events, %v", end, n, err)
		}
	}
}
