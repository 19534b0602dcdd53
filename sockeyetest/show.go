package sockeyetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// How much of a value is shown, in bytes: within a line among others, and where it is the matter.
const (
	shortText = 120
	longText  = 2000
)

// showEvent returns an event as name(argument, …).
func showEvent(name string, values []any) string {
	args := make([]string, len(values))
	for i, v := range values {
		args[i] = show(v, longText)
	}
	if !plainKey(name) {
		name = strconv.Quote(name)
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// show returns a value as JSON, cut at limit; binary and Any, which JSON has not, in words.
func show(v any, limit int) string {
	var b strings.Builder
	writeValue(&b, v)
	return cut(b.String(), limit)
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xc0 == 0x80 { // not within a character
		limit--
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:limit], len(s))
}

func writeValue(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(key))
			b.WriteByte(':')
			writeValue(b, v[key])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeValue(b, v[i])
		}
		b.WriteByte(']')
	case []byte:
		b.WriteString(showBinary(v, 0))
	case string:
		if v == anyMark {
			b.WriteString("Any")
			return
		}
		b.WriteString(quote(v))
	case json.Number:
		b.WriteString(string(v))
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
}

// quote returns a string as JSON, with < and > as they are.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// showBinary shows 8 bytes, from those before at on.
func showBinary(data []byte, at int) string {
	from := max(0, at-2)
	to := min(len(data), from+8)
	before, after := "", ""
	if from > 0 {
		before = "…"
	}
	if to < len(data) {
		after = "…"
	}
	return strings.TrimSuffix(fmt.Sprintf("<%d bytes: %s% x%s", len(data), before, data[min(from, to):to], after), ": ") + ">"
}
