package engineio

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"
)

// deflateTail is what a sender of permessage-deflate leaves out (RFC 7692,
// section 7.2.1), followed by an empty final block that ends the stream.
var deflateTail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}

var (
	deflaters sync.Map // level → *sync.Pool of *flate.Writer
	inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}
)

// deflatedFrame is the compressed frame, made once for all sessions.
func (m *Message) deflatedFrame(level int) []byte {
	if p := m.deflated.Load(); p != nil {
		return *p
	}
	pool, ok := deflaters.Load(level)
	if !ok {
		pool, _ = deflaters.LoadOrStore(level, &sync.Pool{New: func() any {
			w, _ := flate.NewWriter(nil, level) // the level was checked
			return w
		}})
	}
	w := pool.(*sync.Pool).Get().(*flate.Writer)
	buf := bytes.NewBuffer(make([]byte, headerRoom, headerRoom+len(m.body())/2+16))
	w.Reset(buf)
	_, err := w.Write(m.body())
	if err == nil {
		err = w.Flush()
	}
	pool.(*sync.Pool).Put(w)
	f := m.frame()
	if err == nil {
		b := buf.Bytes()
		b = b[:len(b)-4] // the 00 00 ff ff of the flush
		start := headerRoom - putFrameHeader(b[:headerRoom], m.opcode(), 4, len(b)-headerRoom)
		f = b[start:]
	}
	m.deflated.Store(&f)
	return f
}

// inflate decompresses a message of at most limit bytes.
func inflate(dst *bytes.Buffer, payload []byte, limit int) error {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	source := io.MultiReader(bytes.NewReader(payload), bytes.NewReader(deflateTail))
	if err := r.(flate.Resetter).Reset(source, nil); err != nil {
		return errBadInflate
	}
	n, err := dst.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return errBadInflate
	}
	if n > int64(limit) {
		return errTooLarge
	}
	return nil
}
