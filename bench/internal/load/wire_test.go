//go:build linux

package load

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestFramesAreTheCodecs(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		text := bytes.Repeat([]byte("ab€"), n)[:n]
		h, got := codec(t, appendFrame(nil, text))
		ws.Cipher(got, h.Mask, 0)
		if !h.Fin || !h.Masked || h.OpCode != ws.OpText || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: %v", n, h)
		}
	}
}

// codec reads the first frame of b as the WebSocket library does.
func codec(t *testing.T, b []byte) (ws.Header, []byte) {
	t.Helper()
	in := bytes.NewReader(b)
	h, err := ws.ReadHeader(in)
	if err != nil || h.Length > int64(in.Len()) {
		t.Fatalf("the codec says %v, %v", h, err)
	}
	payload := make([]byte, h.Length)
	in.Read(payload)
	return h, payload
}

func FuzzNextFrame(f *testing.F) {
	for _, n := range []int{0, 5, 126, 70000} {
		f.Add(ws.MustCompileFrame(ws.NewTextFrame(make([]byte, n))))
	}
	f.Add([]byte{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add(ws.CompiledCloseNormalClosure)
	f.Fuzz(func(t *testing.T, b []byte) {
		text, n, err := nextFrame(b)
		if err != nil || n == 0 {
			return
		}
		if h, want := codec(t, b); h.OpCode != ws.OpText || !bytes.Equal(want, text) {
			t.Fatalf("the codec says %v", h)
		}
		for i := range min(n, 200) { // a part of a frame is never taken for one
			if _, m, err := nextFrame(b[:i]); m != 0 || err != nil {
				t.Fatalf("%d of %d bytes: %d, %v", i, n, m, err)
			}
		}
	})
}

func FuzzNextResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, body, n, err := nextResponse(b)
		if n < 0 || n > len(b) || len(body) > n {
			t.Fatal(n, len(body))
		}
		if err != nil || n == 0 {
			return
		}
		for i := range n {
			if _, _, m, err := nextResponse(b[:i]); m != 0 || err != nil {
				t.Fatalf("%d of %d bytes: %d, %v", i, n, m, err)
			}
		}
	})
}

func TestResponses(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP":                                     "200 ok 40",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\nmore": "200 ok 64",
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n":                                  "400  47",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok":                                         "0  0",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n":         "0  0",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n":                 "error",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n":                            "error",
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n\r\n":                                         "error",
	} {
		status, body, n, err := nextResponse([]byte(in))
		got := fmt.Sprint(status, " ", string(body), " ", n)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestPayloads(t *testing.T) {
	p, err := newPayload(64)
	if err != nil {
		t.Fatal(err)
	}
	b := p.append(nil, 123, 4567)
	if len(b) != 64 {
		t.Fatalf("%d bytes", len(b))
	}
	if stream, seq, err := p.parse(b); stream != 123 || seq != 4567 || err != nil {
		t.Fatal(stream, seq, err)
	}
	for i := range b { // no byte may change unnoticed
		c := bytes.Clone(b)
		c[i] = 'y'
		if stream, seq, err := p.parse(c); err == nil {
			t.Errorf("byte %d: %d, %d", i, stream, seq)
		}
	}
	ack := append([]byte("4312"), b[:0]...)
	ack = append(append(append(ack, `["`...), b...), `"]`...)
	if id, stream, seq, err := p.parseAck(ack); id != 12 || stream != 123 || seq != 4567 || err != nil {
		t.Fatal(id, stream, seq, err)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := h.quantile(q); got > want || got < want*96/100 {
			t.Errorf("%g: %v, want about %v", q, got, want)
		}
	}
	for _, d := range []time.Duration{0, 1, 31, 32, 33, 63, 64, 1000, time.Hour, 1<<63 - 1} {
		i := bucket(d)
		if bucketStart(i) > d || i+1 < len(h.counts) && bucketStart(i+1) > 0 && bucketStart(i+1) <= d {
			t.Errorf("%d falls into bucket %d, from %d", d, i, bucketStart(i))
		}
	}
}
