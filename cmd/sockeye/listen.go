package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/pipe"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/words"
)

// listenCommand is "sockeye listen".
type listenCommand struct {
	clientFlags

	Event    []string      `short:"e" sep:"none" placeholder:"NAME" help:"Listen to this event only. May be given more than once."`
	JSON     bool          `name:"json" help:"Write events as lines of JSON."`
	Count    int           `short:"c" placeholder:"N" help:"End after so many events."`
	Duration time.Duration `short:"d" placeholder:"TIME" help:"End after this time, such as 30s or 5m."`
	Answer   []string      `sep:"none" placeholder:"JSON" help:"Acknowledge events that want it, with this argument. May be given more than once."`
	Quiet    bool          `short:"q" help:"Say nothing about the connection on standard error."`
}

// Help is shown below the flags.
func (*listenCommand) Help() string {
	return `Writes a line for each event. With --json it is {"time":"…","namespace":"/","event":"…","args":[…],"ack":false}: ack says that the sender wants an acknowledgement; binary is {"$base64":"…"}. What happens to the connection goes to standard error.

Examples:

  sockeye listen localhost:3000
  sockeye listen https://example.com/news --event headline --count 1
  sockeye listen localhost:3000 --json | jq -r 'select(.event=="price").args[0].eur'
  sockeye listen localhost:3000 --event job --answer '{"ok":true}'
  sockeye listen localhost:3000 --count 10 --duration 1m || echo "fewer than 10 events in a minute"

Exit codes:

  0   --count or --duration is reached, it was stopped by Ctrl+C, or nobody reads its output any more
  1   the server disconnected it, or the connection was lost with --no-reconnect
  2   the command line is wrong
  3   it can't connect, or the server refuses
  4   fewer events came than --count`
}

// Run listens.
func (c *listenCommand) Run(s streams, g *globals) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the process at once
	signal.Ignore(syscall.SIGPIPE)

	l := &pipe.Listener{
		Events: c.Event, Count: c.Count, Duration: c.Duration, Answer: len(c.Answer) > 0, JSON: c.JSON,
		Style: g.style(s.out), Out: s.out,
	}
	for _, text := range c.Answer {
		arg, err := words.Arg(text)
		if err != nil {
			return codeError{exitUsage, fmt.Sprintf("--answer: %v\n  %s", err, caret(text, err))}
		}
		l.Args = append(l.Args, arg)
	}
	if c.Count < 0 || c.Duration < 0 {
		return codeError{exitUsage, "--count and --duration can't be negative"}
	}
	t, err := c.target(s.err)
	if err != nil {
		return codeError{exitUsage, err.Error()}
	}
	// Who reads may be slow now and then, as less is, and must not make the connection break soon.
	t.options.Queue = client.QueueOptions{MaxEvents: 100_000, MaxBytes: 64 << 20}
	cl, err := client.New(t.url.String(), t.options)
	if err != nil {
		return codeError{exitUsage, t.secrets.Error(err).Error()}
	}
	defer cl.Close()
	sock := cl.Of(t.namespace)
	l.Attach(sock)
	if !c.Quiet {
		t.report(cl, s.err, false)
	}
	if err := t.dial(ctx, sock, c.Timeout); err != nil {
		if ctx.Err() == nil {
			return err
		}
	}
	err = l.Wait(ctx)
	cl.Close()
	switch {
	case err == nil && c.Count > 0 && ctx.Err() != nil && !l.Complete():
		return codeError{exitCheck, "interrupted before --count was reached"}
	case err == nil || closedPipe(err):
		return nil
	case errors.Is(err, pipe.ErrTooFew):
		return codeError{exitCheck, err.Error()}
	}
	return t.secrets.Error(err)
}

// report writes what happens to a connection that stood once. That it stands goes without saying if it is to be brief.
func (t *target) report(c *client.Client, w io.Writer, brief bool) {
	var mu sync.Mutex
	stood := false
	c.OnState(func(ch client.Change) {
		mu.Lock()
		defer mu.Unlock()
		why := string(ch.Reason)
		if ch.Err != nil {
			if why != "" {
				why += ": "
			}
			why += show.Clean(t.secrets.Hide(ch.Err.Error()))
		}
		switch {
		case ch.To == client.Connected && !stood:
			stood = true
			if brief {
				return
			}
			fmt.Fprintf(w, "sockeye: connected to %s, namespace %s, over %s\n", t.url.Host, show.Namespace(t.namespace), c.Transport())
		case ch.To == client.Connected:
			fmt.Fprintf(w, "sockeye: connected again over %s\n", c.Transport())
		case ch.To == client.Reconnecting && stood:
			fmt.Fprintf(w, "sockeye: not connected (%s), trying again in %v\n", why, ch.Delay.Round(100*time.Millisecond))
		}
	})
}
