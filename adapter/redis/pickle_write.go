package redis

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// appendPickle appends the opcodes for a JSON value, whose placeholders become bytes. Protocol 3, which is the first that
// has bytes, is enough.
func appendPickle(dst []byte, v jsontext.Value, attachments [][]byte) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	return pickleNext(dst, d, attachments)
}

func pickleNext(dst []byte, d *jsontext.Decoder, attachments [][]byte) ([]byte, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return append(dst, 'N'), nil
	case 't':
		return append(dst, 0x88), nil
	case 'f':
		return append(dst, 0x89), nil
	case '"':
		return pickleText(dst, token.String()), nil
	case '0':
		return pickleNumber(dst, token.String())
	case '[':
		dst = append(dst, ']', '(')
		for d.PeekKind() != ']' {
			if dst, err = pickleNext(dst, d, attachments); err != nil {
				return nil, err
			}
		}
		_, err = d.ReadToken()
		return append(dst, 'e'), err
	}
	start := len(dst)
	dst = append(dst, '}', '(')
	isPlaceholder, index := false, -1
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		dst = pickleText(dst, key)
		kind := d.PeekKind()
		if key == "_placeholder" {
			isPlaceholder = kind == 't'
		}
		if key == "num" && kind == '0' {
			value, err := d.ReadValue()
			if err != nil {
				return nil, err
			}
			if n, err := strconv.Atoi(string(value)); err == nil {
				index = n
			}
			if dst, err = pickleNumber(dst, string(value)); err != nil {
				return nil, err
			}
			continue
		}
		if dst, err = pickleNext(dst, d, attachments); err != nil {
			return nil, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if isPlaceholder && index >= 0 && index < len(attachments) {
		b := attachments[index]
		dst = binary.LittleEndian.AppendUint32(append(dst[:start], 'B'), uint32(len(b)))
		return append(dst, b...), nil
	}
	return append(dst, 'u'), nil
}

func pickleText(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, 'X'), uint32(len(s)))
	return append(dst, s...)
}

func pickleNumber(dst []byte, text string) ([]byte, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n == int64(int32(n)) {
			return binary.LittleEndian.AppendUint32(append(dst, 'J'), uint32(n)), nil
		}
		return binary.LittleEndian.AppendUint64(append(dst, 0x8a, 8), uint64(n)), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(append(dst, 'G'), math.Float64bits(f)), nil
}
