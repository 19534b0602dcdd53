package cluster

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

// A Type says what a message is for. The numbers are those on the wire.
type Type uint8

// The types of messages.
const (
	InitialHeartbeat     Type = 1 + iota // a server has come; the others answer with a Heartbeat
	Heartbeat                            // a server is there
	Broadcast                            // an event; with a RequestID it asks for acknowledgements
	Join                                 // sockets join rooms
	Leave                                // sockets leave rooms
	Disconnect                           // sockets are disconnected
	FetchSockets                         // asks for descriptions of sockets
	SocketsResponse                      // answers it
	ServerSideEmit                       // an event for the servers; with a RequestID it asks for answers
	ServerSideResponse                   // answers it
	BroadcastClientCount                 // how many clients of a server were asked for an acknowledgement
	BroadcastAck                         // what one of them answered
	Goodbye                              // a server has left
)

// A Message is what the servers of a namespace tell one another.
type Message struct {
	// UID names the adapter that sends: one namespace of one server. "emitter" is a program that is no server.
	UID string
	// Namespace may be empty in messages of emitters, and means then the one that the message was sent to.
	Namespace string
	Type      Type
	// RequestID is what answers refer to; empty if none are wanted.
	RequestID string
	// Packet is the event of a Broadcast or ServerSideEmit, and the arguments of an answer.
	Packet *adapter.Packet
	// Target says which sockets are meant.
	Target adapter.Target
	// Rooms are those to join or leave.
	Rooms []string
	// Close closes the connections of the sockets to disconnect.
	Close bool
	// Clients is how many clients were asked.
	Clients int
	// Sockets are those that were asked for.
	Sockets []adapter.Socket
	// Leavers asks to be told of clients that go away instead of answering, and Left tells so. Node servers know neither.
	Leavers, Left bool
}

// attachments returns the binary parts of the message.
func (m *Message) attachments() [][]byte {
	if m.Packet == nil {
		return nil
	}
	return m.Packet.Attachments
}

// Binary reports whether the message can't be written as JSON.
func (m *Message) Binary() bool { return len(m.attachments()) > 0 }

// AppendJSON appends the message as JSON. With binary in it that is the text of AppendMsgpack, of no use by itself.
func (m *Message) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":`...)
	dst = strconv.AppendUint(dst, uint64(m.Type), 10)
	if data := m.AppendData(append(dst, `,"data":`...)); data[len(data)-1] != ':' {
		dst = data
	}
	dst = appendMember(dst, "uid", m.UID)
	dst = appendMember(dst, "nsp", m.Namespace)
	return append(dst, '}')
}

// AppendMsgpack appends the message as msgpack.
func (m *Message) AppendMsgpack(dst []byte) ([]byte, error) {
	return packet.AppendMsgpackValue(dst, m.AppendJSON(nil), m.attachments())
}

// AppendData appends the part of the message that depends on its type, as JSON; nothing if there is none. It is for
// brokers that write the rest otherwise.
func (m *Message) AppendData(dst []byte) []byte {
	start := len(dst)
	member := func(name string) {
		c := byte(',')
		if len(dst) == start {
			c = '{'
		}
		dst = append(append(append(dst, c, '"'), name...), '"', ':')
	}
	if m.RequestID != "" {
		member("requestId")
		dst = appendText(dst, m.RequestID)
	}
	switch m.Type {
	case Broadcast:
		member("packet")
		dst = append(append(append(dst, `{"type":2,"data":`...), m.Packet.Data...), '}')
		member("opts")
		dst = appendTarget(dst, m.Target)
		if m.Leavers {
			member("leavers")
			dst = append(dst, "true"...)
		}
	case Join, Leave:
		member("opts")
		dst = appendTarget(dst, m.Target)
		member("rooms")
		dst = appendTexts(dst, m.Rooms)
	case Disconnect:
		member("opts")
		dst = appendTarget(dst, m.Target)
		member("close")
		dst = strconv.AppendBool(dst, m.Close)
	case FetchSockets:
		member("opts")
		dst = appendTarget(dst, m.Target)
	case SocketsResponse:
		member("sockets")
		dst = appendSockets(dst, m.Sockets)
	case ServerSideEmit:
		member("packet")
		dst = append(dst, m.Packet.Data...)
	case BroadcastClientCount:
		member("clientCount")
		dst = strconv.AppendInt(dst, int64(m.Clients), 10)
	case ServerSideResponse, BroadcastAck:
		if m.Left {
			member("left")
			dst = append(dst, "true"...)
			break
		}
		// Node servers know answers of one argument.
		args, _ := packet.SplitArgs(m.Packet.Data, nil)
		if len(args) > 0 {
			member("packet")
			dst = append(dst, args[0]...)
		}
		if len(args) != 1 {
			member("args")
			dst = append(dst, m.Packet.Data...)
		}
	}
	if len(dst) > start {
		dst = append(dst, '}')
	}
	return dst
}

// AppendMsgpackData appends the same as msgpack.
func (m *Message) AppendMsgpackData(dst []byte) ([]byte, error) {
	return packet.AppendMsgpackValue(dst, m.AppendData(nil), m.attachments())
}

func appendText(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only tells of invalid UTF-8
	return dst
}

