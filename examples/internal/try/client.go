package try

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Client speaks the protocol by hand. What it receives is queued, so that nothing is lost between two steps of a
// test.
type Client struct {
	t    *testing.T
	wire wire

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when something arrived
	events  []event
	acks    map[int][]json.RawMessage
	answers map[string]any       // to events that ask for an acknowledgement
	joined  chan json.RawMessage // what the server answered to CONNECT, or to the refusal of it
	ended   bool                 // the server disconnected the socket, or the connection is gone
	nextID  int
}

type event struct {
	name string
	args []json.RawMessage
}

// A wire carries the messages of Engine.IO.
type wire interface {
	// send sends messages; a []byte is binary, a string text.
	send(messages ...any) error
	// receive waits for the next text message. Binary ones are not expected by any test.
	receive() (string, error)
	close()
}

// WebSocket connects over WebSocket. Auth is what the client sends for authentication; nil sends nothing. Join or
// Refused must follow.
func (p *Program) WebSocket(t *testing.T, auth any) *Client {
	t.Helper()
	w, err := dialWebSocket(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, w, auth)
}

// Polling connects over HTTP long-polling.
func (p *Program) Polling(t *testing.T, auth any) *Client {
	t.Helper()
	w, err := dialPolling(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, w, auth)
}

func newClient(t *testing.T, w wire, auth any) *Client {
	t.Helper()
	c := &Client{t: t, wire: w, changed: make(chan struct{}), acks: make(map[int][]json.RawMessage), answers: make(map[string]any), joined: make(chan json.RawMessage, 1)}
	connect := "0"
	if auth != nil {
		connect += c.encode(auth)
	}
	if err := w.send(connect); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read()
	}()
	t.Cleanup(func() {
		w.close()
		<-done
	})
	return c
}

// Joined waits until the server has let the client in.
func (c *Client) Joined() *Client {
	c.t.Helper()
	var answer struct{ SID, Message string }
	c.decode(c.answer(), &answer)
	if answer.SID == "" {
		c.t.Fatalf("refused: %s", answer.Message)
	}
	return c
}

// TryJoin waits for the server's decision, and reports whether it has let the client in.
func (c *Client) TryJoin() bool {
	c.t.Helper()
	var answer struct{ SID string }
	c.decode(c.answer(), &answer)
	return answer.SID != ""
}

// Refused waits until the server has refused the client, and returns the message and decodes the data into dst.
func (c *Client) Refused(dst any) string {
	c.t.Helper()
	var answer struct {
		SID, Message string
		Data         json.RawMessage
	}
	c.decode(c.answer(), &answer)
	if answer.SID != "" {
		c.t.Fatal("the client was let in")
	}
	if dst != nil {
		c.decode(answer.Data, dst)
	}
	return answer.Message
}

func (c *Client) answer() json.RawMessage {
	c.t.Helper()
	select {
	case a := <-c.joined:
		return a
	case <-time.After(wait):
		c.t.Fatal("the server does not answer to CONNECT")
		return nil
	}
}

// Emit sends an event. An argument of type []byte becomes an attachment.
func (c *Client) Emit(name string, args ...any) {
	c.t.Helper()
	c.emit("", name, args)
}

// Call sends an event that asks for an acknowledgement, and returns its arguments.
func (c *Client) Call(name string, args ...any) []json.RawMessage {
	c.t.Helper()
	c.mu.Lock()
	id := c.nextID
	c.nextID++
	c.mu.Unlock()
	c.emit(strconv.Itoa(id), name, args)
	var ack []json.RawMessage
	c.until("an acknowledgement of "+name, func() (ok bool) {
		ack, ok = c.acks[id]
		delete(c.acks, id)
		return ok
	})
	return ack
}

// A Failure is the error that a handler answered.
type Failure struct {
	Code, Message string
	Data          json.RawMessage
}

