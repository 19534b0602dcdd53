package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/examples/internal/try"
)

func TestMain(m *testing.M) { try.Main(m, main) }

func as(name, room string) map[string]string { return map[string]string{"name": name, "room": room} }

func TestChat(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)

	ada := p.WebSocket(t, as("Ada", "tea")).Joined()
	bob := p.Polling(t, as("Bob", "tea")).Joined()
	elsewhere := p.WebSocket(t, as("Eve", "coffee")).Joined()
	for present := 0; present != 2; {
		ada.Next("present", &present)
	}

	if failed := ada.Ask(nil, "say", "Hello"); failed != nil {
		t.Fatal(failed)
	}
	var got line
	bob.Next("line", &got)
	if got != (line{"Ada", "Hello"}) {
		t.Errorf("Bob got %+v", got)
	}
	bob.Emit("typing")
	var who string
	ada.Next("typing", &who)
	if who != "Bob" {
		t.Errorf("%q is typing", who)
	}

	// What was said over tea has not reached the other room: the first line there is its own.
	p.WebSocket(t, as("Zoe", "coffee")).Joined().Emit("say", "Two sugars")
	elsewhere.Next("line", &got)
	if got != (line{"Zoe", "Two sugars"}) {
		t.Errorf("the other room got %+v", got)
	}

	bob.Close()
	for present := 0; present != 1; {
		ada.Next("present", &present)
	}
}

func TestChatBounds(t *testing.T) {
	p := try.Start(t)
	for _, auth := range []any{nil, as("", "tea"), as("Ada", strings.Repeat("x", maxName+1)), map[string]int{"name": 1}} {
		p.WebSocket(t, auth).Refused(nil)
	}
	c := p.WebSocket(t, as("Ada", "tea")).Joined()
	if failed := c.Ask(nil, "say", strings.Repeat("é", maxText+1)); failed == nil || failed.Code != "length" {
		t.Errorf("a line that is too long: %+v", failed)
	}
	if failed := c.Ask(nil, "say", 7); failed == nil || failed.Code != "bad_request" {
		t.Errorf("a line that is a number: %+v", failed)
	}
	for i := range 1000 {
		if failed := c.Ask(nil, "say", fmt.Sprint(i)); failed != nil {
			if failed.Code != "too_fast" || i < burst {
				t.Errorf("line %d: %+v", i, failed)
			}
			return
		}
	}
	t.Error("a flood is not stopped")
}
