package redis

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// What the servers of the classic adapter tell one another. Events are msgpack arrays [uid, packet, options]; requests
// and answers are JSON objects, or msgpack maps where they carry what clients send and receive.

// The types of requests and answers.
const (
	typeSockets     = 0 // answers with ids; old
	typeRooms       = 1
	typeJoin        = 2
	typeLeave       = 3
	typeDisconnect  = 4
	typeFetch       = 5
	typeServerSide  = 6
	typeBroadcast   = 7 // an event that asks for acknowledgements
	typeClientCount = 8
	typeAck         = 9
	typeNone        = -1 // answers to typeFetch and older have none
)

// A message is a request or an answer.
type message struct {
	UID       string
	RequestID string
	Type      int
	Target    *adapter.Target
	Rooms     []string
	SID, Room string // of old servers, which had one socket join one room
	Close     bool
	Data      jsontext.Value // of a server-side event: its array, or one answer
	Binary    [][]byte       // attachments of Data
	Sockets   []adapter.Socket
	Clients   int
	Packet    *adapter.Packet // of typeBroadcast the event, of typeAck the arguments
	Namespace string
	// Leavers asks to be told of clients that go away instead of answering, and Left tells so. Node servers know
	// neither.
	Leavers, Left bool
}

var errMessage = errors.New("not a message of the adapter")

// limits are for messages of other servers, which are trusted more than clients.
var limits = packet.Limits{MaxAttachmentBytes: 1 << 30, MaxDepth: 1000}

// An object is JSON in the making.
type object struct {
	dst   []byte
	first bool
}

func newObject(dst []byte) *object { return &object{append(dst, '{'), true} }

func (o *object) member(name string) {
	if !o.first {
		o.dst = append(o.dst, ',')
	}
	o.first = false
	o.dst = append(append(append(o.dst, '"'), name...), '"', ':')
}

func (o *object) text(name, value string) {
	if value != "" {
		o.member(name)
		o.dst, _ = jsontext.AppendQuote(o.dst, value) // the error only tells of invalid UTF-8
	}
}

func (o *object) number(name string, value int) {
	o.member(name)
	o.dst = strconv.AppendInt(o.dst, int64(value), 10)
}

func (o *object) texts(name string, values []string) {
	o.member(name)
	o.dst = append(o.dst, '[')
	for i, v := range values {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		o.dst, _ = jsontext.AppendQuote(o.dst, v)
	}
	o.dst = append(o.dst, ']')
}

func (o *object) raw(name string, value []byte) {
	o.member(name)
	o.dst = append(o.dst, value...)
}

func (o *object) flag(name string, value bool) {
	o.member(name)
	o.dst = strconv.AppendBool(o.dst, value)
}

func (o *object) end() []byte { return append(o.dst, '}') }

// appendTarget writes the options of an operation. Flags are those of events.
func appendTarget(dst []byte, t *adapter.Target, flags bool) []byte {
	o := newObject(dst)
	o.texts("rooms", t.Rooms)
	o.texts("except", t.Except)
	if flags {
		o.member("flags")
		f := object{append(o.dst, '{'), true}
		if t.Volatile {
			f.flag("volatile", true)
		}
		if t.NoCompress {
			f.flag("compress", false)
		}
		if t.Timeout > 0 {
			f.number("timeout", int(max(1, t.Timeout.Milliseconds())))
		}
		o.dst = f.end()
	}
	return o.end()
}

func (m *message) appendJSON(dst []byte) []byte {
	o := newObject(dst)
	o.text("uid", m.UID)
	o.text("requestId", m.RequestID)
	if m.Type != typeNone {
		o.number("type", m.Type)
	}
	if m.Target != nil {
		o.raw("opts", appendTarget(nil, m.Target, m.Type == typeBroadcast))
	}
	switch m.Type {
	case typeJoin, typeLeave:
		o.texts("rooms", m.Rooms)
	case typeDisconnect:
		o.flag("close", m.Close)
	case typeServerSide:
		if len(m.Data) > 0 { // an answer may be undefined
			o.raw("data", m.Data)
		}
	case typeBroadcast:
		o.raw("packet", appendPacket(nil, m.Packet.Data, m.Namespace))
		o.flag("leavers", m.Leavers)
	case typeClientCount:
		o.number("clientCount", m.Clients)
	case typeAck:
		m.appendAck(o)
	case typeNone:
		if m.Sockets != nil {
			o.raw("sockets", appendSockets(nil, m.Sockets))
		} else {
			o.texts("rooms", m.Rooms)
		}
	}
	return o.end()
}

// appendAck writes what a client answered: for Node the first argument.
func (m *message) appendAck(o *object) {
	if m.Left {
		o.flag("left", true)
		return
	}
	args, _ := packet.SplitArgs(m.Packet.Data, nil)
	if len(args) > 0 {
		o.raw("packet", args[0])
	}
	if len(args) != 1 {
		o.raw("args", m.Packet.Data)
	}
}

