package redis

// PeerBus takes messages from server to server, as package peers/tunnel needs them.
func (b *Broker) PeerBus() *PeerBus { return &PeerBus{b} }

// A PeerBus is a tunnel.Bus. All methods are safe for concurrent use.
type PeerBus struct{ b *Broker }

// channel is none that an adapter publishes on: those have the name of a namespace, which begins with a slash.
func (p *PeerBus) channel(id string) string { return p.b.opts.Prefix + "#peers#" + id }

// Send sends a message to a server. It returns [ErrDown] or [ErrQueueFull] if that can't be.
func (p *PeerBus) Send(to string, payload []byte) error {
	return p.b.out.push(publication{channel: p.channel(to), payload: payload})
}

// Receive has f called for each message to a server, one call at a time.
func (p *PeerBus) Receive(id string, f func(payload []byte)) (stop func(), err error) {
	p.b.in.add(toChannel, p.channel(id), func(_ string, payload []byte) { f(payload) })
	return func() { p.b.in.remove(toChannel, p.channel(id)) }, nil
}
