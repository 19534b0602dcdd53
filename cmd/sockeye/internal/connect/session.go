// Package connect is the conversation of a person, or a script, with a Socket.IO server: lines that are typed become
// events, and what arrives is written as it comes.
package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/words"
)

// Options are what a Session needs.
type Options struct {
	Client  *client.Client
	Secrets *show.Secrets
	// Timeout is how long a script waits for whatever it waits for, and anybody for an acknowledgement.
	Timeout time.Duration
	// Script waits for each line to be done, writes what it sends, and ends at the first line that fails.
	Script bool
	// Once ends when the connection is lost.
	Once  bool
	Style show.Style
	Out   io.Writer
}

// A Session is a conversation over one connection, in one namespace at a time.
type Session struct {
	o     Options
	c     *client.Client
	names names

	out sync.Mutex // held while a piece is written, and when Out or the style changes

	mu      sync.Mutex
	current string
	joined  []*client.Socket
	filter  []string
	asked   []question
	asks    int // how many questions there were
	heard   map[string]int
	waited  map[string]int
	wake    chan struct{} // closed, and replaced, when something was heard
	prompt  func(string)
	state   client.State
	stood   bool // has been connected
	gone    chan error
	ending  atomic.Bool
}

// A question is an event that wants an acknowledgement.
type question struct {
	number int
	m      *client.Message
}

// New returns a session that has joined nothing yet.
func New(o Options) *Session {
	s := &Session{
		o: o, c: o.Client, heard: map[string]int{}, waited: map[string]int{}, wake: make(chan struct{}),
		prompt: func(string) {}, gone: make(chan error, 1),
	}
	s.c.OnState(s.changed)
	s.c.OnAttempt(s.attempted)
	return s
}

// Use makes a namespace the current one and returns its socket, which is not opened by this.
func (s *Session) Use(namespace string) *client.Socket {
	sock := s.c.Of(namespace)
	s.mu.Lock()
	known := slices.Contains(s.joined, sock)
	if !known {
		s.joined = append(s.joined, sock)
	}
	s.current = sock.Namespace()
	s.mu.Unlock()
	if !known {
		s.attach(sock)
	}
	s.setPrompt()
	return sock
}

// socket returns that of the current namespace.
func (s *Session) socket() *client.Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c.Of(s.current)
}

// Lines is where the session reads.
type Lines interface {
	// ReadLine returns a line without its end; io.EOF when there are no more.
	ReadLine() (string, error)
}

var errQuit = errors.New("quit")

// Run does what the lines say until they end, somebody quits, or ctx is done. With Options.Script the error is that of the
// first line that failed.
func (s *Session) Run(ctx context.Context, lines Lines) error {
	read, next := make(chan typed), make(chan struct{})
	over := make(chan struct{})
	defer close(over)
	defer s.ending.Store(true)
	go func() {
		for {
			text, err := lines.ReadLine()
			select {
			case read <- typed{text, err}:
			case <-over:
				return
			}
			select {
			case <-next:
			case <-over:
				return
			}
		}
	}()
	for n := 1; ; n++ {
		var line typed
		select {
		case line = <-read:
		case err := <-s.gone:
			return err
		case <-ctx.Done():
			return nil
		}
		if line.err == io.EOF {
			return s.finish(ctx)
		}
		if line.err != nil {
			return line.err
		}
		err := s.do(ctx, line.text)
		switch {
		case err == errQuit:
			return s.finish(ctx)
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case s.o.Script:
			return fmt.Errorf("line %d: %w", n, err)
		default:
			s.complain(line.text, err)
		}
		next <- struct{}{}
	}
}

type typed struct {
	text string
	err  error
}

// finish waits until what was typed has been handed to the network.
func (s *Session) finish(ctx context.Context) error {
	s.mu.Lock()
	joined := slices.Clone(s.joined)
	s.mu.Unlock()
	if !s.o.Script {
		return nil // Close of the client sends what it can; who quits does not want to wait for a server that is away
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	for _, sock := range joined {
		if !sock.Active() {
			continue
		}
		if err := sock.Flush(ctx); err != nil {
			return fmt.Errorf("not everything was sent: %w", err)
		}
	}
	return nil
}

// do does what one line says.
func (s *Session) do(ctx context.Context, line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case trimmed == "" || strings.HasPrefix(trimmed, "#") && s.o.Script:
		return nil
	case strings.HasPrefix(trimmed, "/"):
		return s.command(ctx, line)
	}
	all, err := words.Split(line)
	if err != nil {
		return err
	}
	return s.emit(line, all)
}

// SetPrompt has f called with what to show in front of a line, now and whenever it changes.
func (s *Session) SetPrompt(f func(string)) {
	s.mu.Lock()
	s.prompt = f
	s.mu.Unlock()
	s.setPrompt()
}

// promptText is called with mu held.
func (s *Session) promptText() string {
	text := show.Namespace(s.current)
	if len(text) > 40 {
		text = "…" + text[len(text)-38:]
	}
	if s.stood && s.state != client.Connected {
		text += " (" + s.state.String() + ")"
	}
	return text + "> "
}

func (s *Session) setPrompt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompt(s.promptText())
}

// SetOutput changes where the session writes.
func (s *Session) SetOutput(w io.Writer, style show.Style) {
	s.out.Lock()
	defer s.out.Unlock()
	s.o.Out, s.o.Style = w, style
}

// print writes a piece, with the time in front. It is one write: the terminal takes the line that is being typed away and
// brings it back around each.
func (s *Session) print(f func(show.Style) string) {
	s.out.Lock()
	defer s.out.Unlock()
	st := s.o.Style
	fmt.Fprintf(s.o.Out, "%s %s\n", st.Dim(time.Now().Format("15:04:05.000")), f(st))
}

// say prints a remark about the connection.
func (s *Session) say(format string, args ...any) {
	text := s.safe(fmt.Sprintf(format, args...))
	s.print(func(st show.Style) string { return st.Wait("•") + " " + text })
}

func (s *Session) bad(format string, args ...any) {
	text := s.safe(fmt.Sprintf(format, args...))
	s.print(func(st show.Style) string { return st.Bad("✗ " + text) })
}

// safe is for text that may have something of the server's in it.
func (s *Session) safe(text string) string { return show.CleanLines(s.o.Secrets.Hide(text)) }

// complain says what is wrong with a line, under the column if there is one.
func (s *Session) complain(line string, err error) {
	column, message := 0, err.Error()
	if we, ok := errors.AsType[*words.Error](err); ok {
		column, message = we.Column, we.Message
	}
	s.mu.Lock()
	column += len([]rune(s.promptText())) - 1
	s.mu.Unlock()
	s.out.Lock()
	defer s.out.Unlock()
	st := s.o.Style
	width := st.Width
	if width <= 0 {
		width = 80
	}
	if message != err.Error() && column < width {
		fmt.Fprintf(s.o.Out, "%*s%s\n", column, "", st.Bad("^"))
		fmt.Fprintf(s.o.Out, "%s\n", st.Bad(s.safe(message)))
		return
	}
	fmt.Fprintf(s.o.Out, "%s\n", st.Bad("✗ "+s.safe(err.Error())))
}
