package frame_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio/frame"
	"pgregory.net/rapid"
)

// splitter is what Records and Events have in common.
type splitter interface {
	Feed(chunk []byte, limit int, yield func([]byte) error) error
}

// feed gives s the stream in chunks of at most size bytes, each wiped as soon as Feed
// returns, the way a reused read buffer is.
func feed(s splitter, stream []byte, size, limit int) ([]string, error) {
	var got []string
	for len(stream) > 0 {
		n := min(size, len(stream))
		chunk := bytes.Clone(stream[:n])
		err := s.Feed(chunk, limit, func(b []byte) error {
			got = append(got, string(b))
			return nil
		})
		if err != nil {
			return got, err
		}
		clear(chunk)
		stream = stream[n:]
	}
	return got, nil
}

func TestRecords(t *testing.T) {
	var stream []byte
	for _, c := range wire {
		stream = frame.AppendRecord(stream, c.packet)
	}
	for size := 1; size <= len(stream); size++ {
		got, err := feed(new(frame.Records), stream, size, 0)
		if err != nil || len(got) != len(wire) {
			t.Fatalf("chunks of %d: %q, %v", size, got, err)
		}
		for i, c := range wire {
			if got[i] != c.text {
				t.Fatalf("chunks of %d: record %d = %q, want %q", size, i, got[i], c.text)
			}
		}
	}
}

func TestRecordsKeepUnfinished(t *testing.T) {
	var r frame.Records
	got, err := feed(&r, []byte("4one\x1e4tw"), 100, 0)
	if err != nil || strings.Join(got, "|") != "4one" {
		t.Fatalf("%q, %v", got, err)
	}
	got, err = feed(&r, []byte("o\x1e\x1e"), 100, 0)
	if err != nil || strings.Join(got, "|") != "4two|" {
		t.Fatalf("%q, %v, want the finished record and an empty one", got, err)
	}
}

func TestRecordsLimit(t *testing.T) {
	for size := 1; size <= 8; size++ {
		if got, err := feed(new(frame.Records), []byte("4abc\x1e4def\x1e"), size, 4); err != nil || len(got) != 2 {
			t.Errorf("chunks of %d: records at the limit: %q, %v", size, got, err)
		}
		got, err := feed(new(frame.Records), []byte("4abc\x1e4defg"), size, 4)
		if err != frame.ErrTooLong || len(got) != 1 {
			t.Errorf("chunks of %d: unfinished record over the limit: %q, %v, want ErrTooLong", size, got, err)
		}
	}
}

func TestSplittersReturnErrorOfYield(t *testing.T) {
	stop := errors.New("stop")
	for in, s := range map[string]splitter{
		"4a\x1e4b\x1e":             new(frame.Records),
		"data: 4a\n\ndata: 4b\n\n": new(frame.Events),
	} {
		n := 0
		err := s.Feed([]byte(in), 0, func([]byte) error { n++; return stop })
		if err != stop || n != 1 {
			t.Errorf("%T: %v after %d calls, want stop after 1", s, err, n)
		}
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { roundTrip(t, new(frame.Records), frame.AppendRecord) })
}

func TestEventsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { roundTrip(t, new(frame.Events), frame.AppendSSE) })
}

func roundTrip(t *rapid.T, s splitter, encode func([]byte, frame.Packet) []byte) {
	want := packets().Draw(t, "packets")
	var stream []byte
	for _, p := range want {
		stream = encode(stream, p)
	}
	size := rapid.IntRange(1, len(stream)).Draw(t, "chunk")
	records, err := feed(s, stream, size, len(stream))
	if err != nil {
		t.Fatal(err)
	}
	var got []frame.Packet
	for _, r := range records {
		p, err := frame.DecodePacket([]byte(r))
		if err != nil {
			t.Fatalf("%q: %v", r, err)
		}
		got = append(got, p)
	}
	requireSame(t, got, want)
}