func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, ',', '"'), name...), '"', ':')
	return appendText(dst, value)
}

func appendTexts(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, s)
	}
	return append(dst, ']')
}

func appendTarget(dst []byte, t adapter.Target) []byte {
	dst = appendTexts(append(dst, `{"rooms":`...), t.Rooms)
	dst = appendTexts(append(dst, `,"except":`...), t.Except)
	dst = append(dst, `,"flags":{`...)
	start := len(dst)
	flag := func(text string) {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, text...)
	}
	if t.Volatile {
		flag(`"volatile":true`)
	}
	if t.NoCompress {
		flag(`"compress":false`)
	}
	if t.Timeout > 0 {
		flag(`"timeout":`)
		dst = strconv.AppendInt(dst, max(1, t.Timeout.Milliseconds()), 10)
	}
	return append(dst, "}}"...)
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

// names is a list of rooms. JavaScript has rooms that are numbers.
type names []string

// UnmarshalJSON implements the interface of package json.
func (n *names) UnmarshalJSON(data []byte) error {
	*n = nil
	if jsontext.Value(data).Kind() != '[' {
		return nil // absent, or something that names no room
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

func (t *wireTarget) target() adapter.Target {
	return adapter.Target{
		Rooms: t.Rooms, Except: t.Except,
		Volatile: t.Flags.Volatile, NoCompress: t.Flags.Compress != nil && !*t.Flags.Compress,
		Timeout: time.Duration(min(max(t.Flags.Timeout, 0), maxTimeout) * float64(time.Millisecond)),
	}
}

// maxTimeout bounds, in milliseconds, what another server can make this one remember: a day.
const maxTimeout = 24 * 60 * 60 * 1000

type wireData struct {
	RequestID string         `json:"requestId"`
	Packet    jsontext.Value `json:"packet"`
	Args      jsontext.Value `json:"args"`
	Opts      wireTarget     `json:"opts"`
	Rooms     names          `json:"rooms"`
	Close     bool           `json:"close"`
	Clients   int            `json:"clientCount"`
	Sockets   []wireSocket   `json:"sockets"`
	Leavers   bool           `json:"leavers"`
	Left      bool           `json:"left"`
}

var errMessage = errors.New("cluster: not a message")

// limits are for messages of other servers, which are trusted more than clients.
var limits = packet.Limits{MaxAttachmentBytes: 1 << 30, MaxDepth: 1000}

// DecodeJSON decodes a message. It keeps no reference to text. Members that are unknown are ignored.
func DecodeJSON(text []byte) (*Message, error) { return decode(bytes.Clone(text), nil) }

// DecodeMsgpack decodes a message likewise.
func DecodeMsgpack(data []byte) (*Message, error) {
	text, attachments, err := packet.DecodeMsgpackValue(data, &limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	return decode(text, attachments)
}

func decode(text jsontext.Value, attachments [][]byte) (*Message, error) {
	var room [8]packet.Member
	members, err := packet.SplitMembers(text, room[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	m := new(Message)
	var data jsontext.Value
	for _, x := range members {
		switch string(x.Name) {
		case `"type"`:
			err = packet.Unmarshal(x.Value, nil, &m.Type)
		case `"data"`:
			data = x.Value
		case `"uid"`:
			err = packet.Unmarshal(x.Value, nil, &m.UID)
		case `"nsp"`:
			err = packet.Unmarshal(x.Value, nil, &m.Namespace)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	return m, m.decodeData(data, attachments)
}

// DecodeData decodes what [Message.AppendData] writes, into a message whose Type is set. Data is JSON, or msgpack with
// binary.
func (m *Message) DecodeData(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		return m.decodeData(bytes.Clone(data), nil)
	}
	text, attachments, err := packet.DecodeMsgpackValue(data, &limits)
	if err != nil {
		return fmt.Errorf("%w: %w", errMessage, err)
	}
	return m.decodeData(text, attachments)
}

func (m *Message) decodeData(data jsontext.Value, attachments [][]byte) error {
	if m.Type == Broadcast {
		return m.decodeBroadcast(data, attachments)
	}
	var d wireData
	if data.Kind() == '{' {
		if err := packet.Unmarshal(data, nil, &d); err != nil {
			return fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	m.RequestID, m.Target, m.Rooms, m.Close = d.RequestID, d.Opts.target(), d.Rooms, d.Close
	m.Clients, m.Leavers, m.Left = max(d.Clients, 0), d.Leavers, d.Left
	switch m.Type {
	case ServerSideEmit:
		if !isEvent(d.Packet) {
			return errMessage
		}
		m.Packet = &adapter.Packet{Data: d.Packet, Attachments: attachments}
	case ServerSideResponse, BroadcastAck:
		if m.Left {
			break
		}
		args := d.Args
		if args.Kind() != '[' {
			args = append(append(jsontext.Value{'['}, d.Packet...), ']')
		}
		m.Packet = &adapter.Packet{Data: args, Attachments: attachments}
	case SocketsResponse:
		m.Sockets = make([]adapter.Socket, len(d.Sockets))
		for i, s := range d.Sockets {
			m.Sockets[i] = adapter.Socket{ID: s.ID, Rooms: s.Rooms, Data: s.Data, Handshake: s.Handshake}
		}
	}
	return nil
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
