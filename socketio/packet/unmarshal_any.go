package packet

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// decodeAny decodes v into the types that encoding/json uses for any, and binary into []byte.
func decodeAny(v jsontext.Value, attachments [][]byte) (any, error) {
	d := anyDecoder{scanner: scanner{data: v, depth: maxEncodeDepth}, attachments: attachments}
	got, end, err := d.value(skipSpace(v, 0))
	if err != nil {
		return nil, err
	}
	if skipSpace(v, end) != len(v) {
		return nil, ErrPayload
	}
	return got, nil
}

type anyDecoder struct {
	scanner     scanner
	attachments [][]byte
}

func (d *anyDecoder) value(i int) (v any, end int, err error) {
	data := d.scanner.data
	if i >= len(data) {
		return nil, i, ErrPayload
	}
	switch data[i] {
	case '{':
		return d.object(i)
	case '[':
		return d.array(i)
	}
	if end, err = d.scanner.value(i); err != nil {
		return nil, end, err
	}
	switch data[i] {
	case '"':
		return string(unquote(data[i:end])), end, nil
	case 't', 'f':
		return data[i] == 't', end, nil
	case 'n':
		return nil, end, nil
	}
	f, err := strconv.ParseFloat(string(data[i:end]), 64)
	if err != nil {
		return nil, end, fmt.Errorf("number %.40s is out of range", data[i:end])
	}
	return f, end, nil
}

func (d *anyDecoder) array(i int) (any, int, error) {
	data := d.scanner.data
	if d.scanner.depth--; d.scanner.depth < 0 {
		return nil, i, ErrDepth
	}
	values := []any{}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == ']' {
		d.scanner.depth++
		return values, i + 1, nil
	}
	for {
		v, end, err := d.value(i)
		if err != nil {
			return nil, end, err
		}
		values = append(values, v)
		i = skipSpace(data, end)
		if i >= len(data) {
			return nil, i, ErrPayload
		}
		switch data[i] {
		case ',':
			i = skipSpace(data, i+1)
		case ']':
			d.scanner.depth++
			return values, i + 1, nil
		default:
			return nil, i, ErrPayload
		}
	}
}

func (d *anyDecoder) object(i int) (any, int, error) {
	data := d.scanner.data
	if d.scanner.depth--; d.scanner.depth < 0 {
		return nil, i, ErrDepth
	}
	members := map[string]any{}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		d.scanner.depth++
		return members, i + 1, nil
	}
	var found placeholder
	for {
		if i >= len(data) || data[i] != '"' {
			return nil, i, ErrPayload
		}
		nameEnd, err := d.scanner.string(i)
		if err != nil {
			return nil, i, err
		}
		name := data[i:nameEnd]
		i = skipSpace(data, nameEnd)
		if i >= len(data) || data[i] != ':' {
			return nil, i, ErrPayload
		}
		i = skipSpace(data, i+1)
		v, end, err := d.value(i)
		if err != nil {
			return nil, end, err
		}
		members[string(unquote(name))] = v
		if len(d.attachments) > 0 {
			found.member(name, data[i:end])
		}
		i = skipSpace(data, end)
		if i >= len(data) {
			return nil, i, ErrPayload
		}
		switch data[i] {
		case ',':
			i = skipSpace(data, i+1)
		case '}':
			d.scanner.depth++
			if found.yes {
				index, err := found.index(len(d.attachments))
				if err != nil {
					return nil, i, err
				}
				return d.attachments[index], i + 1, nil
			}
			return members, i + 1, nil
		default:
			return nil, i, ErrPayload
		}
	}
}
