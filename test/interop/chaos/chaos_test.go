//go:build linux

package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

func TestMain(m *testing.M) {
	Child()
	goleak.VerifyTestMain(m)
}

// Every adapter with nothing that happens, a server that is killed, and a broker that is started again. The long form is
// `make chaos`.
func TestClusters(t *testing.T) {
	for _, adapter := range []string{"redis-classic", "redis-sharded", "redis-streams", "nats", "embedded", "postgres"} {
		t.Run(adapter, func(t *testing.T) {
			t.Parallel()
			run := Run{Name: "short", do: func(ctx context.Context, c *Cluster, times int) error {
				err := errors.Join(steady(ctx, c, times), kill(ctx, c, times))
				if c.broker != nil {
					err = errors.Join(err, restartBroker(ctx, c, times))
				}
				return err
			}}
			r, err := run.Do(t.Context(), Options{Adapter: adapter, Receivers: 6, Senders: 3, Pace: 10 * time.Millisecond, Reach: 3 * time.Second}, 1)
			if e, ok := errors.AsType[*MissingError](err); ok {
				kit.Skip(t, "%v", e)
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Report.Due == 0 {
				t.Error("nothing was received")
			}
			if err := r.Report.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is sent over a line that is held comes when it isn't any more; a line that is reset has no connections.
func TestLine(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	l, err := newLine("127.0.0.1", func() (net.Conn, error) { return net.Dial("tcp", server.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	c, err := net.Dial("tcp", l.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo := func(c net.Conn, text string) error {
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, len(text)))
		return err
	}
	if err := echo(c, "first"); err != nil {
		t.Fatal(err)
	}
	l.set(holding)
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := echo(c, "held"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("while held: %v", err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	l.set(passing)
	if _, err := io.ReadFull(c, make([]byte, len("held"))); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	l.set(reset)
	if err := echo(c, "more"); err == nil {
		t.Error("the connection was not reset")
	}
	if again, err := net.Dial("tcp", l.addr()); err == nil {
		if echo(again, "more") == nil {
			t.Error("a connection can be made")
		}
		_ = again.Close()
	}
}