func (m *message) appendMsgpack(dst []byte) ([]byte, error) {
	attachments := m.Binary
	if m.Packet != nil {
		attachments = m.Packet.Attachments
	}
	return packet.AppendMsgpackValue(dst, m.appendJSON(nil), attachments)
}

// encode writes the message as JSON, or as msgpack if there may be binary in it. Node reads either.
func (m *message) encode() ([]byte, error) {
	if m.Type == typeBroadcast || m.Type == typeAck || len(m.Binary) > 0 {
		return m.appendMsgpack(nil)
	}
	return m.appendJSON(nil), nil
}

func appendPacket(dst []byte, data jsontext.Value, namespace string) []byte {
	o := newObject(dst)
	o.number("type", 2)
	o.raw("data", data)
	o.text("nsp", namespace)
	return o.end()
}

// appendEvent writes an event.
func appendEvent(dst []byte, uid, namespace string, p *adapter.Packet, t adapter.Target) ([]byte, error) {
	text := append(make([]byte, 0, len(p.Data)+200), '[')
	if dst == nil {
		dst = make([]byte, 0, len(p.Data)+200)
	}
	text, _ = jsontext.AppendQuote(text, uid)
	text = appendPacket(append(text, ','), p.Data, namespace)
	text = appendTarget(append(text, ','), &t, true)
	return packet.AppendMsgpackValue(dst, append(text, ']'), p.Attachments)
}

// names is a list of rooms. JavaScript has rooms that are numbers.
type names []string

// UnmarshalJSON implements the interface of package json.
func (n *names) UnmarshalJSON(data []byte) error {
	*n = nil
	if jsontext.Value(data).Kind() != '[' {
		return nil
	}
	var room [8]jsontext.Value
	values, err := packet.SplitArgs(data, room[:0])
	if err != nil {
		return err
	}
	for _, v := range values {
		switch v.Kind() {
		case '"':
			var s string
			if err := packet.Unmarshal(v, nil, &s); err != nil {
				return err
			}
			*n = append(*n, s)
		case '0':
			*n = append(*n, string(v))
		}
	}
	return nil
}

type wireTarget struct {
	Rooms  names `json:"rooms"`
	Except names `json:"except"`
	Flags  struct {
		Volatile bool    `json:"volatile"`
		Compress *bool   `json:"compress"`
		Timeout  float64 `json:"timeout"`
	} `json:"flags"`
}

// maxTimeout bounds, in milliseconds, what another server can make this one remember: a day.
const maxTimeout = 24 * 60 * 60 * 1000

func (t *wireTarget) target() adapter.Target {
	return adapter.Target{
		Rooms: t.Rooms, Except: t.Except,
		Volatile: t.Flags.Volatile, NoCompress: t.Flags.Compress != nil && !*t.Flags.Compress,
		Timeout: time.Duration(min(max(t.Flags.Timeout, 0), maxTimeout) * float64(time.Millisecond)),
	}
}

type wirePacket struct {
	Data jsontext.Value `json:"data"`
	NSP  string         `json:"nsp"`
}

