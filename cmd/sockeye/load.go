package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/load"
)

// loadCommand is "sockeye load".
type loadCommand struct {
	URL      string `arg:"" optional:"" help:"The server, such as localhost:3000; a path is the namespace. Not needed if the file of --scenario has one."`
	Scenario string `short:"s" type:"path" placeholder:"FILE" help:"A YAML file that says what clients do, see docs/load.md. Flags that are given win over it."`

	Clients   int           `short:"c" placeholder:"N" help:"How many clients; 100 if not given." group:"Load:"`
	Ramp      time.Duration `placeholder:"TIME" help:"Connect them evenly over this time." group:"Load:"`
	Rate      float64       `placeholder:"N" help:"Connect so many a second, instead of --ramp." group:"Load:"`
	Duration  time.Duration `short:"d" placeholder:"TIME" help:"How long to go on after the ramp; 30s if not given." group:"Load:"`
	Transport string        `short:"t" placeholder:"NAME=SHARE,…" help:"How clients connect: websocket, polling, streaming, auto (the client's choice), or several with + between them, to be tried in that order and upgraded. With shares: websocket=80,polling=15,streaming=5. websocket if not given." group:"Load:"`
	Reconnect bool          `help:"Clients that are refused or lose their connection connect again, after 1 to 5 seconds." group:"Load:"`

	Namespace string        `short:"n" placeholder:"NAME" help:"The namespace to join." group:"What each client does:"`
	Auth      string        `placeholder:"JSON" help:"The auth to join with, a JSON object. It may have variables, and @FILE reads it from a file." group:"What each client does:"`
	Users     string        `type:"path" placeholder:"FILE" help:"What differs from client to client: a CSV file with a line of names, or .jsonl. $${user.NAME} is a field." group:"What each client does:"`
	Join      string        `placeholder:"ROOM" help:"First emit \"join\" with this room, and wait for the acknowledgement. room-$${client%10} makes ten rooms." group:"What each client does:"`
	Emit      string        `short:"e" placeholder:"EVENT" help:"Emit this event again and again." group:"What each client does:"`
	Payload   []string      `short:"p" sep:"none" placeholder:"JSON" help:"An argument of the event. May be given more than once. Variables are listed below." group:"What each client does:"`
	Size      int           `placeholder:"BYTES" help:"Add an argument of random text." group:"What each client does:"`
	Binary    int           `placeholder:"BYTES" help:"Add an argument of binary data." group:"What each client does:"`
	Every     time.Duration `placeholder:"TIME" help:"How often each client emits; 1s if neither this nor --think is given." group:"What each client does:"`
	Together  bool          `help:"All clients emit in the same moment, instead of spread over --every." group:"What each client does:"`
	Ack       bool          `short:"a" help:"Ask for an acknowledgement and wait for it before the next emit." group:"What each client does:"`
	Expect    string        `placeholder:"EVENT" help:"Wait for this event after each emit." group:"What each client does:"`
	Timeout   time.Duration `placeholder:"TIME" help:"How long acknowledgements and expected events may take; 10s if not given." group:"What each client does:"`
	Think     string        `placeholder:"TIME[-TIME]" help:"Pause after each turn, for a random time between the two." group:"What each client does:"`

	FailIf []string `short:"f" sep:"none" placeholder:"CHECK" help:"Exit with code 4 if this holds at the end, such as p99>50ms, errors>0, errors>1%, connected<1000, connect.p99>1s, lost>0. May be given more than once." group:"What comes out:"`
	JSON   bool     `name:"json" help:"Write the result as JSON to standard output." group:"What comes out:"`
	Report string   `short:"r" type:"path" placeholder:"FILE" help:"Write a page with plots, one HTML file that needs nothing else." group:"What comes out:"`
	Quiet  bool     `short:"q" help:"No progress." group:"What comes out:"`

	Path           string        `placeholder:"PATH" help:"The path of the Socket.IO server; /socket.io/ if not given." group:"Network:"`
	Header         []string      `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Add a header to every request. May be given more than once." group:"Network:"`
	Insecure       bool          `short:"k" help:"Accept any certificate." group:"Network:"`
	LocalAddress   []string      `placeholder:"IP,…" help:"Connect from these addresses in turn: each has local ports of its own, about 28,000." group:"Network:"`
	Connecting     int           `placeholder:"N" help:"How many may be connecting at the same time; 200 if not given. Others wait, and their waiting counts." group:"Network:"`
	ConnectTimeout time.Duration `placeholder:"TIME" help:"How long a connect may take; 20s if not given." group:"Network:"`

	ctx context.Context // instead of one that signals end, for tests
}

