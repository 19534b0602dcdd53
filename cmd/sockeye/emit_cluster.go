package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter/emitter"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/postgres"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/pipe"
)

// brokerFlags are for emitting into a cluster, with no server to connect to.
type brokerFlags struct {
	Redis    bool     `xor:"broker" help:"URL is that of a Redis (redis://, rediss:// or unix://), by way of which servers act as one: all their clients get the event. Of the flags for connecting only --namespace and --timeout count."`
	NATS     bool     `name:"nats" xor:"broker" help:"The same, and URL is that of a NATS (nats:// or tls://), or of several with commas between them."`
	Postgres bool     `xor:"broker" help:"The same, and URL is that of a PostgreSQL (postgres://), or its words as one argument: \"host=… user=…\"."`
	Room     []string `sep:"none" placeholder:"NAME" help:"With --redis, --nats or --postgres, emit to who is in this room. May be given more than once."`
	Except   []string `sep:"none" placeholder:"NAME" help:"With these, leave out who is in this room. May be given more than once."`
	Sharded  bool     `help:"With --redis, the servers use the sharded adapter."`
	Prefix   string   `placeholder:"NAME" help:"With these, what the names of channels begin with; \"socket.io\" if not given, with --nats \"sockeye\"."`
}

// wanted reports whether to emit by way of a broker.
func (f *brokerFlags) wanted() bool { return f.Redis || f.NATS || f.Postgres }

// alone returns an error if a flag is given that needs another one.
func (f *brokerFlags) alone() error {
	switch {
	case f.Sharded && !f.Redis:
		return errors.New("--sharded is for --redis")
	case !f.wanted() && (len(f.Room) > 0 || len(f.Except) > 0 || f.Prefix != ""):
		return errors.New("--room, --except and --prefix are for --redis, --nats and --postgres")
	}
	return nil
}

// A carrier emits by way of a broker.
type carrier struct {
	name    string // of the broker
	emitter emitter.Emitter
	ping    func(context.Context) error
	close   func() error
	lost    func() int64 // how many events were not sent, or not for sure
	full    error        // of an event that must wait
}

// carrier opens the broker that the flags stand for.
func (f *brokerFlags) carrier(rawURL, namespace string, log *slog.Logger) (*carrier, error) {
	switch {
	case f.NATS:
		b, err := nats.Open(nats.Options{URL: rawURL, Prefix: f.Prefix, Logger: log})
		if err != nil {
			return nil, codeError{exitUsage, err.Error()}
		}
		return &carrier{
			"NATS", b.Emitter(namespace), func(ctx context.Context) error { return pingNATS(ctx, b) }, b.Close,
			func() int64 { return b.Stats().Lost }, nats.ErrQueueFull,
		}, nil
	case f.Postgres:
		b, err := postgres.Open(postgres.Options{DSN: rawURL, Prefix: f.Prefix, Logger: log})
		if err != nil {
			return nil, codeError{exitUsage, "the URL of PostgreSQL is wrong"} // the error may show the password
		}
		return &carrier{
			"PostgreSQL", b.Emitter(namespace), b.Ping, b.Close,
			func() int64 { return b.Stats().Lost }, postgres.ErrQueueFull,
		}, nil
	}
	b, err := openRedis(rawURL, f.Prefix, log)
	if err != nil {
		return nil, err
	}
	e := b.Emitter(namespace)
	if f.Sharded {
		e = b.ShardedEmitter(namespace)
	}
	return &carrier{"Redis", e, b.Ping, b.Close, func() int64 { return b.Stats().Lost }, redis.ErrQueueFull}, nil
}

// pingNATS waits until there is a connection, which is made in the background.
func pingNATS(ctx context.Context, b *nats.Broker) error {
	for {
		err := b.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// maxLine bounds a line of the input, in bytes.
const maxLine = 16 << 20

// emitBroker emits by way of a broker.
func (c *emitCommand) emitBroker(ctx context.Context, s streams, in io.Reader, messages messages) error {
	if c.Ack {
		return codeError{exitUsage, "by way of a broker there are no acknowledgements"}
	}
	broker, err := c.carrier(c.URL, c.Namespace, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	reach, cancel := context.WithTimeout(ctx, c.Timeout)
	err = broker.ping(reach)
	cancel()
	if err != nil {
		_ = broker.close()
		return codeError{exitConnect, "cannot reach " + broker.name + ": " + err.Error()}
	}
	e := broker.emitter.To(c.Room...).Except(c.Except...)
	emit := func(m pipe.Message) error {
		for {
			err := e.Emit(m.Event, m.Args...)
			if !errors.Is(err, broker.full) {
				return err
			}
			select {
			case <-ctx.Done():
				return errors.New("interrupted")
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	if messages.line == nil {
		err = emit(messages.one)
	} else {
		err = emitLines(ctx, s, in, messages, emit)
	}
	closing := broker.close()
	if lost := broker.lost(); lost > 0 {
		closing = fmt.Errorf("%d events were not sent, or not for sure", lost)
	}
	return errors.Join(err, closing)
}

// openRedis returns a broker for the URL of a Redis.
func openRedis(rawURL, prefix string, log *slog.Logger) (*redis.Broker, error) {
	if !strings.Contains(rawURL, "://") {
		rawURL = "redis://" + rawURL
	}
	o, err := goredis.ParseURL(rawURL)
	if err != nil {
		return nil, codeError{exitUsage, "the URL of Redis is wrong"} // the error may show the password
	}
	return redis.Open(redis.Options{
		Redis: goredis.UniversalOptions{
			Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
		},
		Prefix: prefix, Logger: log,
	})
}

// emitLines emits what becomes of each line. Lines that are wrong are told, and left out.
func emitLines(ctx context.Context, s streams, in io.Reader, messages messages, emit func(pipe.Message) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	wrong := 0
	for n := 1; lines.Scan(); n++ {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		m, skip, err := messages.line(strings.TrimSuffix(lines.Text(), "\r"))
		if skip {
			continue
		}
		if err == nil {
			err = emit(m)
		}
		if err != nil {
			fmt.Fprintf(s.err, "sockeye: line %d: %v\n", n, err)
			wrong++
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d lines were not sent", wrong)
	}
	return nil
}
