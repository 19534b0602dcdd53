package pipe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// ErrUnanswered is returned when everything was sent and an answer failed or did not come.
var ErrUnanswered = errors.New("not every event was answered well")

// An Emitter emits events, in their order.
type Emitter struct {
	Socket *client.Socket // connected
	// Timeout is how long to wait for an acknowledgement, for a connection that was lost, and for a network that takes
	// nothing.
	Timeout time.Duration
	// Ack waits for the acknowledgement of each event before the next is sent, and writes it to Out: the arguments on a
	// line, or a line of JSON with everything about it.
	Ack, JSON bool
	Out       io.Writer
	// Complain is told of each event that failed, while others follow.
	Complain func(error)
}

// A Message is an event to be emitted.
type Message struct {
	Event string
	Args  []any
}

// One emits one event. Without an acknowledgement it returns when the event has been handed to the network.
func (e *Emitter) One(ctx context.Context, m Message) error {
	ctx, stop := untilGone(ctx, e.Socket)
	defer stop()
	if e.Ack {
		answered, err := e.answer(ctx, m, 0)
		if err == nil && !answered {
			err = ErrUnanswered
		}
		return err
	}
	b := batch{e: e, ctx: ctx}
	if err := b.add(m, 0); err != nil {
		return err
	}
	return b.settle()
}

// maxLine is how long a line may be. Servers take 1 MB by default, and few are told to take more than this.
const maxLine = 64 << 20

// Lines emits what parse makes of each line of in; a line for which it returns an error ends it, after what came before
// has been sent. An event may wait in the client, but never more of them than the client's buffers have room for.
func (e *Emitter) Lines(ctx context.Context, in io.Reader, parse func(line string) (m Message, skip bool, err error)) error {
	ctx, stop := untilGone(ctx, e.Socket)
	defer stop()
	lines, failed := read(ctx, in)
	b := batch{e: e, ctx: ctx}
	unanswered := 0
	for n := 1; ; n++ {
		line, ok := b.next(lines)
		if b.err != nil {
			return b.err
		}
		if !ok {
			break
		}
		m, skip, err := parse(line)
		if err != nil {
			return errors.Join(fmt.Errorf("line %d, %w", n, err), b.settle())
		}
		if skip {
			continue
		}
		if !e.Ack {
			if err := b.add(m, n); err != nil {
				return err
			}
			continue
		}
		answered, err := e.answer(ctx, m, n)
		if err != nil {
			return err
		}
		if !answered {
			unanswered++
		}
	}
	if err := b.settle(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return cause(ctx, ctx.Err())
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	switch {
	case b.lost > 0:
		return fmt.Errorf("%d events may not have arrived", b.lost)
	case unanswered > 0:
		return ErrUnanswered
	}
	return nil
}

// read returns the lines of in, until ctx is done. The goroutine may outlive that: reading standard input can't be ended.
func read(ctx context.Context, in io.Reader) (lines chan string, failed chan error) {
	lines, failed = make(chan string, 64), make(chan error, 1)
	go func() {
		defer close(lines)
		sc := bufio.NewScanner(in)
		sc.Buffer(nil, maxLine)
		for sc.Scan() {
			select {
			case lines <- sc.Text():
			case <-ctx.Done():
				return
			}
		}
		if err := sc.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("a line has more than %d bytes", maxLine)
			}
			failed <- fmt.Errorf("reading: %w", err)
		}
	}()
	return lines, failed
}

// A batch is what was emitted since it was last known that everything had been handed to the network.
type batch struct {
	e    *Emitter
	ctx  context.Context
	err  error
	lost int // events of batches whose connection was lost

	session     string // the connection it began on
	first, last int    // lines
	events      int
}

// batchEvents is after how many events a batch is settled at the latest: so few are in doubt when a connection breaks.
const batchEvents = 256

// next returns a line. Before waiting for one it settles the batch.
func (b *batch) next(lines <-chan string) (line string, ok bool) {
	select {
	case line, ok = <-lines:
		return line, ok
	default:
	}
	if b.err = b.settle(); b.err != nil {
		return "", false
	}
	select {
	case line, ok = <-lines:
		return line, ok
	case <-b.ctx.Done():
		return "", false
	}
}

