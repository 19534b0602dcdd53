package nats

import (
	"errors"
	"time"
)

// PeerBus takes messages from server to server, as package peers/tunnel needs them.
func (b *Broker) PeerBus() *PeerBus { return &PeerBus{b} }

// A PeerBus is a tunnel.Bus. All methods are safe for concurrent use.
type PeerBus struct{ b *Broker }

const peerName = "@peers" // no namespace has this token

func (p *PeerBus) subject(id string) string {
	return p.b.opts.Prefix + "." + peerName + "." + token(id)
}

// Send sends a message to a server. It returns [ErrDown] or [ErrQueueFull] if that can't be.
func (p *PeerBus) Send(to string, payload []byte) error {
	return p.b.out.publish(p.subject(to), payload)
}

// Receive has f called for each message to a server, one call at a time. There is one receiver for each broker.
func (p *PeerBus) Receive(id string, f func(payload []byte)) (stop func(), err error) {
	p.b.mu.Lock()
	taken := p.b.taking[peerName] != nil
	if !taken {
		p.b.taking[peerName] = &peerTaker{b: p.b, f: f}
	}
	p.b.mu.Unlock()
	if taken {
		return nil, errors.New("nats: the broker receives for a server already")
	}
	p.b.out.interest(subscribe, p.subject(id))
	return func() {
		p.b.out.interest(unsubscribe, p.subject(id))
		p.b.mu.Lock()
		delete(p.b.taking, peerName)
		p.b.mu.Unlock()
	}, nil
}

type peerTaker struct {
	b      *Broker
	f      func([]byte)
	joiner joiner
}

func (t *peerTaker) take(payload []byte) {
	payload, err := t.joiner.join(payload, time.Now())
	if err != nil {
		t.b.stats.dropped.Add(1) // the receiver misses its number
		return
	}
	if payload != nil {
		t.f(payload)
	}
}

// reconnected does nothing: what was lost meanwhile is noticed by its number.
func (*peerTaker) reconnected() {}
