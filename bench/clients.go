//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
	"github.com/sockeye-io/sockeye/bench/internal/process"
)

// prepareClients is prepare for the client programs, which follow the contract for clients in README.md. Ours goes by
// the name of our server, so that both are reported alike.
func prepareClients(ctx context.Context, dir string, names []string, log io.Writer) ([]*program, error) {
	var clients []*program
	if slices.Contains(names, ours) {
		c := &program{name: ours, title: "Sockeye", argv: []string{dir + "/client"}}
		if err := command(ctx, ".", "go", "build", "-o", c.argv[0], "./client"); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		clients = append(clients, c)
	}
	if slices.Contains(names, "node") {
		c := &program{name: "node"}
		if err := prepareNode(ctx, c, "socket.io-client", "client.js"); err != nil {
			fmt.Fprintf(log, "Node's client is left out: %v\n", err)
		} else {
			clients = append(clients, c)
		}
	}
	return clients, nil
}

// measureClients is measure for the client programs, with one server for all.
func measureClients(ctx context.Context, o *options, clients, servers []*program, log io.Writer) (*measurements, error) {
	m := &measurements{results: map[string]map[string][]*load.Result{}}
	i := slices.IndexFunc(servers, func(s *program) bool { return s.name == ours })
	if i < 0 {
		return m, nil
	}
	for _, sc := range clientScenarios {
		m.results[sc.name] = map[string][]*load.Result{}
	}
	for round := range o.repeat {
		for _, sc := range clientScenarios {
			if o.only != nil && !slices.Contains(o.only, sc.name) {
				continue
			}
			for _, c := range clients {
				r, err := measureClient(ctx, o, sc, c, servers[i])
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					return nil, fmt.Errorf("client %s, %s: %w", c.name, sc.name, err)
				}
				fmt.Fprintf(log, "round %d/%d  %-14s %-6s %8.2f µs  %8.0f/s\n", round+1, o.repeat, sc.name, c.name,
					cpuMicros(r), float64(r.Ops)/r.Elapsed.Seconds())
				m.results[sc.name][c.name] = append(m.results[sc.name][c.name], r)
				if r.Mode == load.Connect {
					m.clients = r.Clients
				}
			}
		}
	}
	return m, nil
}

func measureClient(ctx context.Context, o *options, sc clientScenario, c, server *program) (*load.Result, error) {
	warmup, duration := time.Second, 2*time.Second
	if o.quick {
		warmup, duration = 400*time.Millisecond, 800*time.Millisecond
		sc.clients = min(sc.clients, 2000)
	}
	sc.clients = min(sc.clients, maxClients())
	s, err := server.start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	p, err := c.run(ctx, "ADDR="+s.addr, "CLIENTS="+strconv.Itoa(sc.clients), "INFLIGHT="+strconv.Itoa(sc.inFlight))
	if err != nil {
		return nil, err
	}
	defer p.end()
	r := &load.Result{Mode: load.Connect, Clients: sc.clients, InFlight: sc.inFlight}
	if sc.inFlight > 0 {
		r.Mode = load.Echo
		return r, p.echo(r, warmup, duration)
	}
	return r, p.connect(r)
}

// A conversation is a client program that runs: it is told what to do line by line, and answers each with a line.
type conversation struct {
	process.Process
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	outPipe io.Closer
}

// run starts a client program and waits until it has warmed up.
func (s *program) run(ctx context.Context, env ...string) (*conversation, error) {
	p := &conversation{cmd: exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.in, p.out, p.outPipe, p.PID = in, bufio.NewScanner(out), out, p.cmd.Process.Pid
	if line, err := p.answer(); err != nil || line != "warm" {
		p.end()
		return nil, fmt.Errorf("no warm-up: %q, %w", line, err)
	}
	return p, nil
}

func (p *conversation) end() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// patience is how long a client program may take for an answer.
const patience = time.Minute

func (p *conversation) answer() (string, error) {
	timeout := time.AfterFunc(patience, func() { _ = p.outPipe.Close() })
	defer timeout.Stop()
	if !p.out.Scan() {
		return "", errors.Join(errors.New("the client program gives no answer"), p.out.Err())
	}
	return p.out.Text(), nil
}

func (p *conversation) ask(command string) (string, error) {
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		return "", err
	}
	return p.answer()
}

func (p *conversation) number(command string) (int, error) {
	line, err := p.ask(command)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// connect measures what it takes to connect, and the memory of those that are.
func (p *conversation) connect(r *load.Result) error {
	before, err := p.Collected()
	if err != nil {
		return err
	}
	n, err := p.measured(r, func() (int, error) { return p.number("connect") })
	if err != nil {
		return err
	}
	r.Ops = uint64(n)
	r.Lost = r.Clients - n
	time.Sleep(time.Second) // what is still under way
	after, err := p.Collected()
	r.RSSCollected = float64(after-before) / float64(n)
	return err
}

// echo measures echoes that go on and on.
func (p *conversation) echo(r *load.Result, warmup, duration time.Duration) error {
	if _, err := p.number("connect"); err != nil {
		return err
	}
	if _, err := p.ask("echo"); err != nil {
		return err
	}
	time.Sleep(warmup)
	before, err := p.number("count")
	if err != nil {
		return err
	}
	after, err := p.measured(r, func() (int, error) {
		time.Sleep(duration)
		return p.number("count")
	})
	r.Ops = uint64(after - before)
	return err
}

// measured notes the time and the processor time that f takes.
func (p *conversation) measured(r *load.Result, f func() (int, error)) (int, error) {
	cpu, err := p.CPU()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	n, err := f()
	if err != nil {
		return 0, err
	}
	r.Elapsed = time.Since(start)
	end, err := p.CPU()
	r.CPU = end - cpu
	return n, err
}
