package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// attach makes everything visible that happens to a socket.
func (s *Session) attach(sock *client.Socket) {
	sock.OnAny(func(_ context.Context, m *client.Message) error {
		s.hear(sock, m)
		return nil
	})
	sock.OnConnect(func() {
		text := fmt.Sprintf("in %s, id %s", show.Namespace(sock.Namespace()), sock.ID())
		if sock.Recovered() {
			text += ", recovered: what was missed follows"
		}
		s.say("%s", text)
	})
	sock.OnDisconnect(func(reason client.Reason, err error) {
		s.forget(sock)
		switch {
		case sock.Active() || s.ending.Load():
			return // the connection was lost, and its state says so; or everything ends
		case reason == client.ReasonClientDisconnect:
			s.say("left %s", show.Namespace(sock.Namespace()))
		case s.o.Once: // the session ends with that
		default:
			s.bad("disconnected from %s: %s%s; /retry to connect again", show.Namespace(sock.Namespace()), reason, behind(err))
		}
		s.lost(reason, err)
	})
	sock.OnConnectError(func(err error) {
		refused, ok := errors.AsType[*client.ConnectError](err)
		if !ok || !s.hasStood() {
			return // told of by the state of the connection, or by whoever connects for the first time
		}
		text := refused.Message
		if refused.Data != nil {
			text += " " + string(show.AppendJSON(nil, refused.Data, nil))
		}
		s.bad("%s refuses: %s", show.Namespace(sock.Namespace()), text)
	})
	sock.OnError(func(err error) { s.bad("%v", err) })
}

// lost ends a session that is to end with its connection.
func (s *Session) lost(reason client.Reason, err error) {
	if !s.o.Once || reason == client.ReasonClientDisconnect {
		return
	}
	select {
	case s.gone <- fmt.Errorf("disconnected: %s%s", reason, behind(err)):
	default:
	}
}

func behind(err error) string {
	if err == nil {
		return ""
	}
	return " (" + brief(err) + ")"
}

// brief is an error in one line.
func brief(err error) string {
	if dial, ok := errors.AsType[*engine.DialError](err); ok && len(dial.Attempts) > 0 {
		var parts []string
		for _, a := range dial.Attempts {
			parts = append(parts, a.Transport+": "+brief(a.Err))
		}
		return strings.Join(parts, "; ")
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

func (s *Session) hasStood() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stood
}

// maxQuestions is how many events that want an answer are kept.
const maxQuestions = 100

// hear shows an event.
func (s *Session) hear(sock *client.Socket, m *client.Message) {
	s.names.add(m.Event())
	s.mu.Lock()
	number := 0
	if m.WantsAck() {
		s.asks++
		number = s.asks
		s.asked = append(s.asked, question{number, m})
		if len(s.asked) > maxQuestions {
			s.asked = slices.Delete(s.asked, 0, 1)
		}
	}
	hidden := len(s.filter) > 0 && !slices.Contains(s.filter, m.Event())
	several := len(s.joined) > 1
	s.mu.Unlock()
	if !hidden {
		s.print(func(st show.Style) string {
			text := st.Good("←") + " "
			if several {
				text += st.Dim(show.Namespace(sock.Namespace())) + " "
			}
			text += st.Bold(short(show.Name(m.Event())))
			if m.Len() > 0 {
				text += after(st, m)
			}
			if number > 0 {
				text += "\n  " + st.Wait(fmt.Sprintf("wants an answer: /answer #%d …", number))
			}
			return text
		})
	}
	// After it has been printed: whoever waits for it goes on only now.
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heard) < maxNames || s.heard[m.Event()] > 0 {
		s.heard[m.Event()]++
	}
	close(s.wake)
	s.wake = make(chan struct{})
}

// after is the arguments behind a name: on the same line, or below it.
func after(st show.Style, a show.Arguments) string {
	text := st.Args(a)
	if strings.HasPrefix(text, "\n") {
		return text
	}
	return " " + text
}

// short bounds a name: that of an event may be as long as a message.
func short(name string) string {
	if len(name) <= 200 {
		return name
	}
	return strings.ToValidUTF8(name[:200], "") + "…"
}

// forget drops the questions of a connection that is gone: nobody waits for their answers. It drops those that are
// answered, too.
func (s *Session) forget(sock *client.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = slices.DeleteFunc(s.asked, func(q question) bool { return !q.m.WantsAck() })
}

// changed shows a change of the state of the connection.
func (s *Session) changed(ch client.Change) {
	s.mu.Lock()
	first := !s.stood
	s.state = ch.To
	if ch.To == client.Connected {
		s.stood = true
	}
	s.mu.Unlock()
	s.setPrompt()
	switch ch.To {
	case client.Connected:
		switch {
		case first:
			s.say("connected over %s", s.c.Transport())
		case ch.Attempt > 0:
			s.say("connected again over %s, after %s that failed", s.c.Transport(), attempts(ch.Attempt))
		default:
			s.say("connected again over %s", s.c.Transport())
		}
	case client.Reconnecting:
		if first {
			return // whoever connects for the first time reports that
		}
		what := "connection lost"
		if ch.From == client.Reconnecting {
			what = "no connection"
		}
		if ch.Reason != "" {
			what += ": " + string(ch.Reason)
		}
		s.say("%s%s; attempt %d in %v", what, behind(ch.Err), ch.Attempt, ch.Delay.Round(10*time.Millisecond))
	case client.Connecting:
		if !first {
			s.say("connecting")
		}
	}
}

func attempts(n int) string {
	if n == 1 {
		return "one attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}

// attempted shows what becomes of transports.
func (s *Session) attempted(a engine.Attempt) {
	switch {
	case a.Phase == "upgrade" && a.Err == nil:
		s.say("upgraded to %s in %v", a.Transport, a.Took.Round(time.Millisecond))
	case a.Phase == "upgrade":
		s.say("no upgrade to %s: %s", a.Transport, brief(a.Err))
	}
}
