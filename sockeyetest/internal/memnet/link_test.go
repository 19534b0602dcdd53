package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func listenInBubble(t *testing.T, test func(t *testing.T, link *Link, l *Listener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := Listen(addrB, nil)
		link := NewLink(func() net.Addr { return addrA })
		test(t, link, l)
		l.Close()
	})
}

// connect returns both ends of a new connection.
func connect(t *testing.T, link *Link, l *Listener) (client, server net.Conn) {
	t.Helper()
	client, err := link.Dial(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := 0
		l := Listen(addrB, func(c *Conn) { c.OnClose(func() { closed++ }) })
		link := NewLink(func() net.Addr { return addrA })
		client, server := connect(t, link, l)
		if server.RemoteAddr() != net.Addr(addrA) || l.Addr() != net.Addr(addrB) {
			t.Error("the addresses are wrong")
		}
		unaccepted, err := link.Dial(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, err := unaccepted.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("who was never accepted reads %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		if _, err := link.Dial(t.Context(), l); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial after Close: %v", err)
		}
		client.Write([]byte("still open"))
		if got, err := io.ReadAll(io.LimitReader(server, 10)); string(got) != "still open" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		client.Close()
		server.Close()
		unaccepted.Close()
		if closed != 2 {
			t.Errorf("%d ends of the server are closed", closed)
		}
		if len(link.conns) != 0 {
			t.Errorf("the link remembers %d connections", len(link.conns))
		}
	})
}

func TestCloseEndsAccept(t *testing.T) {
	listenInBubble(t, func(t *testing.T, link *Link, l *Listener) {
		go func() {
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}()
		synctest.Wait()
		l.Close()
		synctest.Wait()
	})
}

func TestCut(t *testing.T) {
	listenInBubble(t, func(t *testing.T, link *Link, l *Listener) {
		client, server := connect(t, link, l)
		client.Write([]byte("lost"))
		go func() {
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client reads: %v", err)
			}
		}()
		synctest.Wait()
		link.Cut()
		synctest.Wait()
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server reads: %v", err)
		}
		if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server writes: %v", err)
		}
		client.Close()
		server.Close()
		client, server = connect(t, link, l) // new ones are possible
		client.Close()
		server.Close()
	})
}

func TestFreeze(t *testing.T) {
	listenInBubble(t, func(t *testing.T, link *Link, l *Listener) {
		client, server := connect(t, link, l)
		defer server.Close()
		client.Write([]byte("a"))
		link.Freeze()
		if n, err := client.Write([]byte("b")); n != 1 || err != nil {
			t.Errorf("who writes notices: %d, %v", n, err)
		}
		client.Close()
		server.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("something arrived: %v", err)
		}
		server.SetReadDeadline(time.Time{})
		server.SetWriteDeadline(time.Now().Add(time.Minute))
		if n, err := server.Write(make([]byte, bufferSize+1)); n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the server writes %d, %v", n, err)
		}
		link.Thaw()
		if got, err := io.ReadAll(server); string(got) != "ab" || err != nil {
			t.Errorf("afterwards %q, %v", got, err)
		}
		if len(link.conns) != 0 {
			t.Errorf("the link remembers %d connections", len(link.conns))
		}
	})
}

func TestFrozenConnectionCanBeCut(t *testing.T) {
	listenInBubble(t, func(t *testing.T, link *Link, l *Listener) {
		client, server := connect(t, link, l)
		link.Freeze()
		client.Close()
		link.Cut()
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		server.Close()
	})
}

func TestDialWhileFrozenWaits(t *testing.T) {
	listenInBubble(t, func(t *testing.T, link *Link, l *Listener) {
		link.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := link.Dial(ctx, l); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		time.AfterFunc(time.Minute, link.Thaw)
		began := time.Now()
		client, server := connect(t, link, l)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("connected after %v", took)
		}
		client.Close()
		server.Close()
	})
}

func TestDown(t *testing.T) {
	listenInBubble(t, func(t *testing.T, link *Link, l *Listener) {
		client, server := connect(t, link, l)
		link.SetDown(true)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
		client.Close()
		server.Close()
		if _, err := link.Dial(t.Context(), l); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v", err)
		}
		link.SetDown(false)
		client, server = connect(t, link, l)
		client.Close()
		server.Close()
	})
}
