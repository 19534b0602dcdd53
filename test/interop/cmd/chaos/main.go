//go:build linux

// Command chaos treats clusters badly and reports what became of the messages: see package chaos. It takes about
// a quarter of an hour. Root, for whom network namespaces can be made, gets the runs with pulled cables as well.
//
//	go run ./cmd/chaos                               everything
//	go run ./cmd/chaos -short                        a little of everything
//	go run ./cmd/chaos -adapters nats -runs kill,hop some of it
//	go run ./cmd/chaos -docs ../../docs              also writes the figures into reliability.md there, if all is well
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/chaos"
)

// kinds are the clusters, in the order of the tables.
var kinds = []string{"redis-classic", "redis-sharded", "redis-streams", "nats", "embedded", "postgres"}

func main() {
	chaos.Child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	adapters, runs []string
	short, verbose bool
	plain          bool
	recovery       string
	jobs, times    int
	docs           string
}

func parseFlags(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	var names []string
	for _, r := range chaos.Runs {
		names = append(names, r.Name)
	}
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(stderr)
	adapters := f.String("adapters", strings.Join(kinds, ","), "comma-separated `adapters`")
	runs := f.String("runs", strings.Join(names, ","), "comma-separated `runs`")
	f.StringVar(&o.recovery, "recovery", "", "on or off: only runs with, or without, connection state recovery")
	f.BoolVar(&o.short, "short", false, "a few times of everything, instead of 50 kills")
	f.IntVar(&o.times, "times", 0, "how often each thing is done, instead of what is usual")
	f.IntVar(&o.jobs, "jobs", 2, "clusters at a time")
	f.BoolVar(&o.plain, "no-namespaces", false, "do without network namespaces, as when not root")
	f.StringVar(&o.docs, "docs", "", "also write the figures into reliability.md in this `folder`")
	f.BoolVar(&o.verbose, "v", false, "servers log to standard error")
	f.Usage = func() {
		fmt.Fprint(stderr, "Chaos starts clusters of three servers, kills, cuts off and replaces what they are made of,\n"+
			"and reports which messages were lost, repeated or reordered.\n\nRuns:\n")
		for _, r := range chaos.Runs {
			fmt.Fprintf(stderr, "  %-8s %s (%d, with -short %d)\n", r.Name, r.What, usual[r.Name].long, usual[r.Name].short)
		}
		fmt.Fprint(stderr, "\nFlags:\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("what is %q?", f.Arg(0))
	}
	o.adapters, o.runs = strings.Split(*adapters, ","), strings.Split(*runs, ",")
	for _, a := range o.adapters {
		if !slices.Contains(kinds, a) {
			return nil, fmt.Errorf("-adapters: %q is none of %s", a, strings.Join(kinds, ", "))
		}
	}
	for _, r := range o.runs {
		if !slices.Contains(names, r) {
			return nil, fmt.Errorf("-runs: %q is none of %s", r, strings.Join(names, ", "))
		}
	}
	if o.recovery != "" && o.recovery != "on" && o.recovery != "off" {
		return nil, errors.New("-recovery is on or off")
	}
	if o.docs != "" && (o.short || o.times > 0) {
		return nil, errors.New("-docs wants the usual numbers: leave -short and -times out")
	}
	if o.jobs < 1 {
		return nil, errors.New("-jobs must be 1 or more")
	}
	return o, nil
}

// usual is how often things are done.
var usual = map[string]struct{ long, short int }{
	"steady": {20, 3}, "kill": {50, 3}, "broker": {10, 1}, "cut": {6, 1}, "hold": {6, 1}, "reset": {10, 1}, "rolling": {9, 3}, "hop": {200, 20},
}

// recovers says which adapters have recovery across servers.
var recovers = []string{"redis-streams"}

// A job is a run of one kind of cluster.
type job struct {
	run      chaos.Run
	adapter  string
	recovery bool
	times    int
}

func (j *job) name() string {
	if j.recovery {
		return j.adapter + " with recovery"
	}
	return j.adapter
}

func jobs(o *options) []job {
	var all []job
	for _, adapter := range o.adapters {
		for _, recovery := range []bool{false, true} {
			if recovery && (o.recovery == "off" || !slices.Contains(recovers, adapter)) || !recovery && o.recovery == "on" {
				continue
			}
			for _, name := range o.runs {
				run, _ := chaos.Find(name)
				if run.Broker && adapter == "embedded" || run.Isolated && !chaos.Isolated() {
					continue
				}
				times := usual[name].long
				if o.short {
					times = usual[name].short
				}
				if o.times > 0 {
					times = o.times
				}
				all = append(all, job{run, adapter, recovery, times})
			}
		}
	}
	return all
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if !o.plain && !chaos.Isolated() {
		code, err := chaos.Isolate()
		if err == nil {
			os.Exit(code)
		}
		fmt.Fprintf(stderr, "no cables are pulled: %v\n", err)
	}
	todo := jobs(o)
	results := make([]*chaos.Result, len(todo))
	failures := make([]error, len(todo))
	began := time.Now()
	var mu sync.Mutex // guards what is printed
	next, done := 0, 0
	var wg sync.WaitGroup
	for range o.jobs {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(todo) {
					return
				}
				j := todo[i]
				results[i], failures[i] = j.run.Do(ctx, chaos.Options{Adapter: j.adapter, Recovery: j.recovery, Verbose: o.verbose}, j.times)
				if failures[i] == nil {
					failures[i] = results[i].Report.Err()
				}
				mu.Lock()
				done++
				fmt.Fprintf(stderr, "%6s  %2d of %d  %-28s %-8s", time.Since(began).Round(time.Second), done, len(todo), j.name(), j.run.Name)
				if r := results[i]; r != nil {
					fmt.Fprintf(stderr, " %s\n", line(r))
				}
				if failures[i] != nil {
					fmt.Fprintf(stderr, "        FAILED: %v\n", failures[i])
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	found := rows(results)
	fmt.Fprint(stdout, markdown(found))
	bad := 0
	for _, err := range failures {
		if err != nil {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d runs failed", bad, len(todo))
	}
	if o.docs != "" {
		return writeDocs(o.docs, found, order())
	}
	return nil
}

// order is that of the rows of the table.
func order() []string {
	var keys []string
	for _, kind := range kinds {
		for _, name := range []string{kind, kind + ", recovery"} {
			for _, r := range chaos.Runs {
				keys = append(keys, name+"/"+r.Name)
			}
		}
	}
	return keys
}