// Help is shown below the flags.
func (*loadCommand) Help() string {
	return `Latencies are measured from when something was due, not from when it was sent: a server that hangs is not asked less. The table shows both.

Variables in JSON, rooms and auth: ${client} and ${n} (the client's number, and that of the turn, both from 0; ${client%10} is the remainder), ${now} (found again in what arrives: the latency of delivery), ${millis}, ${random:1-100}, ${random:red|green}, ${text:64}, ${uuid}, ${user.NAME}, ${env.NAME}. A string that is one numeric variable becomes a number.

Examples:

  sockeye load localhost:3000 -c 1000 --ramp 10s                             a thousand clients that only listen
  sockeye load localhost:3000 -c 500 -e echo -p '"hello ${n}"' --ack         500 acknowledgements a second
  sockeye load localhost:3000 -c 100 -t websocket=80,polling=15,streaming=5 -e echo --size 1024 --ack
  sockeye load localhost:3000/chat -c 200 --join 'room-${client%10}' -e say -p '{"at":"${now}"}' --expect said
  sockeye load localhost:3000 -c 1000 -e echo --size 64 --ack -f 'p99>50ms' -f 'errors>0' --report out.html
  sockeye load --scenario chat.yaml --json > result.json

Exit codes:

  0   done, and every check passed
  1   failed: the machine is too small for it, or a file can't be written
  2   the command line, the scenario or a check is wrong
  3   not one client connected
  4   a check failed

Ctrl+C ends the load with the table and the report. Twice ends it at once.`
}

