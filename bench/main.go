//go:build linux

// Command bench measures Sockeye against a server without logic and against the Node server, its Go client against Node's,
// and several servers as one against several of Node's, prints the tables, and says which budgets hold. It takes about ten
// minutes, and is run in this folder:
//
//	go run .                          everything, the table on standard output
//	go run . -quick                   one short round, for a first look
//	go run . -only echo1,broadcast10  some of it
//	go run . -docs ../docs            also writes benchmarks.md and its pictures there
//
// Servers take turns on every load and in every round, so that a change in what else the machine does falls on all of
// them. Figures are medians over the rounds; a ratio is the median of each round's ratio.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

type options struct {
	only, servers []string
	repeat        int
	quick, check  bool
	docs          string
}

func parseFlags(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	only := f.String("only", "", "comma-separated `loads`: "+strings.Join(scenarioNames(), ", "))
	servers := f.String("servers", "floor,target,node", "comma-separated `servers` to measure")
	f.IntVar(&o.repeat, "repeat", 0, "rounds; 0: 3, or 1 with -quick")
	f.BoolVar(&o.quick, "quick", false, "short loads and 3,000 connects")
	f.BoolVar(&o.check, "check", false, "fail when a budget is missed")
	f.StringVar(&o.docs, "docs", "", "also write benchmarks.md and its pictures into this `folder`")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("what is %q?", f.Arg(0))
	}
	o.servers = strings.Split(*servers, ",")
	if *only != "" {
		o.only = strings.Split(*only, ",")
		for _, name := range o.only {
			if !slices.Contains(scenarioNames(), name) {
				return nil, fmt.Errorf("-only: no load is named %q", name)
			}
		}
		if o.docs != "" {
			return nil, errors.New("-docs wants every load: leave -only out")
		}
	}
	if o.repeat == 0 {
		o.repeat = 3
		if o.quick {
			o.repeat = 1
		}
	}
	return o, nil
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	for _, s := range clientScenarios {
		names = append(names, s.name)
	}
	for _, l := range acrossLoads {
		names = append(names, l.name)
	}
	return names
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if _, err := os.Stat("floor/main.go"); err != nil {
		return errors.New("run me in the folder bench")
	}
	dir, err := os.MkdirTemp("", "sockeye-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	servers, err := prepare(ctx, dir, o.servers, stderr)
	if err != nil {
		return err
	}
	m, err := measure(ctx, o, servers, stderr)
	if err != nil {
		return err
	}
	clients, err := prepareClients(ctx, dir, o.servers, stderr)
	if err != nil {
		return err
	}
	cm, err := measureClients(ctx, o, clients, servers, stderr)
	if err != nil {
		return err
	}
	cluster, err := prepareAcross(ctx, dir, o.servers, stderr)
	if err != nil {
		return err
	}
	am, err := measureAcross(ctx, o, cluster, stderr)
	if err != nil {
		return err
	}
	rep := newReport(o, m, servers, lines)
	rep.across = newReport(o, am, cluster.servers, acrossLines())
	rep.across.repeat = acrossRounds(o)
	rep.acrossTimings = acrossTimings(am, cluster.servers)
	rep.clients = newReport(o, cm, clients, clientLines)
	if len(rep.rows) > 0 {
		fmt.Fprint(stdout, "Servers\n\n", rep.table())
	}
	if len(rep.clients.rows) > 0 {
		fmt.Fprint(stdout, "\nClients\n\n", rep.clients.table())
	}
	if len(rep.across.rows) > 0 {
		fmt.Fprint(stdout, "\nSeveral servers\n\n", rep.across.table(), "\n", rep.acrossTimings)
	}
	if o.docs != "" {
		if err := os.WriteFile(filepath.Join(o.docs, "benchmarks.md"), []byte(rep.markdown()), 0o644); err != nil {
			return err
		}
		if len(rep.across.rows) > 0 {
			if err := os.WriteFile(filepath.Join(o.docs, "benchmarks-servers.svg"), []byte(rep.across.acrossChart()), 0o644); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(o.docs, "benchmarks.svg"), []byte(rep.chart("What an operation costs the server")), 0o644); err != nil {
			return err
		}
	}
	if failures := append(m.failures, am.failures...); len(failures) > 0 {
		return fmt.Errorf("not every message arrived as it should:\n%s", strings.Join(failures, "\n"))
	}
	if missed := rep.missed + rep.clients.missed + rep.across.missed; o.check && missed > 0 {
		return fmt.Errorf("%d budgets are missed", missed)
	}
	return nil
}

// measurements holds every result: by load, by server, one a round.
type measurements struct {
	results  map[string]map[string][]*load.Result
	failures []string
	clients  int // in the connect load
}

func measure(ctx context.Context, o *options, servers []*program, log io.Writer) (*measurements, error) {
	m := &measurements{results: map[string]map[string][]*load.Result{}}
	for _, sc := range scenarios {
		m.results[sc.name] = map[string][]*load.Result{}
	}
	for round := range o.repeat {
		for _, sc := range scenarios {
			if o.only != nil && !slices.Contains(o.only, sc.name) {
				continue
			}
			for _, s := range servers {
				if sc.skip == s.name {
					continue
				}
				r, err := measureOne(ctx, o, sc, s)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.name, err)
				}
				fmt.Fprintf(log, "round %d/%d  %-12s %-8s %8.2f µs  %8.0f/s\n", round+1, o.repeat, sc.name, s.name,
					cpuMicros(r), float64(r.Ops)/r.Elapsed.Seconds())
				if !r.OK() {
					m.failures = append(m.failures, fmt.Sprintf("%s, %s: lost %d, wrong %d: %s", s.name, sc.name, r.Lost, r.Wrong, r.Failure))
				}
				m.results[sc.name][s.name] = append(m.results[sc.name][s.name], r)
				if r.Mode == load.Connect {
					m.clients = r.Clients
				}
			}
		}
	}
	return m, nil
}

func measureOne(ctx context.Context, o *options, sc scenario, s *program) (*load.Result, error) {
	cfg := sc.config
	cfg.Warmup, cfg.Duration = time.Second, 2*time.Second
	if o.quick {
		cfg.Warmup, cfg.Duration = 400*time.Millisecond, 800*time.Millisecond
	}
	if cfg.Mode == load.Connect {
		if o.quick {
			cfg.Clients = 3000
		}
		cfg.Clients = min(cfg.Clients, maxClients())
	}
	i, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	defer i.stop()
	cfg.Addr, cfg.PID = i.addr, i.cmd.Process.Pid
	r, err := load.Run(cfg)
	if err != nil {
		if out := i.output.String(); out != "" {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return nil, err
	}
	return r, nil
}

// maxClients is how many connections the limit on open files allows, in this process and in the servers alike.
func maxClients() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 500
	}
	return int(min(limit.Max, 1<<20)) - 200
}
