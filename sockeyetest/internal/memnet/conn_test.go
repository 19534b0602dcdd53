package memnet

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	addrA = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
	addrB = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
)

func inBubble(t *testing.T, test func(t *testing.T, a, b *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair(addrA, addrB)
		defer b.Close()
		defer a.Close()
		test(t, a, b)
	})
}

func TestCarriesBytesInOrder(t *testing.T) {
	a, b := Pair(addrA, addrB)
	want := make([]byte, 1<<20) // 16 times the buffer
	random := rand.NewChaCha8([32]byte{1})
	random.Read(want)
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+int(random.Uint64()%10_000))
			if m, err := a.Write(rest[:n]); m != n || err != nil {
				t.Errorf("Write: %d of %d, %v", m, n, err)
				break
			}
			rest = rest[n:]
		}
		a.Close()
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
	b.Close()
}

func TestManyWritersAndReaders(t *testing.T) {
	a, b := Pair(addrA, addrB)
	const writers, times, size = 8, 200, 1000
	var writing, reading sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for range times {
				if _, err := a.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
					t.Error(err)
				}
				_ = a.SetWriteDeadline(time.Now().Add(time.Hour))
			}
		})
	}
	var mu sync.Mutex
	counts := map[byte]int{}
	for range 4 {
		reading.Go(func() {
			p := make([]byte, 777)
			for {
				n, err := b.Read(p)
				mu.Lock()
				for _, x := range p[:n] {
					counts[x]++
				}
				mu.Unlock()
				if err != nil {
					return
				}
				_ = b.SetReadDeadline(time.Now().Add(time.Hour))
			}
		})
	}
	writing.Wait()
	a.Close()
	reading.Wait()
	b.Close()
	for i := range writers {
		if n := counts[byte(i)]; n != times*size {
			t.Errorf("%d bytes of writer %d", n, i)
		}
	}
}

func TestWriterWaitsForRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *Conn) {
		written := 0
		go func() {
			n, err := a.Write(make([]byte, bufferSize+10))
			if err != nil {
				t.Error(err)
			}
			written = n
		}()
		synctest.Wait()
		if written != 0 {
			t.Fatalf("%d bytes went into a buffer of %d", written, bufferSize)
		}
		if n, err := io.CopyN(io.Discard, b, 10); n != 10 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		if written != bufferSize+10 {
			t.Errorf("there is room, and %d bytes are written", written)
		}
	})
}

func TestDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *Conn) {
		fill := make([]byte, bufferSize)
		if _, err := a.Write(fill); err != nil {
			t.Fatal(err)
		}
		for name, op := range map[string]struct {
			set func(time.Time) error
			do  func([]byte) (int, error)
		}{
			"read":  {a.SetReadDeadline, a.Read},
			"write": {a.SetWriteDeadline, a.Write},
			"both":  {a.SetDeadline, a.Read},
		} {
			expect := func(want time.Duration) {
				t.Helper()
				began := time.Now()
				n, err := op.do(make([]byte, 1))
				var timeout net.Error
				if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("%s: %d, %v", name, n, err)
				}
				if took := time.Since(began); took != want {
					t.Errorf("%s: after %v instead of %v", name, took, want)
				}
			}
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			check(op.set(time.Now().Add(time.Minute)))
			expect(time.Minute)
			expect(0) // it stays passed
			check(op.set(time.Now().Add(-time.Second)))
			expect(0)
			check(op.set(time.Now()))
			expect(0)

			// One that is moved while somebody waits counts for him.
			check(op.set(time.Time{}))
			time.AfterFunc(time.Second, func() { check(op.set(time.Now().Add(time.Second))) })
			expect(2 * time.Second)
			check(op.set(time.Now().Add(time.Second)))
			time.AfterFunc(time.Second/2, func() { check(op.set(time.Now().Add(time.Hour))) })
			expect(time.Second/2 + time.Hour)
			check(op.set(time.Time{}))
		}
	})
}

func TestWriteThatIsCutShortSaysHowFarItCame(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *Conn) {
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write(make([]byte, bufferSize+1))
		if n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *Conn) {
		for _, f := range []func([]byte) (int, error){a.Read, func(p []byte) (int, error) { return a.Write(make([]byte, 2*bufferSize)) }} {
			go func() {
				if _, err := f(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("who waits while the connection is closed gets %v", err)
				}
			}()
		}
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
		if err := a.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a deadline after Close: %v", err)
		}
		got, err := io.ReadAll(b)
		if len(got) != bufferSize || err != nil {
			t.Errorf("the other end reads %d bytes, %v", len(got), err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("and writes: %v", err)
		}
	})
}

func TestCloseWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *Conn) {
		a.Write([]byte("last"))
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("more")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing after CloseWrite: %v", err)
		}
		if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		b.Write([]byte("answer"))
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestErrorsNameTheConnection(t *testing.T) {
	a, b := Pair(addrA, addrB)
	b.Close()
	a.Close()
	_, err := a.Read(make([]byte, 1))
	if want := "read tcp 127.0.0.1:40000->127.0.0.1:80: use of closed network connection"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if a.LocalAddr() != addrA || a.RemoteAddr() != addrB || b.LocalAddr() != addrB || b.RemoteAddr() != addrA {
		t.Error("the addresses are wrong")
	}
}

func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	a, b := Pair(addrA, addrB)
	defer a.Close()
	defer b.Close()
	a.Write(make([]byte, 1000))
	io.ReadFull(b, make([]byte, 1000))
	if b.in.buf != nil {
		t.Error("it holds one")
	}
}
