package bridge

import (
	"slices"
	"strings"

	"github.com/sockeye-io/sockeye/adapter"
)

// What a bridging server publishes it marks, for other bridging servers, by a room in Target.Except that nobody is in.
// So the mark passes through servers and brokers that know nothing of it.
const markPrefix = "\x01bridge:"

// Marked reports whether a room in Target.Except is no room but the mark of a bridge. Adapters that look into Except
// pass over it.
func Marked(room string) bool { return strings.HasPrefix(room, markPrefix) }

// Marks of a bridge.
type marks struct {
	own       string // an operation of a bridging server itself, which publishes it in all clusters
	forwarded string // an operation that came from another cluster
}

func newMarks(name string) marks {
	return marks{own: markPrefix + name + ":own", forwarded: markPrefix + name + ":forwarded"}
}

// with returns t with a mark.
func with(t adapter.Target, mark string) adapter.Target {
	t.Except = append(slices.Clip(t.Except), mark)
	return t
}

// of returns which of the marks t has.
func (m marks) of(t adapter.Target) (own, forwarded bool) {
	return slices.Contains(t.Except, m.own), slices.Contains(t.Except, m.forwarded)
}

// stripped returns t without any mark, for this server's sockets.
func stripped(t adapter.Target) adapter.Target {
	if slices.ContainsFunc(t.Except, Marked) {
		t.Except = slices.DeleteFunc(slices.Clone(t.Except), Marked)
	}
	return t
}
