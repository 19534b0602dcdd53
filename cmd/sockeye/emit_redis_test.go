package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestEmitRedis(t *testing.T) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed (apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "redis") // t.TempDir is too long for the name of a socket
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
	broker, err := redis.Open(redis.Options{
		Redis: goredis.UniversalOptions{Addrs: []string{addr}}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	until(t, "Redis", func() bool { return broker.Ping(t.Context()) == nil })
	io := socketio.NewServer(&socketio.Options{Adapter: broker.Classic()})
	defer io.Close()
	io.OnConnection(func(s *socketio.Socket) { s.Join("readers") })
	web := httptest.NewServer(io)
	defer web.Close()
	until(t, "the server", func() bool {
		n, err := io.Of("/").Servers(t.Context())
		return err == nil && n == 1 && broker.Stats().Connected
	})
	got := make(chan string, 10)
	sock, err := client.Dial(t.Context(), web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Client().Close()
	sock.OnAny(func(_ context.Context, m *client.Message) error {
		got <- m.Event() + " " + string(m.Raw(0))
		return nil
	})
	url := "unix://" + addr
	sockeye(t, "", "emit", "--redis", url, "news", `{"id":17}`, "--room", "readers").want(t, exitOK, "", "")
	sockeye(t, "", "emit", "--redis", url, "news", "1", "--room", "nobody").want(t, exitOK, "", "")
	sockeye(t, "1\n[\n2\n", "emit", "--redis", url, "line", "-").want(t, exitError, "", "line 2")
	list := []string{<-got, <-got, <-got}
	if want := []string{`news {"id":17}`, "line 1", "line 2"}; !slices.Equal(list, want) {
		t.Errorf("%q", list)
	}
	sockeye(t, "", "emit", "--redis", url, "news", "--ack").want(t, exitUsage, "", "no acknowledgements")
	sockeye(t, "", "emit", "--redis", "unix://"+dir+"/none", "news").want(t, exitConnect, "", "cannot reach Redis")
	sockeye(t, "", "emit", "localhost:1", "news", "--room", "x").want(t, exitUsage, "", "--redis")
}
