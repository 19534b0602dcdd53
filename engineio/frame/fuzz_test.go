package frame_test

import (
	"bytes"
	"testing"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// Seeds are in testdata/fuzz, one folder a function.

func FuzzDecodePacket(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := frame.DecodePacket(data)
		if err != nil {
			return
		}
		if p.Type > frame.Noop || p.Binary && p.Type != frame.Message {
			t.Fatalf("impossible packet %v", p)
		}
		again, err := frame.DecodePacket(frame.AppendPacket(nil, p))
		if err != nil || !same(again, p) {
			t.Fatalf("%v comes back as %v, %v", p, again, err)
		}
	})
}

func FuzzDecodePayload(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, max int) {
		var ps []frame.Packet
		err := frame.DecodePayload(data, max, func(p frame.Packet) error {
			ps = append(ps, p)
			return nil
		})
		if max > 0 && len(ps) > max {
			t.Fatalf("%d packets, the limit is %d", len(ps), max)
		}
		if err != nil {
			return
		}
		again, err := decodePayload(frame.AppendPayload(nil, ps), max)
		if err != nil {
			t.Fatal(err)
		}
		requireSame(t, again, ps)
	})
}

func FuzzRecords(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, size, limit int) {
		fuzzSplitter(t, func() splitter { return new(frame.Records) }, data, size, limit)
	})
}

func FuzzEvents(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, size, limit int) {
		fuzzSplitter(t, func() splitter { return new(frame.Events) }, data, size, limit)
	})
}

// fuzzSplitter checks that the way a stream is cut into chunks changes nothing and that
// nothing longer than the limit comes out.
func fuzzSplitter(t *testing.T, fresh func() splitter, data []byte, size, limit int) {
	size = max(1, size)
	whole, wholeErr := feed(fresh(), data, max(1, len(data)), limit)
	cut, cutErr := feed(fresh(), data, size, limit)
	if wholeErr != cutErr {
		t.Fatalf("in one piece: %v, in pieces of %d: %v", wholeErr, size, cutErr)
	}
	if len(whole) != len(cut) {
		t.Fatalf("in one piece: %q, in pieces of %d: %q", whole, size, cut)
	}
	for i := range whole {
		if whole[i] != cut[i] {
			t.Fatalf("in one piece: %q, in pieces of %d: %q", whole[i], size, cut[i])
		}
		if limit > 0 && len(whole[i]) > limit {
			t.Fatalf("%d bytes came out, the limit is %d", len(whole[i]), limit)
		}
	}
}

func FuzzDecodeWebTransport(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, max int) {
		p, n, err := frame.DecodeWebTransport(data, max)
		if n < 0 || n > len(data) || err != nil && n != 0 {
			t.Fatalf("n = %d of %d, err = %v", n, len(data), err)
		}
		if n == 0 {
			return
		}
		if max > 0 && len(p.Data) > max {
			t.Fatalf("%d bytes of data, the limit is %d", len(p.Data), max)
		}
		again, _, err := frame.DecodeWebTransport(frame.AppendWebTransport(nil, p), 0)
		if err != nil || !same(again, p) {
			t.Fatalf("%v comes back as %v, %v", p, again, err)
		}
		// A longer buffer does not change what is at its start.
		longer, m, err := frame.DecodeWebTransport(append(bytes.Clone(data), "rest"...), max)
		if err != nil || m != n || !same(longer, p) {
			t.Fatalf("with more behind it: %v, %d, %v", longer, m, err)
		}
	})
}
