package connect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/words"
)

// A command is one that begins with a slash.
type command struct {
	name, args, help string
	run              func(s *Session, ctx context.Context, line string, args []words.Word) error
}

// Commands are listed by /help in this order.
var commands []command

// It is filled here because help lists it.
func init() {
	commands = []command{
		{"/ack", "EVENT [JSON…]", "send an event and show the acknowledgement", (*Session).ack},
		{"/answer", "[#N] [JSON…]", "answer the last event that wants it, or number N", (*Session).answer},
		{"/binary", "EVENT FILE", "send a file as binary", (*Session).binary},
		{"/ns", "[NAME]", "join a namespace, or go back to one; without a name, list them", (*Session).namespace},
		{"/leave", "[NAME]", "leave a namespace", (*Session).leave},
		{"/listen", "[EVENT…]", "show these events only; without a name, all", (*Session).listen},
		{"/transport", "", "show the transport and the history of attempts", (*Session).transport},
		{"/retry", "", "connect now, instead of when it is time or not at all", (*Session).retry},
		{"/wait", "TIME | EVENT", "wait, in scripts: for 500ms, or until the event has come once more", (*Session).wait},
		{"/help", "", "show this", (*Session).help},
		{"/quit", "", "end, as Ctrl+D does", func(*Session, context.Context, string, []words.Word) error { return errQuit }},
	}
}

// command does what a line with a slash says.
func (s *Session) command(ctx context.Context, line string) error {
	start := strings.IndexByte(line, '/')
	name := line[start:]
	if end := strings.IndexAny(name, " \t"); end >= 0 {
		name = name[:end]
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if i < 0 {
		return &words.Error{Column: start + 1, Message: fmt.Sprintf(`there is no %s; /help shows what there is, and an event of that name is typed in quotes`, name)}
	}
	// Blanks in its place, so that columns stay what they are.
	rest := strings.Repeat(" ", start+len(name)) + line[start+len(name):]
	all, err := words.Split(rest)
	if err != nil {
		return err
	}
	return commands[i].run(s, ctx, line, all)
}

// emit sends an event.
func (s *Session) emit(line string, all []words.Word) error {
	name, args, err := words.Event(line, all)
	if err != nil {
		return err
	}
	s.names.add(name)
	sock := s.socket()
	if !sock.Active() {
		return fmt.Errorf("%s is not joined; /retry to connect again", show.Namespace(sock.Namespace()))
	}
	s.echo(name, line, all)
	if err := sock.Emit(name, args...); err != nil {
		return err
	}
	if !sock.Connected() {
		s.say("not connected; it is sent when there is a connection")
	}
	return nil
}

// echo writes what a script sends. Somebody at a terminal has just typed it.
func (s *Session) echo(name, line string, all []words.Word) {
	if !s.o.Script {
		return
	}
	s.print(func(st show.Style) string {
		text := "→ " + st.Bold(show.Name(name))
		if len(all) > 1 {
			text += " " + show.Clean(strings.TrimSpace(line[all[1].Offset:]))
		}
		return text
	})
}

func (s *Session) ack(ctx context.Context, line string, all []words.Word) error {
	name, args, err := words.Event(line, all)
	if err != nil {
		return err
	}
	s.names.add(name)
	sock := s.socket()
	if !sock.Active() {
		return fmt.Errorf("%s is not joined; /retry to connect again", show.Namespace(sock.Namespace()))
	}
	s.echo(name, line, all)
	ask := func() error {
		ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
		defer cancel()
		began := time.Now()
		ack, err := sock.EmitWithAck(ctx, name, args...)
		took := time.Since(began).Round(10 * time.Microsecond)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("%s: no acknowledgement within %v", show.Name(name), s.o.Timeout)
		case err != nil:
			return fmt.Errorf("%s: %w", show.Name(name), err)
		}
		s.print(func(st show.Style) string {
			mark := st.Good("✓")
			if ack.Err() != nil {
				mark = st.Bad("✗")
			}
			text := mark + " " + st.Bold(show.Name(name)) + st.Dim(fmt.Sprintf(" answered in %v", took))
			if ack.Len() > 0 {
				text += after(st, ack)
			}
			return text
		})
		if ack.Err() != nil && s.o.Script {
			return fmt.Errorf("%s was answered with a failure: %w", show.Name(name), ack.Err())
		}
		return nil
	}
	if s.o.Script {
		return ask()
	}
	go func() {
		if err := ask(); err != nil && ctx.Err() == nil {
			s.bad("%v", err)
		}
	}()
	return nil
}

func (s *Session) answer(_ context.Context, line string, all []words.Word) error {
	s.mu.Lock()
	s.asked = slices.DeleteFunc(s.asked, func(q question) bool { return !q.m.WantsAck() })
	i := len(s.asked) - 1
	var wrong error
	if len(all) > 0 && strings.HasPrefix(all[0].Text, "#") {
		i = slices.IndexFunc(s.asked, func(q question) bool { return fmt.Sprintf("#%d", q.number) == all[0].Text })
		if i < 0 {
			wrong = &words.Error{Column: all[0].Offset + 1, Message: "no event with this number waits for an answer"}
		}
		all = all[1:]
	} else if i < 0 {
		wrong = errors.New("no event waits for an answer")
	}
	if wrong != nil {
		s.mu.Unlock()
		return wrong
	}
	q := s.asked[i]
	s.mu.Unlock()
	if err := q.m.Ack(words.Values(all)...); err != nil {
		return err
	}
	s.print(func(st show.Style) string {
		return st.Good("✓") + fmt.Sprintf(" answered %s, #%d", st.Bold(show.Name(q.m.Event())), q.number)
	})
	return nil
}

// maxFile is how large a file may be. Servers take 1 MB by default.
const maxFile = 64 << 20

