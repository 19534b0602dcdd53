package engine

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

type reasons chan Reason

func (reasons) Message(bool, []byte) {}

func (r reasons) Closed(reason Reason, _ error) { r <- reason }

// dialByHand connects to a server that sends a handshake and then pings every
// 25 s, with a wall clock that runs ahead by what jump says.
func dialByHand(t *testing.T, jump *atomic.Int64) (*Conn, reasons) {
	t.Helper()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := (ws.Upgrader{}).Upgrade(server); err != nil {
				t.Error(err)
				return
			}
			go func() { _, _ = io.Copy(io.Discard, server) }()
			for _, err := server.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte(`0{"sid":"x","pingInterval":25000,"pingTimeout":20000}`)))); err == nil; {
				time.Sleep(25 * time.Second)
				_, err = server.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte("2"))))
			}
		}()
		return client, nil
	}}
	closed := make(reasons, 1)
	c, err := Dial(t.Context(), "http://memory.test", &Options{
		HTTPClient: &http.Client{Transport: transport},
		Transports: []string{WebSocket},
		wall:       func() time.Time { return time.Now().Add(time.Duration(jump.Load())) },
	}, func(*Conn) Receiver { return closed })
	if err != nil {
		t.Fatal(err)
	}
	return c, closed
}

// A machine that slept is found out by the wall clock: by the next tick, or by who
// asks before it.
func TestWallClock(t *testing.T) {
	for name, test := range map[string]struct {
		jump  time.Duration
		ask   bool
		alive bool
	}{
		"slept":              {time.Hour, false, false},
		"slept, asked":       {time.Hour, true, false},
		"a nap":              {10 * time.Second, true, true},
		"clock was put back": {-time.Hour, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var jump atomic.Int64
				c, closed := dialByHand(t, &jump)
				time.Sleep(61 * time.Second) // 11 s after a ping
				synctest.Wait()
				jump.Store(int64(test.jump))
				began := time.Now()
				if test.ask && c.Expired() == test.alive {
					t.Errorf("Expired() = %v", !test.alive)
				}
				if test.alive {
					time.Sleep(5 * time.Minute)
					c.Close()
				}
				want := ReasonPingTimeout
				if test.alive {
					want = ReasonForcedClose
				}
				if got := <-closed; got != want {
					t.Errorf("closed for %q, want %q", got, want)
				}
				took := time.Since(began)
				if !test.alive && took > maxTick || test.ask && !test.alive && took != 0 {
					t.Errorf("after %v", took)
				}
				time.Sleep(30 * time.Second) // the server notices
			})
		})
	}
}
