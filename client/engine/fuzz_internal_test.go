package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Seeds are in testdata/fuzz, one folder a function.

func FuzzHandshake(f *testing.F) {
	f.Fuzz(func(t *testing.T, packet []byte) {
		h, err := parseHandshake(packet)
		if err != nil {
			if h.ID != "" {
				t.Errorf("%+v along with %v", h, err)
			}
			return
		}
		if h.ID == "" || h.Interval <= 0 || h.Timeout < 0 || h.MaxPayload < 0 || h.Interval+h.Timeout < h.Interval || h.Interval > maxPeriod {
			t.Errorf("%q was taken for %+v", packet, h)
		}
	})
}

// tape records what a receiver is told.
type tape struct{ said []string }

func (r *tape) Message(binary bool, data []byte) {
	if binary {
		r.said = append(r.said, "b"+string(data))
	} else {
		r.said = append(r.said, "t"+string(data))
	}
}

func (r *tape) Closed(Reason, error) {}

const fuzzLimit = 1000

func fuzzConn() (*Conn, *tape) {
	r := new(tape)
	c := &Conn{maxMessage: fuzzLimit, opened: time.Now(), state: stateOpen, receiver: r, flushing: true, log: slog.New(slog.DiscardHandler), done: make(chan struct{})}
	c.transport = &webSocket{conn: c}
	return c, r
}

// FuzzFeed checks that what arrives is taken the same way however it is cut into
// pieces, and that nothing beyond the limits comes out.
func FuzzFeed(f *testing.F) {
	run := func(data []byte, size int) ([]string, int, error) {
		c, r := fuzzConn()
		w := c.transport.(*webSocket)
		b := new(readBuffer)
		var err error
		for len(data) > 0 && err == nil {
			n := min(size, len(data))
			err = w.feed(b, slices.Clone(data[:n]))
			data = data[n:]
		}
		if len(w.in.message) > fuzzLimit+1 {
			err = errors.New("more is held than the limit")
		}
		pushed := int(c.pushed)
		return r.said, pushed, err
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = max(1, size%64)
		whole, sent, err := run(data, len(data)+1)
		pieces, sentInPieces, errInPieces := run(data, size)
		if !slices.Equal(whole, pieces) || sent != sentInPieces || (err == nil) != (errInPieces == nil) || err != nil && err.Error() != errInPieces.Error() {
			t.Errorf("in one piece %q, %d, %v; in pieces of %d %q, %d, %v", whole, sent, err, size, pieces, sentInPieces, errInPieces)
		}
		for _, m := range whole {
			if len(m)-1 > fuzzLimit || m[0] == 't' && !utf8.ValidString(m) {
				t.Errorf("%.100q came out", m)
			}
		}
	})
}

// FuzzResponse does the same for what polling and streaming read.
func FuzzResponse(f *testing.F) {
	run := func(data string, size int, streams bool) ([]string, error) {
		c, r := fuzzConn()
		p := newPolling(context.Background(), c, nil, streams)
		defer p.kill()
		p.body = io.NopCloser(&pieces{strings.NewReader(data), size})
		for {
			if err := p.readSome(p.take); err != nil {
				return r.said, err
			}
		}
	}
	f.Fuzz(func(t *testing.T, data string, size int, streams bool) {
		size = max(1, size%64)
		whole, err := run(data, pollReadSize, streams)
		cut, errCut := run(data, size, streams)
		if !slices.Equal(whole, cut) || err.Error() != errCut.Error() {
			t.Errorf("in one piece %q, %v; in pieces of %d %q, %v", whole, err, size, cut, errCut)
		}
		for _, m := range whole {
			if len(m)-1 > fuzzLimit || m[0] == 't' && !utf8.ValidString(m) {
				t.Errorf("%.100q came out", m)
			}
		}
	})
}

// pieces reads so many bytes at a time.
type pieces struct {
	io.Reader
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.size)]) }
