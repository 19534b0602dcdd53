package main

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/chat"
)

// A server of a cluster that is drained has its visitors go on on the others, and leaves nobody behind in the room.
func TestClusterDrain(t *testing.T) {
	first := startProcess(t, "--node-id", "A", "--drain", "2s")
	processes := []*process{first, startProcess(t, "--cluster", first.nats), startProcess(t, "--cluster", first.nats)}
	front := balance(t, processes)
	var visitors []*visitor
	for i, transports := range [][]string{
		{"polling"}, {"streaming"}, {"websocket"}, {"polling", "websocket"}, {"polling"}, {"websocket"}, {"websocket"},
	} {
		visitors = append(visitors, visit(t, front, fmt.Sprint("V", i), transports))
	}
	last := visitors[len(visitors)-1]
	last.await(t, "everybody", func() bool { return len(last.people) == len(visitors) })
	everybodyTalks(t, visitors, "hello")

	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	everybodySays(t, visitors, "meanwhile")
	if err := first.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	everybodyJoins(t, visitors)
	// Who was just on his way to another server has not heard it, but is told when he joins again.
	for _, v := range visitors {
		for _, from := range visitors {
			v.mu.Lock()
			knows := func(line string) bool { return slices.Contains(v.heard, line) || slices.Contains(v.told, line) }
			if from != v && !knows(from.name+": meanwhile") && !knows(from.name+" 2: meanwhile") { // see everybodyTalks
				t.Errorf("%s does not know what %s said: heard %q, was told %q", v.name, from.name, v.heard, v.told)
			}
			v.mu.Unlock()
		}
	}
	everybodyTalks(t, visitors, "afterwards")
	for end := time.Now().Add(longPatience); ; time.Sleep(200 * time.Millisecond) {
		last.join()
		last.mu.Lock()
		people := last.people
		last.mu.Unlock()
		all := len(people) == len(visitors)
		for _, v := range visitors {
			all = all && slices.ContainsFunc(people, func(u chat.User) bool { return u.ID == v.s.ID() })
		}
		if all {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the room has %v", people)
		}
	}
}
