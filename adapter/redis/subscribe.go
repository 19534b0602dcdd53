package redis

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A handler takes a message that came on a channel. Those of one line are called one at a time, and must not block.
type handler func(channel string, payload []byte)

// A subscriber receives messages: on one connection, and each of the few sharded channels of a Redis Cluster on one of
// its own. They are in slots of their own, for which one command must not ask together, and which move on their own.
type subscriber struct {
	b *Broker

	mu       sync.Mutex
	handlers map[subscription]handler
	lines    map[string]*line // by channel; "" for the one of what is not sharded
	changes  []change         // that Redis has not been told of
	changing bool             // a goroutine is telling
}

// A subscription is one of a channel or a pattern.
type subscription struct {
	kind kind
	name string
}

type kind uint8

const (
	toChannel kind = iota
	toPattern
	toShard
)

type change struct {
	subscription
	wanted bool
}

func newSubscriber(b *Broker) *subscriber {
	return &subscriber{b: b, handlers: make(map[subscription]handler), lines: make(map[string]*line)}
}

// connected reports whether all connections are there.
func (s *subscriber) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if !l.up.Load() {
			return false
		}
	}
	return len(s.lines) > 0
}

// add has a handler called for a subscription, as soon as Redis knows of it. It does not wait for that.
func (s *subscriber) add(kind kind, name string, h handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := subscription{kind, name}
	s.handlers[x] = h
	s.change(change{x, true})
}

// remove takes back what add did. A handler that is running is not waited for.
func (s *subscriber) remove(kind kind, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := subscription{kind, name}
	delete(s.handlers, x)
	s.change(change{x, false})
}

func (s *subscriber) change(c change) {
	s.changes = append(s.changes, c)
	if !s.changing && s.b.start(s.tell) {
		s.changing = true
	}
}

// maxChanges is how many changes one command carries.
const maxChanges = 1000

// tell passes changes on to Redis, in order.
func (s *subscriber) tell() {
	for {
		s.mu.Lock()
		n := 1
		for n < min(len(s.changes), maxChanges) && alike(s.changes[0], s.changes[n]) {
			n++
		}
		if len(s.changes) == 0 {
			s.changes, s.changing = nil, false
			s.mu.Unlock()
			return
		}
		batch := s.changes[:n:n]
		s.changes = s.changes[n:]
		s.mu.Unlock()
		for channel, names := range s.byLine(batch) {
			if channel != "" && !batch[0].wanted {
				s.drop(channel)
				continue
			}
			l, fresh := s.line(channel)
			l.change(batch[0].kind, batch[0].wanted, names)
			if fresh { // not sooner: who receives without a channel may be connected to any node
				s.b.start(l.run)
			}
		}
	}
}

func alike(a, b change) bool { return a.kind == b.kind && a.wanted == b.wanted }

// byLine sorts the names of a batch by the line that they belong to.
func (s *subscriber) byLine(batch []change) map[string][]string {
	names := make(map[string][]string, 1)
	clustered := s.b.clustered()
	for _, c := range batch {
		channel := ""
		if clustered && c.kind == toShard {
			channel = c.name
		}
		names[channel] = append(names[channel], c.name)
	}
	return names
}

// line returns the line of a channel, which it makes if there is none.
func (s *subscriber) line(channel string) (l *line, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l = s.lines[channel]
	if l == nil {
		l, fresh = &line{s: s, channel: channel, names: make(map[subscription]struct{})}, true
		l.pubsub.Store(s.b.client.Subscribe(s.b.ctx)) // to nothing yet
		s.lines[channel] = l
	}
	return l, fresh
}

// drop ends the line of a channel.
func (s *subscriber) drop(channel string) {
	s.mu.Lock()
	l := s.lines[channel]
	delete(s.lines, channel)
	s.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended.Store(true)
	_ = l.pubsub.Load().Close()
}

func (s *subscriber) handler(x subscription) handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handlers[x]
}

// close ends the lines, whose goroutines the broker waits for.
func (s *subscriber) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		_ = l.pubsub.Load().Close()
	}
}

