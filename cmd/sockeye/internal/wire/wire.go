// Package wire is a Socket.IO client for tests, bare on purpose: it shows the packets as they are, and can send wrong ones.
package wire

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Client is one WebSocket connection.
type Client struct {
	t    testing.TB
	conn net.Conn
	r    io.Reader
}

// Dial connects to base, such as http://127.0.0.1:3000/socket.io/, and reads the handshake.
func Dial(t testing.TB, base string) *Client {
	t.Helper()
	url := "ws" + strings.TrimPrefix(base, "http") + "?EIO=4&transport=websocket"
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, br, _, err := ws.Dial(ctx, url)
	if err != nil {
		t.Fatalf("dialing %s: %v", url, err)
	}
	if br == nil {
		br = bufio.NewReader(conn)
	}
	c := &Client{t, conn, br}
	t.Cleanup(c.Cut)
	c.Await("0{")
	return c
}

// Send sends one packet, without its Engine.IO type.
func (c *Client) Send(packet string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte("4"+packet)); err != nil {
		c.t.Fatalf("sending %s: %v", packet, err)
	}
}

// Await reads until a frame that contains the text, and returns it.
func (c *Client) Await(text string) string {
	c.t.Helper()
	var seen []string
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		frame, err := wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{c.r, c.conn})
		if err != nil {
			c.t.Fatalf("no %q: %v; read\n%s", text, err, strings.Join(seen, "\n"))
		}
		if s := string(frame); strings.Contains(s, text) {
			return s
		} else {
			seen = append(seen, s)
		}
	}
}

// Cut drops the connection as a failing network does, without a word.
func (c *Client) Cut() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.conn.Close()
}
