package redis_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is a redis-server of the test's own, on a socket in its directory.
type server struct {
	t    testing.TB
	bin  string
	addr string
	cmd  *exec.Cmd

	cluster goredis.UniversalOptions // instead of addr, if it has addresses
}

// startRedis starts a redis-server, or skips the test where there is none.
func startRedis(t testing.TB) *server {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		skip(t, "redis-server is not installed (apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{t: t, bin: bin, addr: filepath.Join(dir, "s")}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.bin, "--port", "0", "--unixsocket", s.addr, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(s.addr))
	s.cmd.Stdout, s.cmd.Stderr = io.Discard, io.Discard
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	c := s.client()
	defer c.Close()
	eventually(s.t, "redis-server answers", func() bool { return c.Ping(context.Background()).Err() == nil })
}

// stop ends the server without giving it time for anything.
func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) options() goredis.UniversalOptions {
	if len(s.cluster.Addrs) > 0 {
		return s.cluster
	}
	return goredis.UniversalOptions{Addrs: []string{s.addr}}
}

func (s *server) client() goredis.UniversalClient {
	o := s.options()
	return goredis.NewUniversalClient(&o)
}

// open returns a broker, which is closed at the end of the test.
func (s *server) open(t testing.TB, o redis.Options) *redis.Broker {
	t.Helper()
	o.Redis = s.options()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestConformance(t *testing.T) {
	s := startRedis(t)
	n := 0
	for name, mode := range map[string]struct {
		o       redis.Options
		adapter func(*redis.Broker) adapter.Factory
	}{
		"Classic":          {redis.Options{}, (*redis.Broker).Classic},
		"ClassicResponses": {redis.Options{SpecificResponses: true}, (*redis.Broker).Classic},
		"Sharded":          {redis.Options{}, (*redis.Broker).Sharded},
		"Streams":          {redis.Options{}, (*redis.Broker).Streams},
		"ShardedStatic":    {redis.Options{Static: true}, (*redis.Broker).Sharded},
	} {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(t *testing.T, servers int) []adapter.Factory {
				n++
				o := mode.o
				o.Prefix = name + string(rune('a'+n%26)) + string(rune('a'+n/26)) // a cluster of its own
				factories := make([]adapter.Factory, servers)
				for i := range factories {
					factories[i] = mode.adapter(s.open(t, o))
				}
				return factories
			})
		})
	}
}