// decodeEvent reads an event. The packet of one's own is not decoded.
func decodeEvent(payload []byte, self string) (uid, namespace string, p *adapter.Packet, t adapter.Target, err error) {
	if isFrom(payload, self) {
		return self, "", nil, t, nil
	}
	text, attachments, err := packet.DecodeMsgpackValue(payload, &limits)
	if err != nil {
		return "", "", nil, t, err
	}
	if text.Kind() != '[' {
		return "", "", nil, t, errMessage
	}
	var room [4]jsontext.Value
	parts, err := packet.SplitArgs(text, room[:0])
	if err != nil || len(parts) < 2 || parts[0].Kind() != '"' || packet.Unmarshal(parts[0], nil, &uid) != nil {
		return "", "", nil, t, errMessage
	}
	var w wirePacket
	if w.decode(parts[1]) != nil || !isEvent(w.Data) {
		return "", "", nil, t, errMessage
	}
	if len(parts) > 2 {
		if t, err = decodeTarget(parts[2]); err != nil {
			return "", "", nil, t, fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	if w.NSP == "" {
		w.NSP = "/"
	}
	return uid, w.NSP, &adapter.Packet{Data: w.Data, Attachments: attachments}, t, nil
}

// decode does for the packets of events, of which there are many, what packet.Unmarshal does.
func (w *wirePacket) decode(text jsontext.Value) error {
	var room [8]packet.Member
	members, err := packet.SplitMembers(text, room[:0])
	if err != nil {
		return err
	}
	for _, m := range members {
		switch string(m.Name) {
		case `"data"`:
			w.Data = m.Value
		case `"nsp"`:
			if err := packet.Unmarshal(m.Value, nil, &w.NSP); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodeTarget does the same for their targets.
func decodeTarget(text jsontext.Value) (adapter.Target, error) {
	var w wireTarget
	if text.Kind() == 'n' {
		return w.target(), nil
	}
	var room [8]packet.Member
	members, err := packet.SplitMembers(text, room[:0])
	if err != nil {
		return adapter.Target{}, err
	}
	for _, m := range members {
		switch string(m.Name) {
		case `"rooms"`:
			err = w.Rooms.UnmarshalJSON(m.Value)
		case `"except"`:
			err = w.Except.UnmarshalJSON(m.Value)
		case `"flags"`:
			if string(m.Value) != "{}" {
				err = packet.Unmarshal(m.Value, nil, &w.Flags)
			}
		}
		if err != nil {
			return adapter.Target{}, err
		}
	}
	return w.target(), nil
}

// isFrom reports whether an event begins with a name.
func isFrom(payload []byte, uid string) bool {
	return len(uid) < 32 && len(payload) > 2+len(uid) && payload[1] == 0xa0|byte(len(uid)) && string(payload[2:2+len(uid)]) == uid
}

// isEvent reports whether v is an array that begins with a name.
func isEvent(v jsontext.Value) bool {
	if v.Kind() != '[' {
		return false
	}
	var room [8]jsontext.Value
	values, err := packet.SplitArgs(v, room[:0])
	return err == nil && len(values) > 0 && (values[0].Kind() == '"' || values[0].Kind() == '0')
}

// wireSocket is how a socket is described.
type wireSocket struct {
	ID        string            `json:"id"`
	Handshake adapter.Handshake `json:"handshake"`
	Rooms     names             `json:"rooms"`
	Data      jsontext.Value    `json:"data"`
}

func appendSockets(dst []byte, sockets []adapter.Socket) []byte {
	list := make([]wireSocket, len(sockets))
	for i, s := range sockets {
		list[i] = wireSocket{s.ID, s.Handshake, s.Rooms, s.Data}
		if len(s.Data) == 0 {
			list[i].Data = jsontext.Value("{}") // which Node expects
		}
		if len(s.Handshake.Auth) == 0 {
			list[i].Handshake.Auth = jsontext.Value("{}")
		}
	}
	text, err := packet.AppendValue(nil, packet.Header{}, list)
	if err != nil {
		return append(dst, "[]"...) // can't be: what is in it came as JSON
	}
	return append(dst, text[1:]...)
}

// decodeMessage reads a request or an answer.
func decodeMessage(payload []byte) (*message, error) {
	var attachments [][]byte
	text := jsontext.Value(bytes.Clone(payload))
	if len(payload) == 0 || payload[0] != '{' {
		var err error
		if text, attachments, err = packet.DecodeMsgpackValue(payload, &limits); err != nil {
			return nil, err
		}
	}
	var w struct {
		UID       string           `json:"uid"`
		RequestID string           `json:"requestId"`
		Type      *int             `json:"type"`
		Opts      *wireTarget      `json:"opts"`
		Rooms     names            `json:"rooms"`
		SID       string           `json:"sid"`
		Room      jsontext.Value   `json:"room"`
		Close     bool             `json:"close"`
		Data      jsontext.Value   `json:"data"`
		Sockets   []jsontext.Value `json:"sockets"`
		Clients   int              `json:"clientCount"`
		Packet    jsontext.Value   `json:"packet"`
		Args      jsontext.Value   `json:"args"`
		Leavers   bool             `json:"leavers"`
		Left      bool             `json:"left"`
	}
	if text.Kind() != '{' {
		return nil, errMessage
	}
	if err := packet.Unmarshal(text, nil, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	m := &message{
		UID: w.UID, RequestID: w.RequestID, Type: typeNone, Rooms: w.Rooms, SID: w.SID, Close: w.Close, Data: w.Data,
		Clients: max(w.Clients, 0), Leavers: w.Leavers, Left: w.Left,
	}
	if w.Type != nil {
		m.Type = *w.Type
	}
	if w.Opts != nil {
		t := w.Opts.target()
		m.Target = &t
	}
	if room := (names{}); room.UnmarshalJSON(append(append([]byte{'['}, w.Room...), ']')) == nil && len(room) > 0 {
		m.Room = room[0]
	}
	for _, v := range w.Sockets {
		var s wireSocket
		if v.Kind() == '"' { // old servers send ids
			_ = packet.Unmarshal(v, nil, &s.ID) // it is a string
		} else if err := packet.Unmarshal(v, nil, &s); err != nil {
			return nil, fmt.Errorf("%w: %w", errMessage, err)
		}
		m.Sockets = append(m.Sockets, adapter.Socket{ID: s.ID, Rooms: s.Rooms, Data: s.Data, Handshake: s.Handshake})
	}
	switch m.Type {
	case typeBroadcast:
		var p wirePacket
		if w.Packet.Kind() != '{' || packet.Unmarshal(w.Packet, nil, &p) != nil || !isEvent(p.Data) {
			return nil, errMessage
		}
		m.Packet, m.Namespace = &adapter.Packet{Data: p.Data, Attachments: attachments}, p.NSP
	case typeServerSide:
		m.Binary = attachments
	case typeAck:
		args := w.Args
		if args.Kind() != '[' {
			args = append(append(jsontext.Value{'['}, w.Packet...), ']')
		}
		m.Packet = &adapter.Packet{Data: args, Attachments: attachments}
	}
	return m, nil
}
