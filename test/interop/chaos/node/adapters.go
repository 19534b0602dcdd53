package node

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/nats/embedded"
	"github.com/sockeye-io/sockeye/adapter/postgres"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

// A membership is a server's place in a cluster.
type membership struct {
	adapter   adapter.Factory
	connected func(peers int) bool
	close     func() error
}

// waitTime is how long a server that can't reach the others waits before it serves nevertheless.
const waitTime = 5 * time.Second

// wait waits until the server hears the others, as `sockeye serve` does: who serves before has clients miss things.
func (m *membership) wait(ctx context.Context, peers int) {
	ctx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !m.connected(peers) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Adapters are the kinds of clusters.
var Adapters = map[string]func(*Config, *slog.Logger) (*membership, error){
	"redis-classic": onRedis((*redis.Broker).Classic),
	"redis-sharded": onRedis((*redis.Broker).Sharded),
	"redis-streams": onRedis((*redis.Broker).Streams),
	"nats": func(c *Config, log *slog.Logger) (*membership, error) {
		b, err := nats.Open(nats.Options{URL: "nats://" + c.Broker, Logger: log})
		if err != nil {
			return nil, err
		}
		return &membership{b.Adapter(), func(int) bool { return b.Stats().Connected }, b.Close}, nil
	},
	"embedded": func(c *Config, log *slog.Logger) (*membership, error) {
		s, err := embedded.Start(embedded.Options{
			Listen: c.Cluster, Peers: c.Peers, Secret: []byte("what the servers of a test share"), Logger: log,
		})
		if err != nil {
			return nil, err
		}
		b, err := s.Open(nats.Options{Logger: log})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return &membership{
			b.Adapter(), func(peers int) bool { return b.Stats().Connected && s.Peers() >= peers },
			func() error { return errors.Join(b.Close(), s.Close()) },
		}, nil
	},
	"postgres": func(c *Config, log *slog.Logger) (*membership, error) {
		b, err := postgres.Open(postgres.Options{DSN: "postgres://test@" + c.Broker + "/postgres?sslmode=disable", Logger: log})
		if err != nil {
			return nil, err
		}
		return &membership{b.Adapter(), func(int) bool { return b.Stats().Connected }, b.Close}, nil
	},
}

func onRedis(factory func(*redis.Broker) adapter.Factory) func(*Config, *slog.Logger) (*membership, error) {
	return func(c *Config, log *slog.Logger) (*membership, error) {
		b, err := redis.Open(redis.Options{
			// More than a run sends while a server is cut off: what is older can't be read any more.
			Redis: goredis.UniversalOptions{Addrs: []string{c.Broker}}, StreamMaxLen: 100_000, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		return &membership{factory(b), func(int) bool { return b.Stats().Connected }, b.Close}, nil
	}
}

type counter struct{ n atomic.Int64 }

func (c *counter) next() int64 { return c.n.Add(1) }
