package nats

import (
	"errors"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// A position is the number of an entry in a stream. The stream may be made anew, and counts from one again then, so the
// time at which it was made is part of it.
type position struct {
	generation uint64 // Unix time in milliseconds
	seq        uint64
}

func generation(info *jetstream.StreamInfo) uint64 { return uint64(max(info.Created.UnixMilli(), 0)) }

func (p position) String() string {
	return strconv.FormatUint(p.generation, 36) + "-" + strconv.FormatUint(p.seq, 10)
}

var errPosition = errors.New("nats: not a position in the log")

func parsePosition(s string) (position, error) {
	if len(s) > 40 {
		return position{}, errPosition
	}
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return position{}, errPosition
	}
	generation, err := strconv.ParseUint(a, 36, 64)
	if err != nil {
		return position{}, errPosition
	}
	seq, err := strconv.ParseUint(b, 10, 64)
	if p := (position{generation, seq}); err == nil && p.String() == s {
		return p, nil
	}
	return position{}, errPosition
}

var errGeneration = errors.New("nats: the log has begun anew since")

func (p position) compare(q position) (int, error) {
	switch {
	case p.generation != q.generation:
		return 0, errGeneration
	case p.seq < q.seq:
		return -1, nil
	case p.seq > q.seq:
		return 1, nil
	}
	return 0, nil
}
