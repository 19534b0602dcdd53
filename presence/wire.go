package presence

import (
	"errors"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// eventName is the server-side event that carries the messages.
const eventName = "sockeye:presence"

// version is that of the messages. Others are ignored.
const version = 1

// The kinds of messages.
const (
	kindHello = "hello" // a server has started, and wants to know everything
	kindDelta = "d"     // what has changed
	kindFull  = "f"     // a part of everything there is
	kindBeat  = "h"     // nothing new
	kindAsk   = "q"     // the servers in Ask shall send everything
	kindBye   = "bye"
)

// A message is what servers tell each other.
//
// Deltas and the parts of a full state have numbers, without gaps, from 1 on. Messages of other kinds carry the last
// number that was used, so that a loss shows also when nothing follows. A full state is a run of parts, the first and the
// last marked: who is up to date only counts them.
type message struct {
	Version int      `json:"v"`
	From    string   `json:"i"` // the id of a server, new with each start
	Kind    string   `json:"k"`
	Seq     uint64   `json:"n"`
	Name    string   `json:"name,omitzero"`
	Started int64    `json:"t,omitzero"` // of a hello, in ms
	First   bool     `json:"first,omitzero"`
	Last    bool     `json:"last,omitzero"`
	Ops     []op     `json:"o,omitzero"`
	Ask     []string `json:"ask,omitzero"`
}

// An op is what happened in one room: some left, or some joined.
type op struct {
	Room   string                    `json:"r"`
	Joined []string                  `json:"j,omitzero"`
	Left   []string                  `json:"l,omitzero"`
	Data   map[string]jsontext.Value `json:"d,omitzero"` // of those who joined and were in no room before
}

// What is accepted of other servers.
const (
	maxID      = 256
	maxName    = 256
	maxRoom    = 1024
	maxData    = 1 << 20
	maxServers = 1000
)

var errMessage = errors.New("presence: malformed message")

func (m *message) encode() (jsontext.Value, error) {
	return json.Marshal(m, json.Deterministic(true))
}

func decode(text jsontext.Value) (*message, error) {
	m := new(message)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, err
	}
	if m.Version != version {
		return m, nil
	}
	if !validID(m.From) || len(m.Name) > maxName || len(m.Ask) > maxServers {
		return nil, errMessage
	}
	for i := range m.Ops {
		o := &m.Ops[i]
		if !validRoom(o.Room) {
			return nil, errMessage
		}
		for _, ids := range [][]string{o.Joined, o.Left} {
			for _, id := range ids {
				if !validID(id) {
					return nil, errMessage
				}
			}
		}
		for _, data := range o.Data {
			if len(data) > maxData {
				return nil, errMessage
			}
		}
	}
	return m, nil
}

func validID(id string) bool { return id != "" && len(id) <= maxID }

func validRoom(room string) bool { return len(room) <= maxRoom && utf8.ValidString(room) }

// A splitter makes ops of changes, and messages of ops, each about as long as it may be.
type splitter struct {
	max  int
	size int
	ops  []op
	emit func([]op)
}

// The JSON around the parts of a message, generously.
const (
	messageOverhead = 160
	opOverhead      = 24
	idOverhead      = 3
)

func (sp *splitter) add(room, id string, joined bool, data jsontext.Value) {
	size := len(id) + idOverhead
	if data != nil {
		size += len(id) + idOverhead + len(data) + 1
	}
	last := len(sp.ops) - 1
	fits := last >= 0 && sp.ops[last].Room == room && (len(sp.ops[last].Joined) > 0) == joined
	if !fits {
		size += len(room) + opOverhead
	}
	if len(sp.ops) > 0 && messageOverhead+sp.size+size > sp.max {
		if fits {
			size += len(room) + opOverhead
		}
		sp.flush()
		fits = false
	}
	if !fits {
		sp.ops = append(sp.ops, op{Room: room})
		last = len(sp.ops) - 1
	}
	o := &sp.ops[last]
	if joined {
		o.Joined = append(o.Joined, id)
	} else {
		o.Left = append(o.Left, id)
	}
	if data != nil {
		if o.Data == nil {
			o.Data = make(map[string]jsontext.Value)
		}
		o.Data[id] = data
	}
	sp.size += size
}

func (sp *splitter) flush() {
	sp.emit(sp.ops)
	sp.ops, sp.size = nil, 0
}
