//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

var errResponse = errors.New("http: a response this generator can't read")

// nextResponse returns the body of the first HTTP response in b and the response's length, which is 0 when b holds
// only a part of it. The body may alias b.
func nextResponse(b []byte) (status int, body []byte, size int, err error) {
	head, rest, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return 0, nil, 0, nil
	}
	line, headers, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, nil, 0, errResponse
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, 0, errResponse
	}
	length, chunked := 0, false
	for len(headers) > 0 {
		line, headers, _ = bytes.Cut(headers, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return 0, nil, 0, errResponse
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Content-Encoding")):
			return 0, nil, 0, fmt.Errorf("http: encoded as %q", value)
		}
	}
	if chunked {
		body, size, err = chunks(rest)
		if size == 0 || err != nil {
			return 0, nil, 0, err
		}
		return status, body, len(head) + 4 + size, nil
	}
	if len(rest) < length {
		return 0, nil, 0, nil
	}
	return status, rest[:length], len(head) + 4 + length, nil
}

// chunks joins a chunked body without trailers; size 0 means that it is not all there.
func chunks(b []byte) (body []byte, size int, err error) {
	for {
		line, _, ok := bytes.Cut(b[size:], []byte("\r\n"))
		if !ok {
			return nil, 0, nil
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return nil, 0, errResponse
		}
		start := size + len(line) + 2
		size = start + int(n) + 2
		if len(b) < size {
			return nil, 0, nil
		}
		if n == 0 {
			return body, size, nil
		}
		body = append(body, b[start:start+int(n)]...)
	}
}
