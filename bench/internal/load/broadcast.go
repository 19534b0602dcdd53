//go:build linux

package load

import (
	"fmt"
	"strconv"
	"time"
)

// group is a set of clients that receive what the first of them sends.
type group struct {
	id      int
	prefix  string // of the event that asks for the broadcast, up to the payload
	members []*client
	sent    uint64
	done    uint64 // received by all members
	left    [maxInFlight]int
	at      [maxInFlight]time.Duration
}

func (r *run) broadcast() error {
	s, err := r.swarm()
	if err != nil {
		return err
	}
	defer s.close()
	return r.fanOut(s, []*group{{prefix: `42["bcast","`, members: s.clients}})
}

func (r *run) rooms() error {
	s, err := r.swarm()
	if err != nil {
		return err
	}
	defer s.close()
	var groups []*group
	for first := 0; first < len(s.clients); first += r.cfg.RoomSize {
		room := "room" + strconv.Itoa(len(groups))
		groups = append(groups, &group{
			id:      len(groups),
			prefix:  `42["rcast","` + room + `","`,
			members: s.clients[first:min(first+r.cfg.RoomSize, len(s.clients))],
		})
	}
	if err := r.join(s, groups); err != nil {
		return err
	}
	return r.fanOut(s, groups)
}

// join has every client join its group's room and waits for the acknowledgements.
func (r *run) join(s *swarm, groups []*group) error {
	joined := 0
	s.onMessage = func(c *client, text []byte) error {
		if string(text[:min(4, len(text))]) != "430[" {
			return fmt.Errorf("not the acknowledgement of a join: %.80q", text)
		}
		joined++
		return nil
	}
	for _, g := range groups {
		for _, c := range g.members {
			c.send(appendFrame(nil, fmt.Appendf(nil, `420["join","room%d"]`, g.id)))
		}
	}
	s.flush()
	if !s.runUntil(r.cfg.Patience, func() bool { return joined == len(s.clients) }) {
		return fmt.Errorf("%d of %d clients could join their room", joined, len(s.clients))
	}
	return nil
}

func (r *run) fanOut(s *swarm, groups []*group) error {
	groupOf := make([]*group, len(s.clients))
	next := make([]uint64, len(s.clients)) // the message each client waits for
	for _, g := range groups {
		for _, c := range g.members {
			groupOf[c.index] = g
		}
	}
	send := func(g *group) {
		r.scratch = append(r.scratch[:0], g.prefix...)
		r.scratch = append(r.payload.append(r.scratch, g.id, g.sent), `"]`...)
		r.frame = appendFrame(r.frame[:0], r.scratch)
		slot := g.sent % maxInFlight
		g.at[slot], g.left[slot] = s.now, len(g.members)
		g.sent++
		g.members[0].send(r.frame)
	}
	s.onMessage = func(c *client, text []byte) error {
		stream, seq, err := r.payload.parseMsg(text)
		if err != nil {
			return err
		}
		g := groupOf[c.index]
		if stream != g.id || seq != next[c.index] || seq >= g.sent {
			r.wrong(fmt.Errorf("client %d: message %d of group %d, want %d of group %d", c.index, seq, stream, next[c.index], g.id))
			return nil
		}
		next[c.index]++
		r.ops++
		slot := seq % maxInFlight
		r.latency.add(s.now - g.at[slot])
		if g.left[slot]--; g.left[slot] == 0 {
			g.done++
			if !r.stopping {
				send(g)
			}
		}
		return nil
	}
	s.clock()
	for _, g := range groups {
		for range r.cfg.InFlight {
			send(g)
		}
	}
	s.flush()
	return r.measure(s.loop, func() int {
		missing := 0
		for _, g := range groups {
			for seq := g.done; seq < g.sent; seq++ {
				missing += g.left[seq%maxInFlight]
			}
		}
		return missing
	})
}
