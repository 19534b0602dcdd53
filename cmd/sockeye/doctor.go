package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/doctor"
)

// doctorCommand is "sockeye doctor".
type doctorCommand struct {
	URL       string        `arg:"" help:"Where clients connect to, such as https://example.com. A path in it is the namespace, as in clients, unless it ends in socket.io."`
	Path      string        `placeholder:"PATH" help:"The path of the Socket.IO server; /socket.io/ if not given."`
	Namespace string        `short:"n" placeholder:"NAME" help:"The namespace to join; / if not given."`
	Auth      string        `env:"SOCKEYE_AUTH" placeholder:"JSON" help:"The auth to join with, a JSON object. @FILE reads it from a file and env:NAME from a variable: that keeps it out of the shell's history and the list of processes."`
	Origin    string        `placeholder:"ORIGIN" help:"Examine whether pages of this origin may connect, such as https://app.example.com."`
	Header    []string      `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Add a header to every request; @FILE reads them from a file, one a line. May be given more than once."`
	CA        string        `name:"ca" type:"path" placeholder:"FILE" help:"Trust the certificates in this PEM file, too."`
	Insecure  bool          `short:"k" help:"Send credentials although the certificate is not valid."`
	Timeout   time.Duration `default:"5s" help:"How long to wait for one answer."`
	Idle      time.Duration `default:"2s" help:"How long to leave connections alone to see whether something cuts them. More than the server's pingInterval (25s by default) tells for sure."`
	Sessions  int           `default:"10" help:"How many sessions to open for the check of sticky sessions."`
	JSON      bool          `name:"json" help:"Write the report as JSON."`
	Verbose   bool          `short:"v" help:"Show the evidence of steps that are fine, too."`
}

// Help is shown below the flags.
func (*doctorCommand) Help() string {
	return `Goes from the name of the host to the application and says for each step whether it works, what was seen, and what to change: DNS, TCP, TLS, path, protocol version, polling, WebSocket, CONNECT, streaming, sticky sessions, cookies, origins (CORS), payload limit, idle timeouts, clock, latency.

It connects for real: the application sees up to five clients joining and leaving. It sends no events. Credentials never appear in full in what it writes.

Examples:

  sockeye doctor localhost:3000
  sockeye doctor https://example.com --origin https://app.example.com
  sockeye doctor https://example.com/admin --auth '{"token":"…"}'        joins /admin
  sockeye doctor https://example.com --path /api/socket.io/ -H 'Authorization: Bearer …'
  sockeye doctor https://example.com --idle 2m                           does something cut silent connections?
  sockeye doctor https://example.com --json | jq .summary

Exit codes:

  0   all is well; there may be warnings
  1   there are problems, or it was interrupted
  2   the command line is wrong
  3   the host can't be reached at all`
}

// Run examines until done, or until SIGINT or SIGTERM.
func (c *doctorCommand) Run(s streams, g *globals) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the process at once
	return c.examine(ctx, s, g.color(s.out))
}

func (c *doctorCommand) examine(ctx context.Context, s streams, color bool) error {
	opts, err := c.options()
	if err != nil {
		return codeError{exitUsage, err.Error()}
	}
	printer := &doctor.Printer{W: s.out, Color: color, Verbose: c.Verbose}
	progress := &progressLine{w: s.err, live: terminal(s.err)}
	opts.Begin = func(title string) { progress.show(title + "…") }
	opts.Progress = func(title string, done, of int64) { progress.show(fmt.Sprintf("%s: %d of %d…", title, done, of)) }
	var writing error
	opts.Step = func(step *doctor.Step) {
		progress.clear()
		if !c.JSON && writing == nil {
			writing = printer.Step(step)
		}
	}
	report, err := doctor.Run(ctx, c.URL, opts)
	if err != nil {
		return codeError{exitUsage, err.Error()}
	}
	if c.JSON {
		writing = report.WriteJSON(s.out)
	} else if writing == nil {
		writing = printer.Summary(report)
	}
	switch {
	case writing != nil:
		return writing
	case ctx.Err() != nil:
		return codeError{exitError, "interrupted"}
	case report.ExitCode() != exitOK:
		return codeError{report.ExitCode(), ""} // the report has said it
	}
	return nil
}

// options makes those of the examination of the flags.
func (c *doctorCommand) options() (*doctor.Options, error) {
	o := &doctor.Options{
		Path: c.Path, Namespace: c.Namespace, Origin: c.Origin, Insecure: c.Insecure,
		Timeout: c.Timeout, Idle: c.Idle, Sessions: c.Sessions, Header: http.Header{},
	}
	if c.Timeout <= 0 || c.Idle <= 0 || c.Sessions <= 0 {
		return nil, fmt.Errorf("--timeout, --idle and --sessions must be more than zero")
	}
	var err error
	if o.Auth, err = c.auth(); err != nil {
		return nil, err
	}
	if err := c.headers(o.Header); err != nil {
		return nil, err
	}
	if c.CA != "" {
		data, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		if o.Roots, err = x509.SystemCertPool(); err != nil {
			o.Roots = x509.NewCertPool()
		}
		if !o.Roots.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("--ca: there is no certificate in %s", c.CA)
		}
	}
	return o, nil
}

// auth reads what --auth names. That it is an object is checked by the examination, which doesn't quote it.
func (c *doctorCommand) auth() (json.RawMessage, error) {
	text := c.Auth
	if file, ok := strings.CutPrefix(text, "@"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--auth: %w", err)
		}
		text = string(data)
	} else if name, ok := strings.CutPrefix(text, "env:"); ok {
		if text = os.Getenv(name); text == "" {
			return nil, fmt.Errorf("--auth: the variable %s is not set", name)
		}
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	return json.RawMessage(text), nil
}

// headers adds those of --header.
func (c *doctorCommand) headers(to http.Header) error {
	var lines []string
	for _, h := range c.Header {
		file, ok := strings.CutPrefix(h, "@")
		if !ok {
			lines = append(lines, h)
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--header: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return errors.New("--header is NAME: VALUE, such as 'Authorization: Bearer …'")
		}
		to.Add(name, strings.TrimSpace(value))
	}
	return nil
}

// codeError ends the command with an exit code of its own, and a message if there is something left to say.
type codeError struct {
	code    int
	message string
}

func (e codeError) Error() string { return e.message }

// ExitCode is what run exits with.
func (e codeError) ExitCode() int { return e.code }

// terminal reports whether somebody is looking.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// colorful reports whether to use colours: on a terminal, unless NO_COLOR is set.
func colorful(w io.Writer) bool { return terminal(w) && os.Getenv("NO_COLOR") == "" }

// progressLine is one line that is written over and over, on a terminal only.
type progressLine struct {
	w    io.Writer
	live bool

	mu    sync.Mutex
	shown bool
}

func (p *progressLine) show(text string) {
	if !p.live {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = true
	fmt.Fprintf(p.w, "\r\x1b[K  %s", text)
}

func (p *progressLine) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
