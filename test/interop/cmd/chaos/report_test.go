//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/chaos"
	"github.com/sockeye-io/sockeye/test/interop/chaos/check"
)

func TestInsert(t *testing.T) {
	result := func(adapter, run string, due int) *chaos.Result {
		return &chaos.Result{Adapter: adapter, Run: run, Times: 2, Report: &check.Report{Due: due, Killed: 7},
			Back: []time.Duration{3 * time.Second, time.Second, 2 * time.Second}}
	}
	text := "before\n" + begin + end + "\nafter\n"
	var err error
	for _, found := range [][]*chaos.Result{
		{result("nats", "steady", 1), nil, result("redis-classic", "kill", 1234567)},
		{result("nats", "steady", 2), result("nats", "kill", 3)},
	} {
		if text, err = insert(text, rows(found), order()); err != nil {
			t.Fatal(err)
		}
	}
	want := "before\n" + begin + "\n" + header +
		"| redis-classic | kill × 2 | 0 | 1,234,567 | 0 | 0 | 0 | 0 | 0 | 7 | 0 | 2s (max 3s) |\n" +
		"| nats | steady × 2 | 0 | 2 | 0 | 0 | 0 | 0 | 0 | 7 | 0 | 2s (max 3s) |\n" +
		"| nats | kill × 2 | 0 | 3 | 0 | 0 | 0 | 0 | 0 | 7 | 0 | 2s (max 3s) |\n" +
		"\n" + end + "\nafter\n"
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if _, err := insert("nothing", nil, nil); err == nil {
		t.Error("a page without marks was taken")
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-adapters x":         "is none of redis-classic",
		"-runs x":             "is none of steady",
		"-recovery maybe":     "on or off",
		"-jobs 0":             "1 or more",
		"-docs . -short":      "usual numbers",
		"more":                "what is",
		"-adapters nats,nats": "",
	} {
		var out strings.Builder
		_, err := parseFlags(strings.Fields(args), &out)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	var help strings.Builder
	if _, err := parseFlags([]string{"-help"}, &help); err == nil {
		t.Error("no help")
	}
	for _, r := range chaos.Runs {
		if !strings.Contains(help.String(), r.What) || usual[r.Name].long == 0 || usual[r.Name].short == 0 {
			t.Errorf("the help does not tell of %s", r.Name)
		}
	}
}
