package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/socketio"
)

// connectWith joins "/" and returns the session that it got, and a function that returns the next event.
func connectWith(t *testing.T, url, auth string) (pid string, next func() []any) {
	t.Helper()
	conn, br, _, err := ws.Dial(context.Background(), "ws"+strings.TrimPrefix(url, "http")+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	var in io.ReadWriter = conn
	if br != nil { // what came together with the handshake's answer
		in = struct {
			io.Reader
			io.Writer
		}{io.MultiReader(br, conn), conn}
	}
	read := func() string {
		text, err := wsutil.ReadServerText(in)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	read() // open
	if err := wsutil.WriteClientText(conn, []byte("40"+auth)); err != nil {
		t.Fatal(err)
	}
	var reply struct{ PID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(read(), "40")), &reply); err != nil {
		t.Fatal(err)
	}
	return reply.PID, func() (args []any) {
		if err := json.Unmarshal([]byte(strings.TrimPrefix(read(), "42")), &args); err != nil {
			t.Fatal(err)
		}
		return args
	}
}

func recoveryServer(t *testing.T, b *redis.Broker) (*socketio.Server, string) {
	srv := socketio.NewServer(&socketio.Options{Adapter: b.Streams(), Recovery: &socketio.RecoveryOptions{}})
	web := httptest.NewServer(srv)
	t.Cleanup(func() {
		_ = srv.Close()
		web.CloseClientConnections()
		web.Close()
	})
	return srv, web.URL
}

// TestStreamsRecoveryFromDead has a server vanish from Redis with a client that it believes to be connected.
func TestStreamsRecoveryFromDead(t *testing.T) {
	s := startRedis(t)
	o := redis.Options{AppendTimeout: patience}
	dead := s.open(t, o)
	io, url := recoveryServer(t, dead)
	other, otherURL := recoveryServer(t, s.open(t, o))
	eventually(t, "both servers", func() bool {
		n, err := other.Of("/").Servers(context.Background())
		return err == nil && n == 2
	})
	pid, next := connectWith(t, url, "")
	if err := io.Emit("a"); err != nil {
		t.Fatal(err)
	}
	offset := next()[1].(string)
	_ = dead.Close()
	if err := other.Emit("b"); err != nil {
		t.Fatal(err)
	}
	if err := io.Emit("no"); err == nil {
		t.Error("an event was emitted by a server without Redis")
	}
	again, next := connectWith(t, otherURL, `{"pid":"`+pid+`","offset":"`+offset+`"}`)
	if again != pid {
		t.Fatal("not recovered")
	}
	if got := next()[0]; got != "b" {
		t.Errorf("received %v", got)
	}
}

// TestStreamsRecoveryOutage has Redis die and come back empty: what can't be in the stream is an error, and nobody
// recovers what was lost with it.
func TestStreamsRecoveryOutage(t *testing.T) {
	s := startRedis(t)
	b := s.open(t, redis.Options{AppendTimeout: 5 * time.Second})
	io, url := recoveryServer(t, b)
	pid, next := connectWith(t, url, "")
	if err := io.Emit("a"); err != nil {
		t.Fatal(err)
	}
	offset := next()[1].(string)
	s.stop()
	if err := io.Emit("lost"); err == nil {
		t.Error("an event was emitted without Redis")
	}
	eventually(t, "an error at once", func() bool { return errors.Is(io.Emit("lost"), redis.ErrDown) })
	s.start()
	eventually(t, "emitting", func() bool {
		err := io.Emit("b")
		if err != nil && !errors.Is(err, redis.ErrDown) && !errors.Is(err, adapter.ErrUncertain) {
			t.Log(err)
		}
		return err == nil
	})
	for got := ""; got != "b"; {
		got, _ = next()[0].(string)
		if got == "lost" {
			t.Error("an event arrived whose sending failed")
		}
	}
	if again, _ := connectWith(t, url, `{"pid":"`+pid+`","offset":"`+offset+`"}`); again == pid {
		t.Error("recovered what Redis has lost")
	}
}
