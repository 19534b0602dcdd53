package sockeyetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
)

// compare returns where what came differs from what was wanted, a line for each place.
func compare(want, got []any) []string {
	var c comparison
	for i := range max(len(want), len(got)) {
		path := "argument " + strconv.Itoa(i)
		switch {
		case i >= len(got):
			c.add("%s is missing: expected %s", path, show(want[i], shortText))
		case i >= len(want):
			c.add("%s is too much: received %s", path, show(got[i], shortText))
		default:
			c.value(path, want[i], got[i])
		}
	}
	return c.lines
}

type comparison struct{ lines []string }

func (c *comparison) add(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func (c *comparison) value(path string, want, got any) {
	if want == anyMark || got == anyMark {
		return
	}
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			c.object(path, w, g)
			return
		}
	case []any:
		if g, ok := got.([]any); ok {
			c.array(path, w, g)
			return
		}
	case json.Number:
		if g, ok := got.(json.Number); ok && sameNumber(w, g) {
			return
		}
	case []byte:
		if g, ok := got.([]byte); ok {
			c.binary(path, w, g)
			return
		}
	case string:
		if g, ok := got.(string); ok {
			c.text(path, w, g)
			return
		}
	default:
		if want == got { // true, false, null: what came may be anything, but then its type differs
			return
		}
	}
	c.add("%s: expected %s, received %s", path, show(want, shortText), show(got, shortText))
}

func (c *comparison) object(path string, want, got map[string]any) {
	keys := maps.Clone(want)
	maps.Copy(keys, got)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		at := path + "." + key
		if !plainKey(key) {
			at = fmt.Sprintf("%s[%q]", path, key)
		}
		w, wanted := want[key]
		g, there := got[key]
		switch {
		case !there:
			c.add("%s is missing: expected %s", at, show(w, shortText))
		case !wanted:
			c.add("%s is too much: received %s", at, show(g, shortText))
		default:
			c.value(at, w, g)
		}
	}
}

func plainKey(key string) bool {
	for i, r := range key {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return key != ""
}

func (c *comparison) array(path string, want, got []any) {
	for i := range max(len(want), len(got)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(got):
			c.add("%s is missing: expected %s", at, show(want[i], shortText))
		case i >= len(want):
			c.add("%s is too much: received %s", at, show(got[i], shortText))
		default:
			c.value(at, want[i], got[i])
		}
	}
}

// around is how much of long texts is shown on either side of where they begin to differ.
const around = 30

func (c *comparison) text(path, want, got string) {
	if want == got {
		return
	}
	if max(len(want), len(got)) <= 2*around {
		c.add("%s: expected %q, received %q", path, want, got)
		return
	}
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	c.add("%s: differs from byte %d on: expected %s, received %s", path, at, excerpt(want, at), excerpt(got, at))
}

func excerpt(s string, at int) string {
	from, to := max(0, at-around), min(len(s), at+around)
	before, after := "", ""
	if from > 0 {
		before = "…"
	}
	if to < len(s) {
		after = "…"
	}
	return before + strconv.Quote(s[from:to]) + after
}

func (c *comparison) binary(path string, want, got []byte) {
	if bytes.Equal(want, got) {
		return
	}
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	c.add("%s: differs from byte %d on: expected %s, received %s", path, at, showBinary(want, at), showBinary(got, at))
}

// sameNumber compares values, not how they are written, and without rounding.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	if max(len(a), len(b)) > 100 {
		return false // 1e1000000000 must not be worked out
	}
	for _, n := range []json.Number{a, b} {
		if f, err := n.Float64(); err != nil || f > 1e300 || f < -1e300 {
			return false
		}
	}
	x, okX := new(big.Rat).SetString(string(a))
	y, okY := new(big.Rat).SetString(string(b))
	return okX && okY && x.Cmp(y) == 0
}
