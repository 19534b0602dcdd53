//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
)

func result(mode load.Mode, perOp time.Duration) *load.Result {
	return &load.Result{Mode: mode, Clients: 10000, Ops: 100, CPU: 100 * perOp, Elapsed: time.Second, RSSCollected: 5500}
}

// sample has our server at the given costs of an echo, round by round, beside a floor of 10 µs and a Node of 40 µs.
func sample(echo ...time.Duration) (*options, *measurements, []*program, []line) {
	m := &measurements{results: map[string]map[string][]*load.Result{}, clients: 10000}
	add := func(scenario, server string, r *load.Result) {
		if m.results[scenario] == nil {
			m.results[scenario] = map[string][]*load.Result{}
		}
		m.results[scenario][server] = append(m.results[scenario][server], r)
	}
	for _, cost := range echo {
		add("echo1", "target", result(load.Echo, cost))
		add("echo1", "floor", result(load.Echo, 10*time.Microsecond))
		add("echo1", "node", result(load.Echo, 40*time.Microsecond))
		for _, s := range []string{"target", "node"} {
			add("polling", s, result(load.Polling, 100*time.Microsecond))
		}
		for _, s := range []string{"target", "floor", "node"} {
			add("connect", s, result(load.Connect, 100*time.Microsecond))
		}
	}
	servers := []*program{{name: "floor", title: "floor"}, {name: "target", title: "Sockeye"}, {name: "node", title: "Node <4>"}}
	return &options{repeat: len(echo)}, m, servers, lines
}

func rowOf(t *testing.T, rep *report, title string) row {
	t.Helper()
	for _, r := range rep.rows {
		if strings.HasPrefix(r.title, title) {
			return r
		}
	}
	t.Fatalf("no row %q", title)
	return row{}
}

func TestVerdicts(t *testing.T) {
	const us = time.Microsecond
	rep := newReport(sample(12*us, 12500, 30*us)) // the median is exactly at the limit
	if r := rowOf(t, rep, "CPU for an echo with"); r.verdict != passed || r.values["target"] != 12.5 || r.ratios["floor"] != (spread{1.25, 1.2, 3}) {
		t.Errorf("%+v", r)
	}
	if r := rowOf(t, rep, "CPU for an echo over long-polling"); r.verdict != failed || r.limit != 50 {
		t.Errorf("%+v", r)
	}
	if r := rowOf(t, rep, "Memory"); r.verdict != passed || r.values["target"] != 5.5 {
		t.Errorf("%+v", r)
	}
	if rep.missed != 1 {
		t.Errorf("%d budgets missed", rep.missed)
	}
	rep = newReport(sample(13*us, 13*us, us))
	if r := rowOf(t, rep, "CPU for an echo with"); r.verdict != failed {
		t.Errorf("%+v", r)
	}
}

func TestOneLostConnectionInAnyRoundMissesTheBudget(t *testing.T) {
	o, m, servers, lines := sample(time.Microsecond, time.Microsecond, time.Microsecond)
	m.results["connect"]["target"][1].Lost = 1
	if r := rowOf(t, newReport(o, m, servers, lines), "Connections lost"); r.verdict != failed {
		t.Errorf("%+v", r)
	}
}

func TestWithoutAServerThereIsNoVerdict(t *testing.T) {
	o, m, servers, lines := sample(time.Microsecond)
	for _, byServer := range m.results {
		delete(byServer, "node")
	}
	rep := newReport(o, m, servers[:2], lines)
	if r := rowOf(t, rep, "CPU for an echo over long-polling"); r.verdict != none {
		t.Errorf("%+v", r)
	}
	for _, byServer := range m.results {
		delete(byServer, "target")
	}
	rep = newReport(o, m, servers[:1], lines)
	if strings.Contains(rep.table(), "budget") || rep.missed != 0 {
		t.Error(rep.table())
	}
}

func TestTablesAreTables(t *testing.T) {
	rep := newReport(sample(time.Microsecond, 2*time.Microsecond))
	for name, table := range map[string]string{"budgets": rep.table(), "timings": rep.timingTable()} {
		lines := strings.Split(strings.TrimSpace(table), "\n")
		if len(lines) < 4 {
			t.Errorf("%s:\n%s", name, table)
		}
		for _, l := range lines {
			if len([]rune(l)) != len([]rune(lines[0])) || strings.Count(l, "|") != strings.Count(lines[0], "|") {
				t.Errorf("%s: an uneven line %q", name, l)
			}
		}
	}
}

