package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// handshake is the content of an open packet.
type handshake struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int64    `json:"pingInterval"`
	PingTimeout  int64    `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func (h *handshake) interval() time.Duration { return time.Duration(h.PingInterval) * time.Millisecond }
func (h *handshake) timeout() time.Duration  { return time.Duration(h.PingTimeout) * time.Millisecond }

// kind is what an answer says about who gave it.
type kind int

const (
	foreign   kind = iota // nothing of Engine.IO
	opened                // a handshake of Engine.IO 4
	opened3               // a handshake of Engine.IO 3
	refused               // an error of an Engine.IO server, {"code":…,"message":…}
	refusedPy             // an error of python-engineio, a JSON string
)

// reading is an answer, understood.
type reading struct {
	kind    kind
	open    handshake
	code    int // of refused
	message string
}

// engineIO reports whether an Engine.IO server gave the answer.
func (r reading) engineIO() bool { return r.kind != foreign }

// unknownSession reports whether the server doesn't know the session that the request named.
func (r reading) unknownSession() bool {
	return r.kind == refused && r.code == 1 || r.kind == refusedPy && strings.HasPrefix(r.message, "Invalid session")
}

// unknownTransport reports whether the server doesn't have the transport, or doesn't want it.
func (r reading) unknownTransport() bool {
	return r.kind == refused && r.code == 0 || r.kind == refusedPy && strings.HasPrefix(r.message, "Invalid transport")
}

// the header of a packet in a payload of Engine.IO 3: its length.
var payload3 = regexp.MustCompile(`^\d+:0\{`)

// read understands an answer to any request of Engine.IO.
func (a *answer) read() reading {
	if a == nil {
		return reading{}
	}
	return readBody(a.status, a.body)
}

func readBody(status int, body string) reading {
	var r reading
	trimmed := strings.TrimSpace(body)
	switch {
	case status == http.StatusOK && strings.HasPrefix(trimmed, "0{"):
		first, _, _ := strings.Cut(trimmed, "\x1e")
		if json.Unmarshal([]byte(first[1:]), &r.open) == nil && r.open.SID != "" {
			r.kind = opened
		}
	case status == http.StatusOK && (payload3.MatchString(trimmed) || strings.HasPrefix(body, "\x00") && strings.Contains(body, `0{"sid"`)):
		_, rest, _ := strings.Cut(body, "0{")
		if json.NewDecoder(strings.NewReader("{"+rest)).Decode(&r.open) == nil && r.open.SID != "" {
			r.kind = opened3
		}
	case status >= 400 && strings.HasPrefix(trimmed, "{"):
		var e struct {
			Code    *int
			Message *string
		}
		if json.Unmarshal([]byte(trimmed), &e) == nil && e.Code != nil && e.Message != nil && *e.Code >= 0 && *e.Code <= 5 {
			r.kind, r.code, r.message = refused, *e.Code, *e.Message
		}
	case (status == http.StatusBadRequest || status == http.StatusUnauthorized) && strings.HasPrefix(trimmed, `"`):
		if json.Unmarshal([]byte(trimmed), &r.message) == nil && r.message != "" {
			r.kind = refusedPy
		}
	}
	return r
}

// examineProtocol asks which versions the server speaks: a client of another one can't even begin.
func (x *exam) examineProtocol(ctx context.Context, s *Step) {
	four, three := false, false
	// The path was found by asking for version 4; the answer says already whether it was understood.
	switch r := x.first.read(); r.kind {
	case opened:
		four = true
		x.learn(r.open)
	case opened3:
		three = true // Socket.IO 2 takes no notice of the version that was asked for
	case refused:
		four = r.code != 5
	case refusedPy:
		four = !strings.Contains(r.message, "unsupported version")
	}
	x.kindOf(ctx, s)
	if !three {
		a, err := x.do(ctx, ask{transport: "polling", version: "3"})
		if err != nil {
			s.evidence("GET with EIO=3: %v", err)
		} else {
			r := a.read()
			three = r.kind == opened || r.kind == opened3
			if three {
				x.closeSession(ctx, nil, r.open.SID)
				s.evidence("%s %s → %d, a session of version 3", a.method, a.target, a.status)
			} else {
				s.evidence("%v", a)
			}
		}
	}
	if four {
		x.report.Server.Protocols = append(x.report.Server.Protocols, 4)
	}
	if three {
		x.report.Server.Protocols = append(x.report.Server.Protocols, 3)
	}
	kind := ""
	if x.report.Server.Kind != "" {
		kind = "; the server is " + x.report.Server.Kind
	}
	switch {
	case four && three:
		s.say("Engine.IO 4 (Socket.IO 3 and later), and 3 for Socket.IO 2 clients%s", kind)
	case four:
		s.say("Engine.IO 4, for clients of Socket.IO 3 and later%s", kind)
	case three:
		s.problem("eio3-only", "The server speaks Engine.IO 3 only, which is Socket.IO 2; clients of version 3 and later can't talk to it.",
			"Upgrade the server to Socket.IO 3 or later (allowEIO3: true there keeps old clients working). Until then, use a client of version 2.")
		x.broken = "the server speaks only Socket.IO 2"
	default:
		s.problem("no-version", "The server refuses Engine.IO 4 and Engine.IO 3.",
			"Ask whoever runs the server which Socket.IO version it is; clients of that version are needed.")
		x.broken = "no version of the protocol was agreed on"
	}
}