func (s *Session) binary(_ context.Context, line string, all []words.Word) error {
	if len(all) != 2 {
		return errors.New("it is /binary EVENT FILE; names with spaces are in quotes")
	}
	name, _, err := words.Event(line, all[:1])
	if err != nil {
		return err
	}
	file, ok := all[1].String()
	if !ok {
		file = all[1].Text // a file may be called 42
	}
	data, err := readFile(expand(file))
	if err != nil {
		return err
	}
	s.names.add(name)
	if err := s.socket().Emit(name, data); err != nil {
		return err
	}
	s.print(func(st show.Style) string {
		return fmt.Sprintf("→ %s, %d bytes", st.Bold(show.Name(name)), len(data))
	})
	return nil
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", name)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, %d can be sent", name, info.Size(), maxFile)
	}
	return os.ReadFile(name)
}

func expand(file string) string {
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return file
}

func (s *Session) namespace(ctx context.Context, line string, all []words.Word) error {
	if len(all) == 0 {
		s.mu.Lock()
		current, joined := s.current, slices.Clone(s.joined)
		s.mu.Unlock()
		s.print(func(st show.Style) string {
			text := "namespaces"
			for _, sock := range joined {
				mark, state := " ", "not joined"
				if sock.Namespace() == current {
					mark = "*"
				}
				switch {
				case sock.Connected():
					state = "joined"
				case sock.Active():
					state = "joining"
				}
				text += fmt.Sprintf("\n%s %s  %s", mark, st.Bold(show.Namespace(sock.Namespace())), st.Dim(state))
			}
			return text
		})
		return nil
	}
	name := all[0].Text
	if quoted, ok := all[0].String(); ok {
		name = quoted
	}
	sock := s.Use(name)
	if s.o.Script {
		ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
		defer cancel()
		return sock.Connect(ctx)
	}
	sock.Open()
	return nil
}

func (s *Session) leave(_ context.Context, line string, all []words.Word) error {
	sock := s.socket()
	if len(all) > 0 {
		name := "/" + strings.TrimPrefix(all[0].Text, "/")
		s.mu.Lock()
		i := slices.IndexFunc(s.joined, func(x *client.Socket) bool { return x.Namespace() == name })
		if i >= 0 {
			sock = s.joined[i]
		}
		s.mu.Unlock()
		if i < 0 {
			return &words.Error{Column: all[0].Offset + 1, Message: "this namespace is not joined"}
		}
	}
	sock.Disconnect()
	return nil
}

func (s *Session) listen(_ context.Context, line string, all []words.Word) error {
	var filter []string
	for i := range all {
		name, _, err := words.Event(line, all[i:i+1])
		if err != nil {
			return err
		}
		filter = append(filter, name)
	}
	s.mu.Lock()
	s.filter = filter
	s.mu.Unlock()
	if len(filter) == 0 {
		s.say("every event is shown")
	} else {
		s.say("only these events are shown: %s", strings.Join(filter, ", "))
	}
	return nil
}

// maxAttempts is how much of the history of transports is shown.
const maxAttempts = 20

func (s *Session) transport(context.Context, string, []words.Word) error {
	history := s.c.Attempts()
	history = history[max(0, len(history)-maxAttempts):]
	s.print(func(st show.Style) string {
		text := "no connection"
		if t := s.c.Transport(); t != "" {
			text = "over " + st.Bold(t) + st.Dim(", session "+s.safe(s.c.SessionID()))
		}
		for _, a := range history {
			result := st.Good("ok")
			switch {
			case a.Err != nil:
				result = st.Bad(s.safe(brief(a.Err)))
			case a.Phase == "close":
				result = "closed"
			}
			text += fmt.Sprintf("\n  %s  %-7s  %-9s  %8v  %s", st.Dim(a.At.Format("15:04:05")), a.Phase, a.Transport, round(a.Took), result)
		}
		return text
	})
	return nil
}

func round(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

func (s *Session) retry(context.Context, string, []words.Word) error {
	sock := s.socket()
	if !sock.Active() {
		sock.Open()
	}
	s.c.RetryNow()
	return nil
}

func (s *Session) wait(ctx context.Context, line string, all []words.Word) error {
	if len(all) != 1 {
		return errors.New("it is /wait TIME, such as 500ms, or /wait EVENT")
	}
	if d, err := time.ParseDuration(all[0].Text); err == nil {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return nil
	}
	name, _, err := words.Event(line, all)
	if err != nil {
		return err
	}
	timer := time.NewTimer(s.o.Timeout)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.heard[name] > s.waited[name] {
			s.waited[name]++
			s.mu.Unlock()
			return nil
		}
		wake := s.wake
		s.mu.Unlock()
		select {
		case <-wake:
		case err := <-s.gone:
			return err
		case <-timer.C:
			return fmt.Errorf("%s did not come within %v", show.Name(name), s.o.Timeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Session) help(context.Context, string, []words.Word) error {
	s.out.Lock()
	defer s.out.Unlock()
	st := s.o.Style
	var b strings.Builder
	b.WriteString(`A line is an event: its name, and arguments with spaces between them. What begins
with {, [ or " is JSON; true, false, null and numbers are what they are in JSON; any
other word is a string. {"$base64":"…"} is binary.

`)
	fmt.Fprintf(&b, "  %s\n\n", `say hello {"to": "all", "times": 2} "two words"`)
	for _, c := range commands {
		fmt.Fprintf(&b, "  %s  %s\n", st.Bold(fmt.Sprintf("%-24s", c.name+" "+c.args)), c.help)
	}
	b.WriteString("\nTab completes commands and the names of events, the arrows bring back what was typed.\nA line that begins with a space is not kept in the history.\n")
	_, err := fmt.Fprint(s.o.Out, b.String())
	return err
}
