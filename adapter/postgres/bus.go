package postgres

import (
	"bytes"
	"context"
	"strings"
	"sync"

	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// A bus is one namespace of one server.
type bus struct {
	b         *Broker
	uid       string
	namespace string
	channel   string
	a         *cluster.Adapter
	tail      []byte // what this server's own messages end with
	head      string // what its own notifications of rows begin with

	mu        sync.Mutex
	listening bool
	greeted   bool // the adapter has said hello

	handling sync.Mutex // while something is received
	closed   bool       // guarded by it
}

func newBus(b *Broker, namespace string) *bus {
	s := &bus{b: b, uid: cluster.NewUID(), namespace: namespace, channel: channelName(b.opts.Prefix, namespace)}
	m := &cluster.Message{UID: s.uid, Namespace: namespace}
	_, tail, _ := bytes.Cut(m.AppendJSON(nil), []byte(`"uid"`))
	s.tail = append([]byte(`"uid"`), tail...)
	s.head = `{"uid":"` + s.uid + `"`
	return s
}

// Publish implements [cluster.Bus].
func (s *bus) Publish(m *cluster.Message) error {
	if m.Type == cluster.InitialHeartbeat {
		// The others answer it, so somebody must listen.
		s.mu.Lock()
		s.greeted = true
		wait := !s.listening
		s.mu.Unlock()
		if wait {
			return nil
		}
	}
	return s.b.publish(s.channel, m)
}

// setListening is told when the channel is listened to, and when it is not any more.
func (s *bus) setListening(yes bool) {
	s.mu.Lock()
	hello := yes && !s.listening && s.greeted
	s.listening = yes
	s.mu.Unlock()
	if hello { // the first time, or again: so that those who came and went meanwhile are known at once
		_ = s.b.publish(s.channel, &cluster.Message{Type: cluster.InitialHeartbeat, UID: s.uid, Namespace: s.namespace})
	}
}

// Respond implements [cluster.Bus]. As in Node, everybody gets it.
func (s *bus) Respond(_ string, m *cluster.Message) error { return s.Publish(m) }

// Servers implements [cluster.Bus].
func (s *bus) Servers(context.Context) (int, error) { return -1, nil }

// sent reports whether a notification is this server's own, without decoding it.
func (s *bus) sent(payload string) bool {
	return strings.HasPrefix(payload, s.head) ||
		strings.HasSuffix(strings.TrimRight(payload, marks), string(s.tail))
}

func (s *bus) receive(m *cluster.Message) {
	s.handling.Lock()
	defer s.handling.Unlock()
	if s.closed || m.UID == s.uid {
		return
	}
	s.b.stats.received.Add(1)
	s.a.Receive(m)
}

// Close implements [cluster.Bus].
func (s *bus) Close() error {
	s.b.in.remove(s)
	s.handling.Lock()
	defer s.handling.Unlock()
	s.closed = true
	return nil
}
