package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/postgres"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/internal/pgtest"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestEmitRedis(t *testing.T) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed (apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // t.TempDir is too long for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addr := filepath.Join(dir, "s")
	cmd := exec.Command(bin, "--port", "0", "--unixsocket", addr, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for _, sharded := range []bool{false, true} {
		broker, err := redis.Open(redis.Options{
			Redis: goredis.UniversalOptions{Addrs: []string{addr}}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Close()
		factory, flags := broker.Classic(), []string{"--redis"}
		if sharded {
			factory, flags = broker.Sharded(), []string{"--redis", "--sharded"}
		}
		until(t, "Redis", func() bool { return broker.Ping(t.Context()) == nil })
		testEmitBroker(t, factory, "unix://"+addr, flags...)
	}
	here(t, "emit", "--redis", "unix://"+dir+"/none", "news").want(t, exitConnect, "", "cannot reach Redis")
}

func TestEmitNATS(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	broker, err := nats.Open(nats.Options{URL: s.ClientURL(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	until(t, "NATS", func() bool { return broker.Ping(t.Context()) == nil })
	testEmitBroker(t, broker.Adapter(), s.ClientURL(), "--nats")
	here(t, "emit", "--nats", "127.0.0.1:1", "news", "--timeout", "100ms").want(t, exitConnect, "", "cannot reach NATS")
	r := here(t, "emit", "--nats", "nats://me:hunter2@%zz", "news")
	r.want(t, exitUsage, "", "an address that is none")
	if strings.Contains(r.err, "hunter2") {
		t.Error("the password is shown")
	}
}

func TestEmitPostgres(t *testing.T) {
	s := pgtest.Start(t, func(reason string) { t.Skip(reason) })
	broker, err := postgres.Open(postgres.Options{DSN: s.DSN, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	testEmitBroker(t, broker.Adapter(), s.DSN, "--postgres")
	here(t, "emit", "--postgres", "host="+t.TempDir()+" user=test", "news").want(t, exitConnect, "", "cannot reach PostgreSQL")
	r := here(t, "emit", "--postgres", "postgres://me:hunter2@host:port/x", "news")
	r.want(t, exitUsage, "", "URL of PostgreSQL is wrong")
	if strings.Contains(r.err, "hunter2") {
		t.Error("the password is shown")
	}
}

// here runs the command in this process, which is much sooner, without an input.
func here(t *testing.T, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(args, streams{&out, &errOut})
	return result{code, out.String(), errOut.String()}
}

// testEmitBroker has a server with the adapter get what the command emits by way of the broker.
func testEmitBroker(t *testing.T, factory adapter.Factory, url string, flags ...string) {
	t.Helper()
	io := socketio.NewServer(&socketio.Options{Adapter: factory})
	defer io.Close()
	join := func(s *socketio.Socket) { s.Join("readers") }
	io.OnConnection(join)
	io.Of("/shop").OnConnection(join)
	web := httptest.NewServer(io)
	defer web.Close()
	got := make(chan string, 100)
	sock, err := client.Dial(t.Context(), web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Client().Close()
	shop := sock.Client().Of("/shop")
	for _, s := range []*client.Socket{sock, shop} {
		s.OnAny(func(_ context.Context, m *client.Message) error {
			var b []byte
			line := m.Event() + " " + string(m.Raw(0))
			if m.Event() == "binary" {
				if err := m.Bind(&b); err != nil {
					return err
				}
				line = m.Event() + " " + string(b)
			}
			got <- line
			return nil
		})
	}
	if err := shop.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	emit := func(args ...string) result {
		t.Helper()
		return here(t, slices.Concat([]string{"emit", url}, args, flags)...)
	}
	// The server subscribes in the background.
	probed := func(namespace string) func() bool {
		return func() bool {
			emit("probe", "-n", namespace, "--room", "readers").want(t, exitOK, "", "")
			return len(got) > 0
		}
	}
	until(t, "the server", probed("/"))
	for len(got) > 0 {
		<-got
	}
	until(t, "the server's other namespace", probed("/shop"))
	emit("news", `{"id":17}`, "--room", "readers").want(t, exitOK, "", "")
	emit("news", "1", "--room", "nobody").want(t, exitOK, "", "")
	emit("news", "2", "--except", "readers").want(t, exitOK, "", "")
	sockeye(t, "1\n[\n2\n", slices.Concat([]string{"emit", url, "line", "-"}, flags)...).want(t, exitError, "", "line 2")
	emit("binary", `{"$base64":"aGVsbG8="}`, "--room", "nobody", "--room", "readers").want(t, exitOK, "", "")
	emit("order", "3", "-n", "/shop").want(t, exitOK, "", "")
	for _, want := range []string{`news {"id":17}`, "line 1", "line 2", "binary hello", "order 3"} {
		line := <-got
		for strings.HasPrefix(line, "probe ") {
			line = <-got
		}
		if line != want {
			t.Errorf("%q came instead of %q", line, want)
		}
	}
	emit("news", "--ack").want(t, exitUsage, "", "no acknowledgements")
}

func TestEmitBrokerFlags(t *testing.T) {
	for _, flags := range [][]string{{"--room", "x"}, {"--except", "x"}, {"--prefix", "x"}} {
		here(t, append([]string{"emit", "localhost:1", "news"}, flags...)...).want(t, exitUsage, "", "--redis, --nats and --postgres")
	}
	here(t, "emit", "--nats", "localhost:1", "news", "--sharded").want(t, exitUsage, "", "--sharded is for --redis")
	here(t, "emit", "--nats", "--redis", "localhost:1", "news").want(t, exitUsage, "", "--nats")
}