// A line is one connection that receives.
type line struct {
	s       *subscriber
	channel string // the only one, of a Redis Cluster; else ""
	pubsub  atomic.Pointer[goredis.PubSub]
	up      atomic.Bool
	lost    atomic.Bool // it was up before
	ended   atomic.Bool // nobody wants it any more

	mu    sync.Mutex
	names map[subscription]struct{}
}

// change subscribes or unsubscribes. If that fails, it is done when there is a connection again.
func (l *line) change(kind kind, wanted bool, names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		if wanted {
			l.names[subscription{kind, name}] = struct{}{}
		} else {
			delete(l.names, subscription{kind, name})
		}
	}
	subscribe(l.s.b.ctx, l.pubsub.Load(), kind, wanted, names)
}

func subscribe(ctx context.Context, p *goredis.PubSub, kind kind, wanted bool, names []string) {
	f := p.Subscribe
	switch {
	case kind == toChannel && !wanted:
		f = p.Unsubscribe
	case kind == toPattern && wanted:
		f = p.PSubscribe
	case kind == toPattern:
		f = p.PUnsubscribe
	case kind == toShard && wanted:
		f = p.SSubscribe
	case kind == toShard:
		f = p.SUnsubscribe
	}
	// A connection that turns out to be lost is replaced before the names are noted, so that the new one does not have
	// them. From then on they are noted.
	if f(ctx, names...) != nil {
		_ = f(ctx, names...)
	}
}

// silence is how long nothing may come before Redis is asked whether it is there, and how long it may take to answer.
const silence = 10 * time.Second

// run receives until the broker is closed, or nobody wants the line.
func (l *line) run() {
	b := l.s.b
	asked := false
	wait := 50 * time.Millisecond
	for b.ctx.Err() == nil && !l.ended.Load() {
		p := l.pubsub.Load()
		v, err := p.ReceiveTimeout(b.ctx, silence)
		if err == nil {
			asked, wait = false, 50*time.Millisecond
			l.received(v)
			continue
		}
		if b.ctx.Err() != nil || l.ended.Load() {
			return
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && !asked {
			asked = p.Ping(b.ctx) == nil
			continue
		}
		if asked {
			l.renew() // Redis is gone without a word
		}
		asked = false
		if l.up.Swap(false) {
			l.lost.Store(true)
			b.log.Warn("redis: connection lost, and with it what is published meanwhile", "error", err)
		}
		select {
		case <-b.ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Second)
		var refused goredis.Error
		if l.channel != "" && errors.As(err, &refused) {
			l.moved() // that node does not have the channel
		}
	}
}

// renew replaces a connection on which nothing comes.
func (l *line) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended.Load() {
		return
	}
	ctx := l.s.b.ctx
	old := l.pubsub.Load()
	fresh := l.s.b.client.Subscribe(ctx)
	for x := range l.names {
		subscribe(ctx, fresh, x.kind, true, []string{x.name})
	}
	l.pubsub.Store(fresh)
	_ = old.Close()
}

func (l *line) received(v any) {
	b := l.s.b
	switch m := v.(type) {
	case *goredis.Message:
		x := subscription{toChannel, m.Channel}
		if m.Pattern != "" {
			x = subscription{toPattern, m.Pattern}
		}
		h := l.s.handler(x)
		if h == nil && m.Pattern == "" {
			h = l.s.handler(subscription{toShard, m.Channel})
		}
		if h != nil {
			h(m.Channel, []byte(m.Payload))
		}
	case *goredis.Subscription:
		if l.channel != "" && m.Kind == "sunsubscribe" {
			l.moved()
			return
		}
		l.up.Store(true)
		if l.lost.Swap(false) {
			b.log.Info("redis: receiving again")
		}
	}
}

// moved subscribes again to the channel, whose slot has moved to another node of a Redis Cluster. Which one that is may
// not be known yet: then the old one says so again.
func (l *line) moved() {
	if cluster, ok := l.s.b.client.(*goredis.ClusterClient); ok {
		cluster.ReloadState(l.s.b.ctx)
	}
	l.renew()
}
