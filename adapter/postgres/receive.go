package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// maxFetch is how many notifications are handled together, so that their rows are read in one round trip.
const maxFetch = 64

// handle hands what was received to the namespaces, in order.
func (l *listener) handle() {
	for {
		batch := make([]*pgconn.Notification, 0, 1)
		select {
		case n := <-l.queue:
			batch = append(batch, n)
		case <-l.b.ctx.Done():
			return
		}
		for more := true; more && len(batch) < maxFetch; {
			select {
			case n := <-l.queue:
				batch = append(batch, n)
			default:
				more = false
			}
		}
		l.deliver(batch)
	}
}

// An arrival is a notification for somebody.
type arrival struct {
	channel string
	m       *cluster.Message
	row     int64 // of the table, instead of m
}

func (l *listener) deliver(batch []*pgconn.Notification) {
	arrivals := make([]arrival, 0, len(batch))
	var rows []int64
	for _, n := range batch {
		if !slices.ContainsFunc(l.of(n.Channel), func(s *bus) bool { return !s.sent(n.Payload) }) {
			continue // nobody else
		}
		m, row, err := decode(n.Payload)
		if err != nil {
			l.b.log.Warn("postgres: message not understood", "channel", n.Channel, "error", err)
			continue
		}
		if row != 0 {
			rows = append(rows, row)
		}
		arrivals = append(arrivals, arrival{n.Channel, m, row})
	}
	var payloads map[int64][]byte
	if len(rows) > 0 {
		payloads = l.b.table.payloads(rows)
	}
	for _, a := range arrivals {
		if a.row != 0 {
			payload, ok := payloads[a.row]
			if !ok {
				l.b.stats.lost.Add(1)
				l.b.log.Warn("postgres: attachment is missing", "channel", a.channel, "id", a.row)
				continue
			}
			m, err := cluster.DecodeMsgpack(payload)
			if err != nil {
				l.b.log.Warn("postgres: attachment not understood", "channel", a.channel, "error", err)
				continue
			}
			a.m = m
		}
		for _, s := range l.of(a.channel) {
			s.receive(a.m)
		}
	}
}