// add emits an event. If there is no room it waits for some.
func (b *batch) add(m Message, line int) error {
	ctx, cancel := context.WithTimeout(b.ctx, b.e.Timeout)
	defer cancel()
	s := b.e.Socket
	if b.events == 0 {
		if err := s.Connect(ctx); err != nil {
			return b.unsent(line, cause(ctx, err))
		}
		b.session, b.first = s.Client().SessionID(), line
	}
	for {
		err := s.Emit(m.Event, m.Args...)
		if !errors.Is(err, client.ErrBufferFull) {
			if err != nil {
				return b.unsent(line, err)
			}
			break
		}
		if err := s.Flush(ctx); err != nil && !errors.Is(err, client.ErrDisconnected) {
			return b.unsent(line, cause(ctx, err))
		}
	}
	b.events++
	b.last = line
	if b.events >= batchEvents {
		return b.settle()
	}
	return nil
}

// settle waits until the batch has been handed to the network. If the connection was another one at the beginning, what
// it had been given may be lost.
func (b *batch) settle() error {
	if b.events == 0 {
		return nil
	}
	s := b.e.Socket
	// Also after an interruption: what was read is sent.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), b.e.Timeout)
	defer cancel()
	defer context.AfterFunc(b.ctx, func() {
		if !s.Active() {
			cancel()
		}
	})()
	broken := false
	for {
		err := s.Flush(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, client.ErrDisconnected) || ctx.Err() != nil || !s.Active() {
			return b.unsent(b.first, cause(b.ctx, err))
		}
		broken = true
	}
	if broken || b.session != s.Client().SessionID() {
		b.lost += b.events
		err := fmt.Errorf("the connection was lost while %s sent; not all of it may have arrived", b.lines(b.first))
		if b.first == 0 {
			return err
		}
		b.e.Complain(err)
	}
	b.events = 0
	return nil
}

func (b *batch) unsent(first int, err error) error {
	if first == 0 {
		return fmt.Errorf("the event was not sent: %w", err)
	}
	return fmt.Errorf("what is on line %d and after it was not sent, or not for sure: %w", first, err)
}

func (b *batch) lines(first int) string {
	switch first {
	case 0:
		return "the event was"
	case b.last:
		return fmt.Sprintf("line %d was", first)
	}
	return fmt.Sprintf("lines %d to %d were", first, b.last)
}

// answer emits an event and writes its acknowledgement. The error is one after which nothing more can be sent or written.
func (e *Emitter) answer(ctx context.Context, m Message, line int) (ok bool, err error) {
	within, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	began := time.Now()
	ack, err := e.Socket.EmitWithAck(within, m.Event, m.Args...)
	took := time.Since(began)
	var failure string
	switch {
	case err == nil && ack.Err() == nil:
	case err == nil:
		failure = ack.Err().Error()
	case errors.Is(err, client.ErrDisconnected):
		failure = "the connection was lost before the acknowledgement came"
	case ctx.Err() != nil:
		return false, cause(ctx, err)
	case errors.Is(err, context.DeadlineExceeded):
		failure = fmt.Sprintf("no acknowledgement within %v", e.Timeout)
	default:
		return false, fmt.Errorf("the event was not sent: %w", err)
	}
	if e.JSON {
		return failure == "", e.writeJSON(m.Event, ack, failure, took, line)
	}
	if failure != "" {
		where := ""
		if line > 0 {
			where = fmt.Sprintf("line %d: ", line)
		}
		e.Complain(fmt.Errorf("%s%s: %s", where, show.Name(m.Event), failure))
		return false, nil
	}
	_, err = fmt.Fprintln(e.Out, show.Line(ack))
	return true, err
}

func (e *Emitter) writeJSON(name string, ack *client.Ack, failure string, took time.Duration, line int) error {
	b := append([]byte(nil), '{')
	if line > 0 {
		b = fmt.Appendf(b, `"line":%d,`, line)
	}
	b = append(b, `"event":`...)
	b = show.AppendString(b, name)
	b = fmt.Appendf(b, `,"ok":%t,"ms":%.3f`, failure == "", milliseconds(took))
	if failure != "" {
		b = append(b, `,"error":`...)
		b = show.AppendString(b, failure)
	}
	if ack != nil {
		b = append(b, `,"args":`...)
		b = show.AppendArgs(b, ack)
	}
	_, err := e.Out.Write(append(b, '}', '\n'))
	return err
}
