// Package check finds out what a cluster has lost, repeated and put into another order, from what was sent and what
// everybody received. It knows nothing of servers and brokers, has no clock of its own, and is the same for all of them.
package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Times are since the beginning of a run, by one clock.
type Times = time.Duration

// An Outcome is what a sender knows of a message.
type Outcome uint8

// Outcomes.
const (
	Unknown Outcome = iota // the connection was lost before there was an answer
	Acked                  // a server said that emitting it returned no error
	Failed                 // a server said that emitting it returned an error
)

// A Key tells messages apart: senders number theirs, and send none twice.
type Key struct {
	Sender string
	N      int
}

func (k Key) String() string { return fmt.Sprintf("%s/%d", k.Sender, k.N) }

// A Message is one that was sent.
type Message struct {
	Key
	To           string // a room, or the id of a session
	Node         string // the server that emitted it; "" if the outcome is unknown
	Process      string // the same, and which of its lives
	Outcome      Outcome
	Began, Ended Times // when it was sent, and when there was an outcome
}

// A Receipt is a message that was received.
type Receipt struct {
	Key
	Origin string // which of a server's sockets it came from; what one origin emits has an order
	At     Times
}

// A Session is the time for which a receiver was connected to one server.
type Session struct {
	ID       string
	Node     string
	From     Times // in its rooms
	Until    Times // when the receiver noticed that the connection was gone, or the end of the run
	Receipts []Receipt
}

// A Receiver is somebody who receives, over one session after the other.
type Receiver struct {
	Name     string
	Rooms    []string
	Sessions []Session
}

// An Outage is a time in which messages to and from some servers may be lost on their way to and from others.
type Outage struct {
	From, Until Times
	Nodes       []string // nil: all
}

// Rules say what may be lost. In one session nothing may ever be repeated, or overtake another of the same origin.
type Rules struct {
	// Recovery: whoever was away gets what was sent meanwhile, and servers what was sent while they had no broker. All
	// sessions of a receiver are one.
	Recovery bool
	// Settle is how long after joining a room a receiver may miss what other servers emit to it.
	Settle time.Duration
	// Reach is how long a message may be on its way: one that was sent less than that before a connection or a server
	// ended may be lost with it.
	Reach   time.Duration
	Outages []Outage
	// Killed says when processes were killed.
	Killed map[string]Times
}

// A Report is what [Run] finds.
type Report struct {
	Sent, Acked, Failed, Unknown int // messages
	Due                          int // receipts that there had to be
	Received                     int // receipts that there were
	// What was not received, and need not be: because the receiver was not connected (or not yet in the room, or not
	// any more when it arrived), because of an outage, or because it was still in the process that was killed.
	Away, Outage, Killed int
	// Again are messages that were received once more in a later session that is not the continuation of the one before:
	// from the server that emitted it, and by who then came to another server before the message did.
	Again int
	// What must not be.
	Lost, Repeated, Reordered, Stray int
	// Examples tell of the first of each.
	Examples []string
}

// Bad is how many things happened that must not.
func (r *Report) Bad() int { return r.Lost + r.Repeated + r.Reordered + r.Stray }

// Err returns nil, or what is wrong, with examples.
func (r *Report) Err() error {
	if r.Bad() == 0 {
		return nil
	}
	return fmt.Errorf("%d lost, %d repeated, %d reordered, %d stray of %d receipts due\n  %s",
		r.Lost, r.Repeated, r.Reordered, r.Stray, r.Due, strings.Join(r.Examples, "\n  "))
}

// maxExamples is how many are told of each kind.
const maxExamples = 5

