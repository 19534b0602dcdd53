// Package node is one server of the cluster that package chaos ill-treats: a process of its own, so that it can be killed.
package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// Config is what a server is told on its command line, as JSON.
type Config struct {
	Name     string // such as "A"
	Process  string // the name, and which of its lives
	Listen   string // HOST:PORT for clients
	Adapter  string // a key of Adapters
	Broker   string // HOST:PORT
	Cluster  string // HOST:PORT for the other servers, if the adapter is "embedded"
	Peers    []string
	Recovery bool
	Drain    time.Duration // how long it takes to leave after SIGTERM
	Verbose  bool
}

// Hello is what a client says of itself when it connects.
type Hello struct {
	Rooms []string `json:"rooms"`
}

// Welcome is what a server answers once the client is in its rooms, as the event "ready".
type Welcome struct {
	Node      string `json:"node"`
	Process   string `json:"process"`
	Recovered bool   `json:"recovered"`
}

// A Said is what the server acknowledges a message with.
type Said struct {
	Node    string `json:"node"`
	Process string `json:"process"`
	Error   string `json:"error,omitempty"` // that of Emit
}

// Ready is the line that a server prints when it serves.
const Ready = "serving"

// Main runs a server until SIGTERM, or until its standard input ends, so that it can't outlive who started it. It
// returns the exit code.
func Main(config string) int {
	var c Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 2
	}
	if err := run(&c, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "node %s: %v\n", c.Process, err)
		return 1
	}
	return 0
}

func run(c *Config, stdin io.Reader, stdout io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = bufio.NewReader(stdin).ReadString(0)
		os.Exit(3)
	}()
	level := slog.LevelError
	if c.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", c.Process)
	join, ok := Adapters[c.Adapter]
	if !ok {
		return fmt.Errorf("there is no adapter %q", c.Adapter)
	}
	m, err := join(c, log)
	if err != nil {
		return err
	}
	opts := &socketio.Options{
		Adapter: m.adapter, Logger: log,
		// Clients notice a dead connection soon, and so does the server.
		Engine: engineio.Options{PingInterval: 2 * time.Second, PingTimeout: 2 * time.Second},
	}
	if c.Recovery {
		opts.Recovery = &socketio.RecoveryOptions{MaxPackets: 1 << 16}
	}
	sio := socketio.NewServer(opts)
	serve(sio, c)
	m.wait(ctx, len(c.Peers))
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: sio, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	fmt.Fprintln(stdout, Ready)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), c.Drain)
	defer cancel()
	if err := sio.Drain(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	end, cancelEnd := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancelEnd()
	return errors.Join(sio.Shutdown(end), server.Shutdown(end), m.close())
}

// serve is what the server does: clients get into the rooms that they name, and whatever they say to a room is emitted
// to it.
func serve(sio *socketio.Server, c *Config) {
	welcome := Welcome{Node: c.Name, Process: c.Process}
	var connections counter
	sio.OnConnection(func(s *socketio.Socket) {
		origin := fmt.Sprintf("%s-%d", c.Process, connections.next())
		s.On("say", func(_ context.Context, m *event.Message) error {
			var to, sender string
			var n int
			if err := m.Bind(&to, &sender, &n); err != nil {
				return err
			}
			said := Said{Node: c.Name, Process: c.Process}
			if err := sio.To(to).Emit("m", sender, n, origin); err != nil {
				said.Error = err.Error()
			}
			return m.Ack(said)
		})
		var hello Hello
		if err := s.Auth(&hello); err != nil {
			s.Disconnect(true)
			return
		}
		s.Join(hello.Rooms...)
		w := welcome
		w.Recovered = s.Recovered()
		_ = s.Emit("ready", w) // who is gone meanwhile needs no welcome
	})
}
