package engineio

import (
	"net/netip"
	"sync"
	"time"
)

// HandshakeLimit bounds how fast one address may open sessions. Loopback and
// private addresses are exempt: behind a proxy that Options.TrustedProxies does
// not name every client has the proxy's address, and a limit per proxy would be
// a limit for all.
type HandshakeLimit struct {
	// PerSecond is the sustained rate for one address (an IPv6 /64 counts as
	// one). Zero means 100; negative means no limit.
	PerSecond float64
	// Burst is how many handshakes may come at once, for example when a whole
	// office reconnects. Zero means 1000.
	Burst int
	// IncludePrivate applies the limit to loopback and private addresses too.
	IncludePrivate bool
}

func (l HandshakeLimit) withDefaults() HandshakeLimit {
	defaultTo(&l.PerSecond, 100)
	defaultTo(&l.Burst, 1000)
	return l
}

// maxTracked bounds the memory of the limiter: 65,536 addresses of about 80
// bytes. When it is full, the table starts anew, which can only let more in.
const maxTracked = 1 << 16

// limiter is a token bucket for each address. A bucket exists only while it is
// not full.
type limiter struct {
	HandshakeLimit
	mu      sync.Mutex
	buckets map[netip.Prefix]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// allow takes a token for the address, or reports false and how long to wait
// for the next.
func (l *limiter) allow(remoteAddr string, now time.Time) (bool, time.Duration) {
	if l.PerSecond < 0 {
		return true, 0
	}
	addrPort, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return true, 0 // unix sockets and in-memory connections have none
	}
	addr := addrPort.Addr().Unmap()
	if !l.IncludePrivate && (addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()) {
		return true, 0
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	key, err := addr.Prefix(bits)
	if err != nil {
		return true, 0
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.buckets[key]
	if known {
		b.tokens = min(float64(l.Burst), b.tokens+now.Sub(b.at).Seconds()*l.PerSecond)
	} else {
		b.tokens = float64(l.Burst)
	}
	b.at = now
	if b.tokens < 1 {
		l.buckets[key] = b
		return false, time.Duration((1 - b.tokens) / l.PerSecond * float64(time.Second))
	}
	b.tokens--
	if l.buckets == nil || len(l.buckets) >= maxTracked {
		l.sweep(now)
	}
	l.buckets[key] = b
	return true, 0
}

// sweep drops the buckets that are full again, or all if none is.
func (l *limiter) sweep(now time.Time) {
	for key, b := range l.buckets {
		if b.tokens+now.Sub(b.at).Seconds()*l.PerSecond >= float64(l.Burst) {
			delete(l.buckets, key)
		}
	}
	if l.buckets == nil || len(l.buckets) >= maxTracked {
		l.buckets = make(map[netip.Prefix]bucket)
	}
}
