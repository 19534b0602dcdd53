//go:build linux

package load

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets of about 3 % width.
type histogram struct {
	counts [64 * 32]uint32
	total  uint64
}

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < 32 {
		return int(n)
	}
	shift := bits.Len64(n) - 6
	return (shift+1)*32 + int(n>>shift) - 32
}

func bucketStart(i int) time.Duration {
	if i < 32 {
		return time.Duration(i)
	}
	shift := i/32 - 1
	return time.Duration(i%32+32) << shift
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
}

// quantile returns the lower edge of the bucket that holds the q-th part (0 to 1) of all durations.
func (h *histogram) quantile(q float64) time.Duration {
	want := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); n > 0 && seen >= want {
			return bucketStart(i)
		}
	}
	return 0
}

func (h *histogram) reset() { *h = histogram{} }
