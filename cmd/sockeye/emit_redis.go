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

	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/pipe"
)

// redisFlags are for emitting into a cluster, with no server to connect to.
type redisFlags struct {
	Redis   bool     `help:"URL is that of a Redis (redis://, rediss:// or unix://), by way of which servers act as one: all their clients get the event. Of the flags for connecting only --namespace and --timeout count."`
	Room    []string `sep:"none" placeholder:"NAME" help:"With --redis, emit to who is in this room. May be given more than once."`
	Sharded bool     `help:"With --redis, the servers use the sharded adapter."`
	Prefix  string   `default:"socket.io" placeholder:"NAME" help:"With --redis, what the names of channels begin with."`
}

// maxLine bounds a line of the input, in bytes.
const maxLine = 16 << 20

// emitRedis emits by way of Redis.
func (c *emitCommand) emitRedis(ctx context.Context, s streams, in io.Reader, messages messages) error {
	if c.Ack {
		return codeError{exitUsage, "with --redis there are no acknowledgements"}
	}
	broker, err := openRedis(c.URL, c.Prefix, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	reach, cancel := context.WithTimeout(ctx, c.Timeout)
	err = broker.Ping(reach)
	cancel()
	if err != nil {
		_ = broker.Close()
		return codeError{exitConnect, "cannot reach Redis: " + err.Error()}
	}
	e := broker.Emitter(c.Namespace)
	if c.Sharded {
		e = broker.ShardedEmitter(c.Namespace)
	}
	e = e.To(c.Room...)
	emit := func(m pipe.Message) error {
		for {
			err := e.Emit(m.Event, m.Args...)
			if !errors.Is(err, redis.ErrQueueFull) {
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
	err = errors.Join(err, broker.Close())
	if lost := broker.Stats().Lost; err == nil && lost > 0 {
		err = fmt.Errorf("%d events were not sent, or not for sure", lost)
	}
	return err
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
