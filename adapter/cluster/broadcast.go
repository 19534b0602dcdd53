package cluster

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// decodeBroadcast decodes what there is the most of, without the reflection of package json.
func (m *Message) decodeBroadcast(data jsontext.Value, attachments [][]byte) error {
	var room [8]packet.Member
	members, err := packet.SplitMembers(data, room[:0])
	if err != nil {
		return fmt.Errorf("%w: %w", errMessage, err)
	}
	for _, x := range members {
		switch string(x.Name) {
		case `"requestId"`:
			err = packet.Unmarshal(x.Value, nil, &m.RequestID)
		case `"opts"`:
			m.Target, err = decodeTarget(x.Value)
		case `"leavers"`:
			err = packet.Unmarshal(x.Value, nil, &m.Leavers)
		case `"packet"`:
			err = m.decodePacket(x.Value, attachments)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	if m.Packet == nil {
		return errMessage
	}
	return nil
}

func (m *Message) decodePacket(text jsontext.Value, attachments [][]byte) error {
	var room [8]packet.Member
	members, err := packet.SplitMembers(text, room[:0])
	if err != nil {
		return err
	}
	for _, x := range members {
		switch {
		case string(x.Name) == `"data"` && isEvent(x.Value):
			m.Packet = &adapter.Packet{Data: x.Value, Attachments: attachments}
		case string(x.Name) == `"nsp"` && m.Namespace == "": // emitters name it here
			if err := packet.Unmarshal(x.Value, nil, &m.Namespace); err != nil {
				return err
			}
		}
	}
	return nil
}

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
