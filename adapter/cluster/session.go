package cluster

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// wireSession is a session as Node servers have it, and what they don't have in a member of its own.
type wireSession struct {
	SID   string         `json:"sid"`
	PID   string         `json:"pid"`
	Rooms names          `json:"rooms"`
	Data  jsontext.Value `json:"data"`
	More  *struct {
		Namespace string      `json:"nsp"`
		Owner     string      `json:"owner"`
		Away      bool        `json:"away"`
		NoData    bool        `json:"noData"`
		Start     string      `json:"start"`
		At        string      `json:"at"`
		Floor     string      `json:"floor"`
		Stays     [][3]string `json:"stays"`
	} `json:"sockeye,omitempty"`
}

// AppendSession appends a session as msgpack.
func AppendSession(dst []byte, s *adapter.Session) ([]byte, error) {
	text := appendText([]byte(`{"sid":`), s.SID)
	text = appendMember(text, "pid", s.PID)
	text = appendTexts(append(text, `,"rooms":`...), s.Rooms)
	data := s.Data
	if len(data) == 0 {
		data = jsontext.Value("{}") // which Node expects
	}
	text = append(append(text, `,"data":`...), data...)
	text = appendText(append(text, `,"sockeye":{"nsp":`...), s.Namespace)
	text = appendMember(text, "owner", s.Owner)
	if s.Away {
		text = append(text, `,"away":true`...)
	}
	if len(s.Data) == 0 {
		text = append(text, `,"noData":true`...)
	}
	text = appendMember(text, "start", s.Start)
	text = appendMember(text, "at", s.At)
	text = appendMember(text, "floor", s.Floor)
	text = append(text, `,"stays":[`...)
	for i, stay := range s.Stays {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendTexts(text, []string{stay.Room, stay.Since, stay.Until})
	}
	return packet.AppendMsgpackValue(dst, append(text, "]}}"...), nil)
}

// DecodeSession decodes a session of this or a Node server. One with binary data is refused.
func DecodeSession(data []byte) (*adapter.Session, error) {
	text, attachments, err := packet.DecodeMsgpackValue(data, &limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	var w wireSession
	if len(attachments) > 0 || text.Kind() != '{' || packet.Unmarshal(text, nil, &w) != nil || w.SID == "" || w.PID == "" {
		return nil, errMessage
	}
	s := &adapter.Session{SID: w.SID, PID: w.PID, Rooms: w.Rooms, Data: w.Data}
	if m := w.More; m != nil {
		s.Namespace, s.Owner, s.Away, s.Start, s.At, s.Floor = m.Namespace, m.Owner, m.Away, m.Start, m.At, m.Floor
		if m.NoData {
			s.Data = nil
		}
		for _, stay := range m.Stays {
			s.Stays = append(s.Stays, adapter.Stay{Room: stay[0], Since: stay[1], Until: stay[2]})
		}
	}
	return s, nil
}
