package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// maxInline is how long a message may be that is sent in a notification. PostgreSQL takes 7,999 bytes, of which some are
// for marks.
const maxInline = 7999 - maxMarks

// A notification that is like another of its transaction is dropped by PostgreSQL. So those that repeat get marks: a
// number written in two kinds of white space, which JSON allows at its end.
const (
	marks    = " \n"
	maxMarks = 16
)

// appendMarks makes the nth repetition of a payload different from the others.
func appendMarks(payload string, n int) string {
	for ; n > 0; n >>= 1 {
		payload += marks[n&1 : n&1+1]
	}
	return payload
}

// publish queues a message.
func (b *Broker) publish(channel string, m *cluster.Message) error {
	p := publication{channel: channel}
	if !m.Binary() {
		p.payload = m.AppendJSON(nil)
	}
	if m.Binary() || len(p.payload) > maxInline {
		packed, err := m.AppendMsgpack(nil)
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		p.payload = packed
		p.header = fmt.Sprintf(`{"uid":%q,"type":%d,"attachmentId":"`, m.UID, m.Type)
	}
	return b.out.push(p)
}

// decode decodes a notification: a message, or the number of the row that has it.
func decode(payload string) (m *cluster.Message, row int64, err error) {
	if strings.Contains(payload, `"attachmentId"`) { // anywhere
		var header struct {
			Attachment jsontext.Value `json:"attachmentId"`
		}
		if err := packet.Unmarshal(jsontext.Value(payload), nil, &header); err != nil {
			return nil, 0, fmt.Errorf("postgres: not a message: %w", err)
		}
		if len(header.Attachment) > 0 {
			row, err := strconv.ParseInt(strings.Trim(string(header.Attachment), `"`), 10, 64)
			if err != nil || row <= 0 {
				return nil, 0, fmt.Errorf("postgres: not the number of a row: %.30q", string(header.Attachment))
			}
			return nil, row, nil
		}
	}
	m, err = cluster.DecodeJSON([]byte(payload))
	return m, 0, err
}