func TestPageNamesNoMachine(t *testing.T) {
	rep := newReport(sample(time.Microsecond))
	if strings.Contains(rep.markdown(), "## The Go client") {
		t.Error("a page without clients speaks of them")
	}
	o, m, programs, _ := sample(time.Microsecond)
	m.results["client-echo1"] = m.results["echo1"]
	rep.clients = newReport(o, m, programs[1:], clientLines)
	page := rep.markdown()
	if !strings.Contains(page, rep.table()) || !strings.Contains(page, rep.clients.table()) || !strings.Contains(page, "cores, Linux ") {
		t.Error(page)
	}
	if strings.Contains(page, "<no value>") || strings.Contains(page, "/home/") || strings.Contains(page, "{{") {
		t.Error(page)
	}
}

func TestChartIsXML(t *testing.T) {
	rep := newReport(sample(time.Microsecond))
	d := xml.NewDecoder(strings.NewReader(rep.chart("What it costs")))
	rects := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			rects++
		}
	}
	// The page, three keys, and bars: memory 3, echo 3, polling 2, connect 3. Counts are not drawn.
	if rects != 1+3+11 {
		t.Errorf("%d rectangles", rects)
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 1.234: "1.23", 12.34: "12.3", 567.8: "568"} {
		if got := number(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	if o, err := parseFlags([]string{"-quick", "-only", "echo1,rooms"}, io.Discard); err != nil || o.repeat != 1 || len(o.only) != 2 {
		t.Error(o, err)
	}
	for _, args := range [][]string{{"-only", "dance"}, {"extra"}, {"-only", "echo1", "-docs", "."}, {"-unknown"}} {
		if o, err := parseFlags(args, io.Discard); err == nil {
			t.Errorf("%v: %+v", args, o)
		}
	}
}

func TestServersAcross(t *testing.T) {
	_, m, programs, _ := sample(time.Microsecond)
	for _, l := range acrossLines() {
		m.results[l.scenario] = map[string][]*load.Result{"target": {result(load.Spread, 10*time.Microsecond)}}
		if l.budget != nil {
			m.results[l.scenario]["node"] = []*load.Result{result(load.Spread, 30*time.Microsecond)}
		}
	}
	rep := newReport(sample(time.Microsecond))
	rep.across = newReport(&options{repeat: 1}, m, programs[1:], acrossLines())
	rep.acrossTimings = acrossTimings(m, programs[1:])
	if n := len(rep.across.rows); n != len(acrossServers)*len(acrossLoads)*len(brokers) || rep.across.missed != 0 {
		t.Errorf("%d rows, %d budgets missed", n, rep.across.missed)
	}
	if page := rep.markdown(); !strings.Contains(page, rep.across.table()) || !strings.Contains(page, rep.acrossTimings) {
		t.Error(page)
	}
	if n := strings.Count(rep.across.acrossChart(), `class="row"`); n != len(acrossLoads)*len(brokers) {
		t.Errorf("%d rows are drawn", n)
	}
}

// The whole way, with every load, for two servers over Redis.
func TestTwoServersFromBuildToRow(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	p, err := prepareAcross(t.Context(), t.TempDir(), []string{"target"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if p.redis == nil {
		t.Skip("redis-server is missing")
	}
	m := &measurements{results: map[string]map[string][]*load.Result{}}
	o := &options{repeat: 1, quick: true}
	if err := measureCluster(t.Context(), o, p, p.servers[0], brokers[0], 2, m, "", t.Output()); err != nil {
		t.Fatal(err)
	}
	if len(m.failures) > 0 {
		t.Error(m.failures)
	}
	for _, l := range acrossLoads {
		r := m.results[acrossName(l, brokers[0], 2)]["target"]
		if len(r) != 1 || r[0].Ops == 0 || r[0].CPU == 0 {
			t.Errorf("%s: %+v", l.name, r)
		}
	}
}

// The whole way: build a server, start it, put a load on it, stop it.
func TestFloorFromBuildToRow(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	servers, err := prepare(t.Context(), t.TempDir(), []string{"floor"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	i, err := servers[0].start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer i.stop()
	r, err := load.Run(load.Config{Mode: load.Idle, Clients: 1000, Addr: i.addr, PID: i.cmd.Process.Pid, Settle: time.Millisecond, Collect: true})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Ops != 1000 || r.CPU == 0 || r.RSS == 0 {
		t.Errorf("%+v", r)
	}
}
