package conformance

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/suite"
)

func TestSocketIO(t *testing.T) {
	t.Parallel()
	e := endpoint(suite.Start(t, "sio5", times) + "/socket.io/")
	t.Run("engine/handshake/polling", func(t *testing.T) { handshakePolling(t, e) })
	t.Run("engine/handshake/websocket", func(t *testing.T) { handshakeWebSocket(t, e) })
	t.Run("engine/heartbeat", func(t *testing.T) { heartbeat(t, e) })
	t.Run("engine/close", func(t *testing.T) { closing(t, e) })
	t.Run("engine/upgrade", func(t *testing.T) { upgrade(t, e, false) })
	t.Run("connect", func(t *testing.T) { connect(t, e) })
	t.Run("disconnect", func(t *testing.T) { disconnect(t, e) })
	t.Run("message", func(t *testing.T) { message(t, e) })
}

// wantJoined checks the answer to a CONNECT packet and the event auth that follows it.
func (s *socket) wantJoined(prefix, auth string) {
	s.t.Helper()
	packet := s.read()
	for packet == "2" {
		s.send("3")
		packet = s.read()
	}
	data, ok := strings.CutPrefix(packet, "40"+prefix)
	if !ok {
		s.t.Fatalf("answer to CONNECT is %q", packet)
	}
	var keys map[string]string
	if err := json.Unmarshal([]byte(data), &keys); err != nil || len(keys) != 1 || keys["sid"] == "" {
		s.t.Fatalf("answer to CONNECT is %q, want an object with nothing but sid", packet)
	}
	s.want("42" + prefix + `["auth",` + auth + "]")
}

// join opens a connection and joins the main namespace.
func (e endpoint) join(t *testing.T) *socket {
	t.Helper()
	s := e.openSocket(t)
	s.send("40")
	s.wantJoined("", "{}")
	return s
}

func connect(t *testing.T, e endpoint) {
	for _, c := range []struct{ name, packet, prefix, auth string }{
		{"to the main namespace", "40", "", "{}"},
		{"to the main namespace with a payload", `40{"token":"123"}`, "", `{"token":"123"}`},
		{"to a custom namespace", "40/custom,", "/custom,", "{}"},
		{"to a custom namespace with a payload", `40/custom,{"token":"abc"}`, "/custom,", `{"token":"abc"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := e.openSocket(t)
			s.send(c.packet)
			s.wantJoined(c.prefix, c.auth)
		})
	}
	t.Run("is refused to an unknown namespace", func(t *testing.T) {
		s := e.openSocket(t)
		s.send("40/random")
		s.want(`44/random,{"message":"Invalid namespace"}`)
	})
	t.Run("closes the connection upon an invalid handshake", func(t *testing.T) {
		s := e.openSocket(t)
		s.send("4abc")
		s.wantClosed()
	})
	t.Run("closes the connection when no handshake comes", func(t *testing.T) {
		t.Parallel()
		s := e.openSocket(t)
		// Pings are answered, so that it is not the heartbeat that ends the connection.
		for {
			data, _, err := s.next()
			if isTimeout(err) {
				t.Fatal("the connection was not closed")
			}
			if err != nil {
				return
			}
			if string(data) == "2" {
				s.send("3")
			}
		}
	})
}

func disconnect(t *testing.T, e endpoint) {
	t.Run("from the main namespace", func(t *testing.T) {
		s := e.join(t)
		s.send("41")
		s.want("2") // nothing but the heartbeat comes now
	})
	t.Run("from a custom namespace", func(t *testing.T) {
		s := e.join(t)
		s.send("40/custom")
		s.wantJoined("/custom,", "{}")
		s.send("41/custom")
		s.send(`42["message","message to main namespace"]`)
		s.want(`42["message-back","message to main namespace"]`)
	})
}

func message(t *testing.T, e endpoint) {
	const two = `{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}`
	first, second := []byte{1, 2, 3}, []byte{4, 5, 6}
	for _, c := range []struct {
		name       string
		send, want []any
	}{
		{
			"plain text",
			[]any{`42["message",1,"2",{"3":[true]}]`},
			[]any{`42["message-back",1,"2",{"3":[true]}]`},
		},
		{
			"binary attachments",
			[]any{`452-["message",` + two + "]", first, second},
			[]any{`452-["message-back",` + two + "]", first, second},
		},
		{
			"plain text with an acknowledgement",
			[]any{`42456["message-with-ack",1,"2",{"3":[false]}]`},
			[]any{`43456[1,"2",{"3":[false]}]`},
		},
		{
			"binary attachments with an acknowledgement",
			[]any{`452-789["message-with-ack",` + two + "]", first, second},
			[]any{`462-789[` + two + "]", first, second},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := e.join(t)
			s.send(c.send...)
			s.want(c.want...)
		})
	}
	for name, packet := range map[string]string{
		"unknown packet type":    "4abc",
		"invalid payload format": "42{}",
		"invalid ack id":         `42abc["message-with-ack",1,"2",{"3":[false]}]`,
	} {
		t.Run("closes the connection upon "+name, func(t *testing.T) {
			s := e.join(t)
			s.send(packet)
			s.wantClosed()
		})
	}
}