func (r *Report) example(count *int, format string, args ...any) {
	if *count++; *count <= maxExamples {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

// Run compares.
func Run(messages []Message, receivers []Receiver, rules Rules) *Report {
	r := &Report{Sent: len(messages)}
	sent := make(map[Key]*Message, len(messages))
	for i := range messages {
		m := &messages[i]
		sent[m.Key] = m
		switch m.Outcome {
		case Acked:
			r.Acked++
		case Failed:
			r.Failed++
		default:
			r.Unknown++
		}
	}
	had := make([]map[Key]bool, len(receivers))
	left := map[Key]bool{} // messages that have left the server that emitted them
	for i := range receivers {
		had[i] = r.received(&receivers[i], sent, left, &rules)
	}
	for i := range messages {
		for j := range receivers {
			if m := &messages[i]; m.Outcome == Acked && !had[j][m.Key] {
				r.missed(m, &receivers[j], left[m.Key], &rules)
			} else if m.Outcome == Acked {
				r.Due++
			}
		}
	}
	slices.Sort(r.Examples)
	return r
}

// received goes through what one receiver got, in the order in which it got it.
func (r *Report) received(who *Receiver, sent map[Key]*Message, left map[Key]bool, rules *Rules) map[Key]bool {
	first := map[Key]Receipt{}
	last := map[[2]string]Receipt{} // by sender and origin
	had := map[Key]bool{}
	for _, s := range who.Sessions {
		here := map[Key]bool{}
		if !rules.Recovery {
			clear(last)
		}
		for _, got := range s.Receipts {
			m := sent[got.Key]
			switch {
			case m == nil:
				r.example(&r.Stray, "stray: %s received %v, which nobody sent", who.Name, got.Key)
				continue
			case !who.member(m.To):
				r.example(&r.Stray, "stray: %s received %v, which is to %s", who.Name, got.Key, m.To)
			}
			r.Received++
			if m.Node != "" && s.Node != m.Node {
				left[got.Key] = true
			}
			before, again := first[got.Key]
			if again && !rules.Recovery && !here[got.Key] && got.At-m.Ended <= rules.Reach {
				r.Again++
				again = false
			}
			here[got.Key] = true
			if again {
				r.example(&r.Repeated, "repeated: %s received %v at %v (origin %s) and again at %v (origin %s, on %s)",
					who.Name, got.Key, before.At, before.Origin, got.At, got.Origin, s.Node)
				continue
			}
			if !had[got.Key] {
				first[got.Key], had[got.Key] = got, true
			}
			stream := [2]string{got.Sender, got.Origin}
			if before, ok := last[stream]; ok && before.N > got.N {
				r.example(&r.Reordered, "reordered: %s received %v at %v, after %v at %v, both of origin %s, on %s",
					who.Name, got.Key, got.At, before.Key, before.At, got.Origin, s.Node)
				continue
			}
			last[stream] = got
		}
	}
	return had
}

// member reports whether a receiver is somebody whom what is sent there is for.
func (w *Receiver) member(to string) bool {
	return slices.Contains(w.Rooms, to) || slices.ContainsFunc(w.Sessions, func(s Session) bool { return s.ID == to })
}

// missed decides what it means that somebody did not receive a message.
func (r *Report) missed(m *Message, who *Receiver, left bool, rules *Rules) {
	if !who.member(m.To) || len(who.Sessions) == 0 {
		return
	}
	inRoom := slices.Contains(who.Rooms, m.To)
	begin := slices.MinFunc(who.Sessions, func(a, b Session) int { return cmp.Compare(a.From, b.From) }).From
	var there *Session // that should have received it
	for i := range who.Sessions {
		s := &who.Sessions[i]
		if (inRoom || s.ID == m.To) && s.From+rules.Settle <= m.Began && m.Ended+rules.Reach <= s.Until {
			there = s
		}
	}
	killed, wasKilled := rules.Killed[m.Process]
	inProcess := wasKilled && m.Ended+rules.Reach > killed
	switch {
	case rules.Recovery && m.Began < begin+rules.Settle:
		r.Away++ // for the first time
	case rules.Recovery && inProcess && !left:
		r.Killed++
	case rules.Recovery:
		r.lost(m, who, there)
	case there == nil:
		r.Away++
	case there.Node == m.Node: // which no broker has to do with
		r.lost(m, who, there)
	case inProcess:
		r.Killed++
	case rules.outage(m, there):
		r.Outage++
	default:
		r.lost(m, who, there)
	}
}

func (r *Report) lost(m *Message, who *Receiver, there *Session) {
	where := "was away"
	if there != nil {
		where = fmt.Sprintf("was on %s from %v until %v", there.Node, there.From, there.Until)
	}
	r.Due++
	r.example(&r.Lost, "lost: %v to %s, emitted by %s between %v and %v; %s %s",
		m.Key, m.To, m.Process, m.Began, m.Ended, who.Name, where)
}

// outage reports whether something was wrong between the servers of a message and a session.
func (rules *Rules) outage(m *Message, s *Session) bool {
	return slices.ContainsFunc(rules.Outages, func(o Outage) bool {
		concerned := o.Nodes == nil || slices.Contains(o.Nodes, m.Node) || slices.Contains(o.Nodes, s.Node)
		return concerned && m.Began <= o.Until && m.Ended+rules.Reach >= o.From
	})
}
