package presence

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// pending is what has changed here and was not told yet. A change and its opposite cancel each other.
type pending struct {
	list []change
	at   map[place]int // where in list
	live int
	was  map[string]jsontext.Value // the data of those who were in no room meanwhile
}

type place struct{ room, id string }

type change struct {
	place
	joined, cancelled bool
}

func (q *pending) empty() bool { return q.live == 0 }

// left notes what the others know of somebody who is in no room any more.
func (q *pending) left(id string, data jsontext.Value) {
	if q.was == nil {
		q.was = make(map[string]jsontext.Value)
	}
	if _, ok := q.was[id]; !ok {
		q.was[id] = data
	}
}

// note adds a change, of somebody with this data.
func (q *pending) note(room, id string, joined bool, data jsontext.Value) {
	pl := place{room, id}
	was, between := q.was[id]
	if i, ok := q.at[pl]; ok && (!joined || !between || bytes.Equal(was, data)) {
		q.list[i].cancelled = true // a socket joins and leaves a room in turns, so it is the opposite
		delete(q.at, pl)
		q.live--
		return
	}
	if q.at == nil {
		q.at = make(map[place]int)
	}
	q.at[pl] = len(q.list)
	q.list = append(q.list, change{place: pl, joined: joined})
	q.live++
}

// take empties q into sp, with the data of those who are new to the others: who come into their first room.
func (q *pending) take(self *server, sp *splitter) {
	told := make(map[string]int) // in how many rooms the others know them to be
	for _, c := range q.list {
		if _, ok := told[c.id]; !ok {
			if who := self.people[c.id]; who != nil {
				told[c.id] = len(who.rooms)
			} else {
				told[c.id] = 0
			}
		}
		if !c.cancelled {
			if c.joined {
				told[c.id]--
			} else {
				told[c.id]++
			}
		}
	}
	for _, c := range q.list {
		if c.cancelled {
			continue
		}
		var data jsontext.Value
		if c.joined {
			if who := self.people[c.id]; who != nil && told[c.id] == 0 {
				data = who.data
			}
			told[c.id]++
		} else {
			told[c.id]--
		}
		sp.add(c.room, c.id, c.joined, data)
	}
	*q = pending{}
	if len(sp.ops) > 0 {
		sp.flush()
	}
}

// all adds everything that the server has, with the data of everybody once.
func (s *server) all(sp *splitter) {
	byRoom := make(map[*room][]*person)
	for _, who := range s.people {
		for _, r := range who.rooms {
			byRoom[r] = append(byRoom[r], who)
		}
	}
	said := make(map[*person]struct{})
	for r, people := range byRoom {
		for _, who := range people {
			var data jsontext.Value
			if who.data != nil {
				if _, ok := said[who]; !ok {
					said[who] = struct{}{}
					data = who.data
				}
			}
			sp.add(r.name, who.id, true, data)
		}
	}
	sp.flush()
}
