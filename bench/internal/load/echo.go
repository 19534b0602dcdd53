//go:build linux

package load

import (
	"fmt"
	"time"
)

// echoState is one client's window of events under way. Their ids are also their numbers in the stream.
type echoState struct {
	sent, received uint64
	at             [maxInFlight]time.Duration
}

func (r *run) echo() error {
	s, err := r.swarm()
	if err != nil {
		return err
	}
	defer s.close()
	states := make([]echoState, len(s.clients))
	send := func(c *client) {
		st := &states[c.index]
		r.scratch = r.payload.appendEcho(r.scratch[:0], c.index, st.sent)
		r.frame = appendFrame(r.frame[:0], r.scratch)
		st.at[st.sent%maxInFlight] = s.now
		st.sent++
		c.send(r.frame)
	}
	s.onMessage = func(c *client, text []byte) error {
		st := &states[c.index]
		id, stream, seq, err := r.payload.parseAck(text)
		if err != nil {
			return err
		}
		if id != st.received || seq != id || stream != c.index || id >= st.sent {
			r.wrong(fmt.Errorf("client %d: acknowledgement %d with message %d of client %d, want %d", c.index, id, seq, stream, st.received))
			return nil
		}
		r.latency.add(s.now - st.at[id%maxInFlight])
		st.received++
		r.ops++
		if !r.stopping {
			send(c)
		}
		return nil
	}
	s.clock()
	for _, c := range s.clients {
		for range r.cfg.InFlight {
			send(c)
		}
	}
	s.flush()
	return r.measure(s.loop, func() int {
		missing := 0
		for i := range states {
			missing += int(states[i].sent - states[i].received)
		}
		return missing
	})
}
