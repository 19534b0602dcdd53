package proxy

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// reader is a server that hands out its connections.
func reader(t *testing.T) (addr string, conns <-chan net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := make(chan net.Conn)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c <- conn
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String(), c
}

// TestLineCutsInTheMiddle sends eight bytes over a line that is cut after five.
func TestLineCutsInTheMiddle(t *testing.T) {
	for _, f := range []Fault{Reset, Close, Silent, Deaf} {
		t.Run(f.String(), func(t *testing.T) {
			addr, conns := reader(t)
			l := StartLine(t, addr)
			client, err := net.Dial("tcp", l.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server := <-conns
			defer server.Close()
			cut := l.Cut(f, 5)
			if _, err := client.Write([]byte("12345678")); err != nil {
				t.Fatal(err)
			}
			<-cut
			silent := f == Silent || f == Deaf
			got := make([]byte, 5)
			n, err := io.ReadFull(server, got)
			got = got[:n]
			if silent {
				// A deadline is the only way to see that nothing comes.
				server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			}
			if err == nil {
				var more []byte
				more, err = io.ReadAll(server)
				got = append(got, more...)
			}
			switch {
			case f == Close && (string(got) != "12345" || err != nil):
				t.Errorf("got %q, %v", got, err)
			case f == Reset && !errors.Is(err, syscall.ECONNRESET):
				t.Errorf("got %q, %v", got, err)
			case silent && (string(got) != "12345" || !isTimeout(err)):
				t.Errorf("got %q, %v", got, err)
			}
			if _, err := server.Write([]byte("x")); err != nil && silent {
				t.Error(err)
			}
			if f == Silent {
				client.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			}
			n, err = client.Read(make([]byte, 8))
			switch {
			case f == Deaf && n != 1:
				t.Errorf("the other direction: %d bytes, %v", n, err)
			case f == Silent && (n != 0 || !isTimeout(err)):
				t.Errorf("the other direction: %d bytes, %v", n, err)
			case !silent && (n != 0 || isTimeout(err)):
				t.Errorf("the other direction: %d bytes, %v", n, err)
			}
			// The line itself is as good as new.
			again, err := net.Dial("tcp", l.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			other := <-conns
			defer other.Close()
			if _, err := again.Write([]byte("y")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSilenceIsNotBroken has one side leave a silent line: the other is not told.
func TestSilenceIsNotBroken(t *testing.T) {
	addr, conns := reader(t)
	l := StartLine(t, addr)
	client, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	server := <-conns
	defer server.Close()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil { // the line knows the connection now
		t.Fatal(err)
	}
	<-l.Cut(Silent, 0)
	client.Close()
	server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := server.Read(make([]byte, 8)); !isTimeout(err) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