// plan puts the file and the flags together. Its errors are those of the command line.
func (c *loadCommand) plan() (*load.Plan, error) {
	p := &load.Plan{}
	if c.Scenario != "" {
		var err error
		if p, err = load.ReadPlan(c.Scenario); err != nil {
			return nil, err
		}
		for flag, given := range map[string]bool{
			"--emit": c.Emit != "", "--payload": len(c.Payload) > 0, "--size": c.Size != 0, "--binary": c.Binary != 0, "--every": c.Every != 0,
			"--ack": c.Ack, "--expect": c.Expect != "", "--think": c.Think != "", "--join": c.Join != "", "--auth": c.Auth != "",
			"--namespace": c.Namespace != "", "--together": c.Together, "--timeout": c.Timeout != 0,
		} {
			if given {
				return nil, fmt.Errorf("%s says what clients do, and so does --scenario: want one of them", flag)
			}
		}
	}
	raw := cmp.Or(c.URL, p.URL)
	if raw == "" {
		return nil, errors.New("there is no URL to load")
	}
	u, err := parseTarget(raw)
	if err != nil {
		return nil, err
	}
	namespace := cmp.Or(c.Namespace, strings.TrimSuffix(u.Path, "/"))
	u.Path, u.RawPath = "", ""
	p.URL = u.String()
	if c.Clients < 0 || c.Ramp < 0 || c.Rate < 0 || c.Duration < 0 || c.Every < 0 || c.Timeout < 0 || c.Connecting < 0 || c.ConnectTimeout < 0 {
		return nil, errors.New("numbers and times can't be negative")
	}
	if c.Rate > 0 && c.Ramp > 0 {
		return nil, errors.New("--rate and --ramp both say how fast to connect: want one of them")
	}
	p.Clients = cmp.Or(c.Clients, p.Clients, 100)
	p.Ramp = cmp.Or(c.Ramp, p.Ramp)
	if c.Rate > 0 {
		p.Ramp = time.Duration(float64(p.Clients) / c.Rate * float64(time.Second))
	}
	p.Duration = cmp.Or(c.Duration, p.Duration)
	p.Path = cmp.Or(c.Path, p.Path)
	p.Connecting = cmp.Or(c.Connecting, p.Connecting)
	p.Timeout = cmp.Or(c.ConnectTimeout, p.Timeout)
	p.Reconnect = p.Reconnect || c.Reconnect
	p.Insecure = p.Insecure || c.Insecure
	if len(c.LocalAddress) > 0 {
		p.Local = c.LocalAddress
	}
	if c.Transport != "" {
		if p.Mix, err = load.ParseMix(c.Transport); err != nil {
			return nil, err
		}
	}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return nil, errors.New("--header is NAME: VALUE, such as 'Authorization: Bearer …'")
		}
		if p.Header == nil {
			p.Header = http.Header{}
		}
		p.Header.Add(name, strings.TrimSpace(value))
	}
	if c.Users != "" {
		text, err := os.ReadFile(c.Users)
		if err != nil {
			return nil, fmt.Errorf("--users: %w", err)
		}
		if p.Users, err = load.ParseUsers(c.Users, text); err != nil {
			return nil, fmt.Errorf("--users: %w", err)
		}
	}
	if c.Scenario == "" {
		auth := c.Auth
		if file, ok := strings.CutPrefix(auth, "@"); ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--auth: %w", err)
			}
			auth = string(text)
		}
		if c.Emit == "" && (len(c.Payload) > 0 || c.Size != 0 || c.Binary != 0 || c.Ack || c.Every != 0) {
			return nil, errors.New("--payload, --size, --binary, --every and --ack are about the event of --emit, which is missing")
		}
		sc, err := load.Emission{
			Namespace: namespace, Auth: auth, Join: c.Join, Event: c.Emit, Payload: c.Payload, Size: c.Size, Binary: c.Binary,
			Every: c.Every, Together: c.Together, Ack: c.Ack, Timeout: c.Timeout, Expect: c.Expect, Think: c.Think,
		}.Scenario()
		if err != nil {
			return nil, err
		}
		p.Scenarios = []*load.Scenario{sc}
	} else if namespace != "" {
		for _, sc := range p.Scenarios {
			sc.Namespace = cmp.Or(sc.Namespace, namespace)
		}
	}
	for _, text := range c.FailIf {
		check, err := load.ParseCheck(text)
		if err != nil {
			return nil, err
		}
		p.Checks = append(p.Checks, check)
	}
	return p, nil
}

// Run makes the load until it is over, or until SIGINT or SIGTERM.
func (c *loadCommand) Run(s streams) error {
	p, err := c.plan()
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		if _, ok := errors.AsType[*load.LimitError](err); ok {
			return err
		}
		return codeError{exitUsage, err.Error()}
	}
	var report *os.File
	if c.Report != "" {
		// Before the load: it would be a pity to find out afterwards.
		if report, err = os.Create(c.Report); err != nil {
			return err
		}
		defer report.Close()
	}
	ctx := c.ctx
	if ctx == nil {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second Ctrl+C ends the process at once
	}
	var o load.Observer
	if !c.Quiet {
		o = load.NewScreen(s.err, refreshable(s.err))
	}
	r, err := load.Run(ctx, p, o)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = r.WriteTable(s.out)
	}
	if err != nil {
		return err
	}
	if report != nil {
		if err := errors.Join(r.WriteReport(report), report.Close()); err != nil {
			return err
		}
		fmt.Fprintf(s.err, "\nThe report is in %s\n", c.Report)
	}
	switch {
	case r.Counts.Connects == 0:
		return codeError{exitConnect, "not one client connected"}
	case r.Failed():
		return codeError{exitCheck, "a check failed"}
	}
	return nil
}

// refreshable reports whether w is a terminal on which lines can be written again.
func refreshable(w any) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