// kindOf tells the servers apart by how they refuse what none of them has.
func (x *exam) kindOf(ctx context.Context, s *Step) {
	a, err := x.do(ctx, ask{transport: "none"})
	if err != nil {
		return
	}
	s.evidence("%v", a)
	switch a.read().kind {
	case refusedPy:
		x.report.Server.Kind = kindPython
	case refused:
		x.report.Server.Kind = kindNode
		// Only Sockeye offers streaming, to clients that say that they know it.
		b, err := x.do(ctx, ask{transport: "polling", query: [2]string{"streaming", "1"}})
		if err != nil {
			return
		}
		if r := b.read(); r.kind == opened {
			x.closeSession(ctx, nil, r.open.SID)
			for _, u := range r.open.Upgrades {
				if u == "streaming" {
					x.streaming = true
					x.report.Server.Kind = kindSockeye
				}
			}
		}
	}
}

// option is the name of a setting in the words of the server, as far as it is known.
func (x *exam) option(node, sockeye, python string) string {
	switch x.report.Server.Kind {
	case kindSockeye:
		return sockeye
	case kindPython:
		return python
	}
	return node
}

// The servers that are told apart.
const (
	kindSockeye = "Sockeye"
	kindPython  = "python-socketio"
	kindNode    = "Socket.IO on Node.js, or one that behaves like it"
)

// learn keeps what a handshake announces.
func (x *exam) learn(h handshake) {
	if x.open != nil {
		return
	}
	x.open = &h
	server := &x.report.Server
	server.Upgrades, server.PingInterval, server.PingTimeout, server.MaxPayload = h.Upgrades, h.PingInterval, h.PingTimeout, h.MaxPayload
}

// connectPacket is the packet that joins the namespace, as a message of Engine.IO.
func (x *exam) connectPacket() string {
	p := "40"
	if x.namespace != "/" {
		p += x.namespace + ","
	}
	return p + string(x.opts.Auth)
}

// joining is the answer to a CONNECT.
type joining struct {
	joined  bool
	refused string // the reason, with data if there is some; "" if it was not refused
	over    string // the transport
}

// readJoining understands a packet as the answer to our CONNECT; false means that it is something else.
func (x *exam) readJoining(packet string) (joining, bool) {
	if len(packet) < 2 || packet[0] != '4' {
		return joining{}, false
	}
	kind, rest := packet[1], packet[2:]
	namespace := "/"
	if strings.HasPrefix(rest, "/") {
		namespace, rest, _ = strings.Cut(rest, ",")
		namespace, _, _ = strings.Cut(namespace, "?")
	}
	if namespace != x.namespace {
		return joining{}, false
	}
	switch kind {
	case '0':
		x.secrets.addJSON(json.RawMessage(rest)) // the ids of the socket, the private one too
		return joining{joined: true}, true
	case '4':
		return joining{refused: refusalText(rest)}, true
	}
	return joining{}, false
}

// refusalText makes a sentence of the content of a CONNECT_ERROR, which is an object or a string.
func refusalText(raw string) string {
	var e struct {
		Message string
		Data    json.RawMessage
	}
	var text string
	switch {
	case json.Unmarshal([]byte(raw), &e) == nil && e.Message != "":
		text = fmt.Sprintf("%q", e.Message)
		if len(e.Data) > 0 && string(e.Data) != "null" {
			text += ", data " + excerpt(string(e.Data))
		}
	case json.Unmarshal([]byte(raw), &text) == nil && text != "":
		text = fmt.Sprintf("%q", text)
	default:
		text = "no reason given"
	}
	return text
}
