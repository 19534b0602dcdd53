package frame

import "bytes"

// escapedEvent names the events whose data is percent-escaped. Everything else is an
// unnamed event, which EventSource reports as "message".
const escapedEvent = "e"

// AppendSSE appends p to dst as a Server-Sent Event.
func AppendSSE(dst []byte, p Packet) []byte {
	if p.Binary {
		dst = append(dst, "data: "...)
		dst = AppendPacket(dst, p)
		return append(dst, "\n\n"...)
	}
	return appendSSE(dst, '0'+byte(p.Type), p.Data)
}

// AppendSSEText is AppendSSE for a packet that is already in text form. An empty
// text, which is no packet, appends nothing.
//
// The text becomes the event's data, a "data" line for each of its lines. Carriage
// returns and NUL do not survive that, so a text with one of them goes out as an
// event named "e", with "%", CR, LF and NUL written as %25, %0D, %0A and %00.
func AppendSSEText(dst, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	return appendSSE(dst, text[0], text[1:])
}

func appendSSE(dst []byte, first byte, rest []byte) []byte {
	if bytes.IndexByte(rest, '\r') >= 0 || bytes.IndexByte(rest, 0) >= 0 {
		return appendEscapedSSE(dst, first, rest)
	}
	dst = append(dst, "data: "...)
	dst = append(dst, first)
	for {
		line, after, more := bytes.Cut(rest, newline)
		dst = append(dst, line...)
		if !more {
			return append(dst, "\n\n"...)
		}
		dst = append(dst, "\ndata: "...)
		rest = after
	}
}

func appendEscapedSSE(dst []byte, first byte, rest []byte) []byte {
	dst = append(dst, "event: "+escapedEvent+"\ndata: "...)
	dst = append(dst, first)
	for _, c := range rest {
		switch c {
		case '%':
			dst = append(dst, "%25"...)
		case '\r':
			dst = append(dst, "%0D"...)
		case '\n':
			dst = append(dst, "%0A"...)
		case 0:
			dst = append(dst, "%00"...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, "\n\n"...)
}

var (
	newline = []byte{'\n'}
	utf8BOM = []byte("\xef\xbb\xbf")
)

// Events reads a stream of Server-Sent Events. The zero value is ready to use.
//
// It follows the WHATWG description of an event stream: lines end with LF, CR
// or both, comments and unknown fields are skipped, as are events with a name
// that [AppendSSE] does not use.
type Events struct {
	line    []byte // the unfinished line
	data    []byte // the data lines of the unfinished event, joined by LF
	size    int    // bytes of the unfinished event in its finished lines
	hasData bool
	name    eventName
	sawCR   bool // an LF that comes next belongs to the line end before it
	started bool // the first line, which may begin with a BOM, is behind
}

type eventName byte

const (
	plainEvent eventName = iota
	percentEvent
	foreignEvent
)

// Feed takes the next chunk of the stream and calls yield with the packet, in text
// form, of every event that is complete. It is valid only until yield returns.
//
// An event of more than limit bytes is ErrTooLong; a limit of 0 means none. What
// counts is the event as it travels, so leave room for field names, and three
// times the packet for an escaped one. Malformed escapes are ErrEscape. An error of
// yield stops Feed and is returned. After any error the stream is beyond use.
//
// An event that the end of the stream cuts off is never yielded.
func (e *Events) Feed(chunk []byte, limit int, yield func([]byte) error) error {
	for len(chunk) > 0 {
		if e.sawCR {
			e.sawCR = false
			if chunk[0] == '\n' {
				chunk = chunk[1:]
				continue
			}
		}
		end := bytes.IndexAny(chunk, "\r\n")
		line := chunk
		if end >= 0 {
			line = chunk[:end]
		}
		if limit > 0 && e.size+len(e.line)+len(line) > limit {
			return ErrTooLong
		}
		if end < 0 {
			e.line = append(e.line, line...)
			return nil
		}
		e.sawCR = chunk[end] == '\r'
		chunk = chunk[end+1:]
		if len(e.line) > 0 {
			e.line = append(e.line, line...)
			line = e.line
		}
		if !e.started {
			e.started = true
			line = bytes.TrimPrefix(line, utf8BOM)
		}
		if len(line) > 0 {
			e.field(line)
		} else if err := e.dispatch(yield); err != nil {
			return err
		}
		e.line = e.line[:0]
	}
	return nil
}

func (e *Events) field(line []byte) {
	if line[0] == ':' {
		// A comment. Not counted: a server may keep a quiet connection alive
		// with comments alone, and that adds up to no event.
		return
	}
	e.size += len(line) + 1
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "data":
		if e.hasData {
			e.data = append(e.data, '\n')
		}
		e.hasData = true
		e.data = append(e.data, value...)
	case "event":
		switch string(value) {
		case "", "message":
			e.name = plainEvent
		case escapedEvent:
			e.name = percentEvent
		default:
			e.name = foreignEvent
		}
	}
}

func (e *Events) dispatch(yield func([]byte) error) error {
	data, hasData, name := e.data, e.hasData, e.name
	e.data, e.hasData, e.name, e.size = e.data[:0], false, plainEvent, 0
	if !hasData || name == foreignEvent {
		return nil
	}
	if name == percentEvent {
		var ok bool
		if data, ok = unescapeInPlace(data); !ok {
			return ErrEscape
		}
	}
	return yield(data)
}

// unescapeInPlace undoes the escapes that AppendSSE makes, and no others: a "%" that
// is not one of the four is a sign that something on the way has changed the data.
func unescapeInPlace(data []byte) ([]byte, bool) {
	i := bytes.IndexByte(data, '%')
	if i < 0 {
		return data, true
	}
	out := data[:i]
	for i < len(data) {
		c := data[i]
		if c != '%' {
			out = append(out, c)
			i++
			continue
		}
		if len(data)-i < 3 {
			return nil, false
		}
		switch string(data[i+1 : i+3]) {
		case "25":
			c = '%'
		case "0D":
			c = '\r'
		case "0A":
			c = '\n'
		case "00":
			c = 0
		default:
			return nil, false
		}
		out = append(out, c)
		i += 3
	}
	return out, true
}
