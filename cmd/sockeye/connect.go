package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/connect"
)

// connectCommand is "sockeye connect".
type connectCommand struct {
	clientFlags

	NoHistory bool `help:"Don't keep what is typed."`
}

// Help is shown below the flags.
func (*connectCommand) Help() string {
	return `Type an event and its arguments: say hello {"to":"all"}. What begins with {, [ or " is JSON, and so are numbers, true, false and null; any other word is a string. /help shows the rest: acknowledgements, answers, files, namespaces, transports. Tab completes.

When standard input is not a terminal its lines are a script: each is done before the next, /wait waits for an event or a time, # begins a comment, and the first line that fails ends it.

What is typed is kept in ~/.local/state/sockeye/history, except lines that begin with a space and those with a credential of the command line in them.

Examples:

  sockeye connect localhost:3000
  sockeye connect https://example.com/admin --auth @token.json
  sockeye connect localhost:3000/chat --transport polling,websocket
  printf '/ack join {"room":"tea"}\n/wait message\n' | sockeye connect localhost:3000/chat

Exit codes:

  0   it was ended by /quit, Ctrl+C, Ctrl+D, or the end of the script
  1   a line of the script failed, or with --no-reconnect the connection was lost
  2   the command line is wrong
  3   it can't connect, or the server refuses`
}

// Run talks until somebody quits.
func (c *connectCommand) Run(s streams, in stdin, g *globals) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the process at once
	t, err := c.target(s.err)
	if err != nil {
		return codeError{exitUsage, err.Error()}
	}
	cl, err := client.New(t.url.String(), t.options)
	if err != nil {
		return codeError{exitUsage, t.secrets.Error(err).Error()}
	}
	defer cl.Close()
	keyboard, out := terminalOf(in, s)
	session := connect.New(connect.Options{
		Client: cl, Secrets: t.secrets, Timeout: c.Timeout, Script: keyboard == nil, Once: c.NoReconnect,
		Style: g.style(s.out), Out: s.out,
	})
	if err := t.dial(ctx, session.Use(t.namespace), c.Timeout); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	if keyboard == nil {
		err = session.Run(ctx, connect.NewScript(in))
	} else {
		path := connect.HistoryPath()
		if c.NoHistory {
			path = ""
		}
		terminal, openErr := connect.OpenTerminal(session, keyboard, out, g.style(s.out), connect.OpenHistory(path, t.secrets))
		if openErr != nil {
			return openErr
		}
		err = session.Run(ctx, terminal)
		terminal.Close(session, g.style(s.out))
	}
	if closing := cl.Close(); err == nil {
		err = closing
	}
	return t.secrets.Error(err)
}

// terminalOf returns the two sides of a terminal, nil if either is something else.
func terminalOf(in stdin, s streams) (keyboard, out *os.File) {
	keyboard, ok := in.Reader.(*os.File)
	if !ok || !term.IsTerminal(int(keyboard.Fd())) {
		return nil, nil
	}
	out, ok = s.out.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return nil, nil
	}
	return keyboard, out
}