// Ask is Call of what answers one value, which it decodes into reply; it returns the failure if that is the answer.
func (c *Client) Ask(reply any, name string, args ...any) *Failure {
	c.t.Helper()
	ack := c.Call(name, args...)
	if len(ack) == 0 {
		return nil
	}
	var failed struct{ Error *Failure }
	if json.Unmarshal(ack[0], &failed) == nil && failed.Error != nil {
		return failed.Error
	}
	if reply != nil {
		c.decode(ack[0], reply)
	}
	return nil
}

// Next waits for the next event of the name, passing over others, and decodes its arguments.
func (c *Client) Next(name string, dst ...any) {
	c.t.Helper()
	var got event
	c.until("the event "+name, func() bool {
		for i, e := range c.events {
			if e.name == name {
				got = e
				c.events = c.events[i+1:]
				return true
			}
		}
		return false
	})
	if len(got.args) < len(dst) {
		c.t.Fatalf("%s has %d arguments", name, len(got.args))
	}
	for i := range dst {
		c.decode(got.args[i], dst[i])
	}
}

// AnswerWith makes the client acknowledge events of the name with the value from now on.
func (c *Client) AnswerWith(name string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[name] = value
}

// Ended waits until the server has disconnected the client.
func (c *Client) Ended() {
	c.t.Helper()
	c.until("the disconnect", func() bool { return c.ended })
}

// Close goes away without a word.
func (c *Client) Close() { c.wire.close() }

// until waits for a condition, which is asked with c.mu held.
func (c *Client) until(what string, holds func() bool) {
	c.t.Helper()
	deadline := time.After(wait)
	for {
		c.mu.Lock()
		ok, ended, changed := holds(), c.ended, c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		if ended {
			c.t.Fatalf("disconnected while waiting for %s", what)
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (c *Client) emit(id, name string, args []any) {
	c.t.Helper()
	list := []any{name}
	var attachments []any
	for _, a := range args {
		if b, ok := a.([]byte); ok {
			a = map[string]any{"_placeholder": true, "num": len(attachments)}
			attachments = append(attachments, b)
		}
		list = append(list, a)
	}
	header := "2"
	if len(attachments) > 0 {
		header = fmt.Sprintf("5%d-", len(attachments))
	}
	messages := append([]any{header + id + c.encode(list)}, attachments...)
	if err := c.wire.send(messages...); err != nil {
		c.t.Fatal(err)
	}
}

// read takes what comes until the connection is gone.
func (c *Client) read() {
	for {
		m, err := c.wire.receive()
		reply := ""
		c.mu.Lock()
		if err != nil {
			c.ended = true
		} else {
			reply = c.packet(m)
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
		if reply != "" {
			_ = c.wire.send(reply) // if it fails, reading does
		}
	}
}

// packet notes a packet of Socket.IO and returns the one to answer with, if any. c.mu is held.
func (c *Client) packet(m string) (reply string) {
	if m == "" {
		return ""
	}
	kind, rest := m[0], m[1:]
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	id, data := rest[:digits], rest[digits:]
	switch kind {
	case '0', '4':
		c.joined <- json.RawMessage(data)
	case '1':
		c.ended = true
	case '2':
		var args []json.RawMessage
		var name string
		if json.Unmarshal([]byte(data), &args) == nil && len(args) > 0 && json.Unmarshal(args[0], &name) == nil {
			c.events = append(c.events, event{name, args[1:]})
			if answer, ok := c.answers[name]; ok && id != "" {
				b, _ := json.Marshal([]any{answer})
				return "3" + id + string(b)
			}
		}
	case '3':
		var args []json.RawMessage
		n, _ := strconv.Atoi(id)
		if json.Unmarshal([]byte(data), &args) == nil {
			c.acks[n] = args
		}
	}
	return ""
}

func (c *Client) encode(v any) string {
	c.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func (c *Client) decode(data json.RawMessage, dst any) {
	c.t.Helper()
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(dst); err != nil {
		c.t.Fatalf("%v in %s", err, data)
	}
}
