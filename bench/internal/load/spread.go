//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A stream is numbered messages from one client to some, that are sent at their time, whatever has arrived by then.
type stream struct {
	prefix  string // of the event, up to the payload
	sender  *client
	members []*client
	sent    uint64
	at      [maxUnderWay]time.Duration
}

// maxUnderWay is how far a client may be behind the last message of its stream.
const maxUnderWay = 1024

// spread has rooms with clients on every server.
func (r *run) spread() error {
	s, err := r.swarm()
	if err != nil {
		return err
	}
	defer s.close()
	var groups []*group
	var streams []*stream
	for first := 0; first < len(s.clients); first += r.cfg.RoomSize {
		id := len(groups)
		g := &group{id: id, members: s.clients[first:min(first+r.cfg.RoomSize, len(s.clients))]}
		groups = append(groups, g)
		streams = append(streams, &stream{
			prefix: `42["rcast","room` + strconv.Itoa(id) + `","`,
			// Members are on the servers by turns, and so are the senders of the rooms.
			sender: g.members[(len(s.targets)-first%len(s.targets)+id)%len(s.targets)%len(g.members)], members: g.members,
		})
	}
	if err := r.join(s, groups); err != nil {
		return err
	}
	return r.atRate(s, streams)
}

// unicast has each client send to the next one, which is on another server.
func (r *run) unicast() error {
	if r.cfg.Clients%len(r.targets) != 0 {
		return errors.New("clients can't be the same number on each server")
	}
	s, err := r.swarm()
	if err != nil {
		return err
	}
	defer s.close()
	var streams []*stream
	for i, c := range s.clients {
		to := s.clients[(i+1)%len(s.clients)]
		if to.sid == "" {
			return errors.New("a socket without an id")
		}
		streams = append(streams, &stream{prefix: `42["rcast","` + to.sid + `","`, sender: c, members: []*client{to}})
	}
	return r.atRate(s, streams)
}

// found waits until the messages of every stream reach all its members: brokers that route by rooms learn of them after
// the joins were acknowledged.
func (r *run) found(s *swarm, streams []*stream) error {
	try := func(text string) bool {
		want := []byte(`42["msg","` + text + `"]`)
		reached := make([]bool, len(s.clients))
		left := 0
		for _, st := range streams {
			left += len(st.members)
			st.sender.send(appendFrame(nil, []byte(st.prefix+text+`"]`)))
		}
		s.onMessage = func(c *client, text []byte) error {
			if bytes.Equal(text, want) && !reached[c.index] {
				reached[c.index] = true
				left--
			}
			return nil
		}
		s.flush()
		return s.runUntil(500*time.Millisecond, func() bool { return left == 0 })
	}
	for end := s.clock() + r.cfg.Patience; s.clock() < end; {
		// What was sent before the one that all have received has arrived, too, or never will.
		if try("attempt " + strconv.Itoa(int(s.clock()))) {
			return nil
		}
	}
	return errors.New("not every message reaches the other servers")
}

// atRate sends the streams' messages by turns, and checks what arrives.
func (r *run) atRate(s *swarm, streams []*stream) error {
	if err := r.found(s, streams); err != nil {
		return err
	}
	streamOf := make([]int, len(s.clients))
	next := make([]uint64, len(s.clients)) // the message each client waits for
	for i, st := range streams {
		for _, c := range st.members {
			streamOf[c.index] = i
		}
	}
	under := 0 // deliveries that are to come
	s.onMessage = func(c *client, text []byte) error {
		id, seq, err := r.payload.parseMsg(text)
		if err != nil {
			return err
		}
		st := streams[streamOf[c.index]]
		if id != streamOf[c.index] || seq != next[c.index] || seq >= st.sent {
			r.wrong(fmt.Errorf("client %d: message %d of stream %d, want %d of stream %d", c.index, seq, id, next[c.index], streamOf[c.index]))
			return nil
		}
		next[c.index]++
		under--
		r.ops++
		r.latency.add(s.now - st.at[seq%maxUnderWay])
		return nil
	}
	start, sent := s.clock(), 0
	s.tick = func() {
		if r.stopping {
			return
		}
		now := s.clock()
		for due := int(float64(now-start) * float64(r.cfg.Rate) / float64(time.Second)); sent < due; sent++ {
			st := streams[sent%len(streams)]
			r.scratch = append(r.scratch[:0], st.prefix...)
			r.scratch = append(r.payload.append(r.scratch, sent%len(streams), st.sent), `"]`...)
			r.frame = appendFrame(r.frame[:0], r.scratch)
			st.at[st.sent%maxUnderWay] = now
			st.sent++
			under += len(st.members)
			st.sender.send(r.frame)
		}
		s.flush()
	}
	return r.measure(s.loop, func() int { return under })
}
