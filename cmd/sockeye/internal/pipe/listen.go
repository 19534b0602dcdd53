package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// ErrTooFew is returned when the time was over before enough events had come.
var ErrTooFew = errors.New("fewer events came than were waited for")

// A Listener writes events as lines.
type Listener struct {
	// Events are the names to listen to; none means all.
	Events []string
	// Count is after how many events to end; zero means never.
	Count int
	// Duration is how long to listen; zero means without end.
	Duration time.Duration
	// Answer acknowledges every event that wants it, with these arguments.
	Answer bool
	Args   []any
	// JSON writes a line of JSON for each event. Style is for the other form.
	JSON  bool
	Style show.Style
	Out   io.Writer

	mu      sync.Mutex
	seen    int
	writing error
	ended   bool
	end     chan struct{}
	gone    chan error // has room for one: why the socket is disconnected for good
}

// Attach begins to listen. It is called before the socket connects, so that nothing is missed.
func (l *Listener) Attach(s *client.Socket) {
	l.end = make(chan struct{})
	l.gone = make(chan error, 1)
	watch(s, func(err error) {
		select {
		case l.gone <- err:
		default:
		}
	})
	s.OnAny(func(_ context.Context, m *client.Message) error { return l.hear(s, m) })
}

// Wait returns when enough has been heard, the time is over, ctx is done, or the socket is disconnected for good.
func (l *Listener) Wait(ctx context.Context) error {
	var over <-chan time.Time
	if l.Duration > 0 {
		timer := time.NewTimer(l.Duration)
		defer timer.Stop()
		over = timer.C
	}
	var gone error
	select {
	case <-l.end:
	case <-over:
	case gone = <-l.gone:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.writing != nil:
		return l.writing
	case l.Count > 0 && l.seen >= l.Count:
		return nil
	case gone != nil:
		return gone
	case l.Count > 0:
		return fmt.Errorf("%w: %d of %d", ErrTooFew, l.seen, l.Count)
	}
	return nil
}

func (l *Listener) hear(s *client.Socket, m *client.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.Events) > 0 && !slices.Contains(l.Events, m.Event()) {
		return nil
	}
	_, l.writing = l.Out.Write(l.line(s, m, time.Now()))
	l.seen++
	if l.writing != nil || l.seen == l.Count {
		l.ended = true
		defer close(l.end)
	}
	if l.Answer && m.WantsAck() {
		return m.Ack(l.Args...)
	}
	return nil
}

func (l *Listener) line(s *client.Socket, m *client.Message, now time.Time) []byte {
	if !l.JSON {
		text := l.Style.Dim(now.Format("15:04:05.000")) + " " + l.Style.Bold(show.Name(m.Event()))
		if m.Len() > 0 {
			text += " " + show.Line(m)
		}
		return []byte(text + "\n")
	}
	b := append([]byte(nil), `{"time":"`...)
	b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","namespace":`...)
	b = show.AppendString(b, s.Namespace())
	b = append(b, `,"event":`...)
	b = show.AppendString(b, m.Event())
	b = append(b, `,"args":`...)
	b = show.AppendArgs(b, m)
	return fmt.Appendf(b, `,"ack":%t}`+"\n", m.WantsAck())
}

// Complete reports whether as many events came as were waited for.
func (l *Listener) Complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen >= l.Count
}
