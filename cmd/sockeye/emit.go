package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/pipe"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/words"
)

// emitCommand is "sockeye emit".
type emitCommand struct {
	clientFlags
	brokerFlags

	Event string   `arg:"" help:"The name of the event; - reads whole events from standard input, as listen --json writes them."`
	Args  []string `arg:"" optional:"" help:"Its arguments: JSON, or words that are strings. - in the last place reads them from standard input: each line is an event."`
	Ack   bool     `short:"a" help:"Ask for an acknowledgement and print it; --timeout is how long to wait for it."`
	JSON  bool     `name:"json" help:"Write acknowledgements as lines of JSON."`
	Text  bool     `help:"Take arguments, and lines of standard input, as strings and not as JSON."`
}

// Help is shown below the flags.
func (*emitCommand) Help() string {
	return `An argument that begins with {, [ or " is JSON, and so are numbers, true, false and null; everything else is a string. {"$base64":"…"} stands for binary.

The command ends when everything has been handed to the network, or with --ack when everything has been answered. Events keep their order.

Examples:

  sockeye emit localhost:3000 "chat message" hello
  sockeye emit localhost:3000 add 1 2 --ack
  sockeye emit https://example.com order '{"id":17}' --to /shop --auth @token.json
  tail -f app.log | sockeye emit localhost:3000 log - --text
  jq -c '.[]' readings.json | sockeye emit localhost:3000 reading - --ack --json
  sockeye listen a.example.com --json | sockeye emit b.example.com -
  sockeye emit --redis localhost:6379 news '{"id":17}' --room readers
  sockeye emit --nats nats://10.0.0.9:4222 news '{"id":17}' --room readers --except banned
  sockeye emit --postgres postgres://app@localhost/app news '{"id":17}' -n /shop

Exit codes:

  0   everything was sent, and with --ack answered
  1   something was not sent, or not for sure; a line of the input is wrong
  2   the command line is wrong
  3   it can't connect, or the server refuses
  4   an acknowledgement did not come in time, or says that the event failed`
}

// Run emits.
func (c *emitCommand) Run(s streams, in stdin) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the process at once
	signal.Ignore(syscall.SIGPIPE)

	messages, err := c.messages()
	if err != nil {
		return codeError{exitUsage, err.Error()}
	}
	if err := c.alone(); err != nil {
		return codeError{exitUsage, err.Error()}
	}
	if c.wanted() {
		return c.emitBroker(ctx, s, in, messages)
	}
	t, err := c.target(s.err)
	if err != nil {
		return codeError{exitUsage, err.Error()}
	}
	cl, err := client.New(t.url.String(), t.options)
	if err != nil {
		return codeError{exitUsage, t.secrets.Error(err).Error()}
	}
	defer cl.Close()
	sock := cl.Of(t.namespace)
	t.report(cl, s.err, true)
	if err := t.dial(ctx, sock, c.Timeout); err != nil {
		return err
	}
	e := &pipe.Emitter{
		Socket: sock, Timeout: c.Timeout, Ack: c.Ack, JSON: c.JSON, Out: s.out,
		Complain: func(err error) { fmt.Fprintf(s.err, "sockeye: %v\n", t.secrets.Error(err)) },
	}
	if messages.line != nil {
		err = e.Lines(ctx, in, messages.line)
	} else {
		err = e.One(ctx, messages.one)
	}
	if closing := cl.Close(); err == nil {
		err = closing
	}
	switch {
	case err == nil || closedPipe(err):
		return nil
	case errors.Is(err, pipe.ErrUnanswered):
		if messages.line == nil {
			return codeError{exitCheck, ""} // it has been said
		}
		return codeError{exitCheck, err.Error()}
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	return t.secrets.Error(err)
}

// closedPipe finds a write to a program that does not read any more, which is how "| head" ends.
func closedPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// messages is what to emit: one event, or what becomes of each line of the input.
type messages struct {
	one  pipe.Message
	line func(string) (m pipe.Message, skip bool, err error)
}

func (c *emitCommand) messages() (messages, error) {
	if c.Event == "-" {
		if len(c.Args) > 0 || c.Text {
			return messages{}, errors.New("with - for the event, the lines of standard input are everything")
		}
		return messages{line: wholeEvent}, nil
	}
	if c.Event == "" {
		return messages{}, errors.New("the name of the event is empty")
	}
	texts, fromInput := c.Args, false
	if n := len(texts); n > 0 && texts[n-1] == "-" {
		texts, fromInput = texts[:n-1], true
	}
	var args []any
	for i, text := range texts {
		arg, err := c.arg(text)
		if err != nil {
			return messages{}, fmt.Errorf("argument %d, %w\n  %s", i+1, err, caret(text, err))
		}
		args = append(args, arg)
	}
	if !fromInput {
		return messages{one: pipe.Message{Event: c.Event, Args: args}}, nil
	}
	return messages{line: func(line string) (pipe.Message, bool, error) {
		if !c.Text && strings.TrimSpace(line) == "" {
			return pipe.Message{}, true, nil
		}
		var last any
		var err error
		if c.Text {
			last = words.Text(line)
		} else if last, err = words.JSON(line); err != nil {
			return pipe.Message{}, false, fmt.Errorf("%w; --text takes lines as strings", err)
		}
		return pipe.Message{Event: c.Event, Args: append(args[:len(args):len(args)], last)}, false, nil
	}}, nil
}

func (c *emitCommand) arg(text string) (any, error) {
	if c.Text {
		return words.Text(text), nil
	}
	return words.Arg(text)
}

// caret shows a text with a mark under the column that an error names.
func caret(text string, err error) string {
	we, ok := errors.AsType[*words.Error](err)
	if !ok {
		return show.Clean(text)
	}
	runes := []rune(show.Clean(text))
	from := max(0, we.Column-60)
	shown := runes[min(from, len(runes)):min(len(runes), from+72)]
	return fmt.Sprintf("%s\n  %*s", string(shown), we.Column-from, "^")
}

// wholeEvent reads a line as listen --json writes it.
func wholeEvent(line string) (m pipe.Message, skip bool, err error) {
	if strings.TrimSpace(line) == "" {
		return m, true, nil
	}
	if _, err := words.JSON(line); err != nil {
		return m, false, err
	}
	var e struct {
		Event string           `json:"event"`
		Args  []jsontext.Value `json:"args"`
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Event == "" {
		return m, false, errors.New(`column 1: an event is {"event":"…","args":[…]}`)
	}
	m.Event = e.Event
	for _, arg := range e.Args {
		value, err := words.JSON(string(arg))
		if err != nil {
			return m, false, err
		}
		m.Args = append(m.Args, value)
	}
	return m, false, nil
}
