package lab

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// countingListener counts what really crosses the server's connections, to compare the lane's figures with.
type countingListener struct {
	net.Listener
	mu       sync.Mutex
	in, out  int64
	accepted int
}

type countedConn struct {
	net.Conn
	l *countingListener
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.accepted++
	l.mu.Unlock()
	return &countedConn{c, l}, nil
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.l.mu.Lock()
	c.l.in += int64(n)
	c.l.mu.Unlock()
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	// Before the write: afterwards the other side could look before it is counted.
	c.l.mu.Lock()
	c.l.out += int64(len(p))
	c.l.mu.Unlock()
	return c.Conn.Write(p)
}

// bench is a server behind a lane behind a front.
type bench struct {
	lane  *lane
	wire  *countingListener
	front *httptest.Server
}

func newBench(t *testing.T, pace time.Duration, h http.Handler) *bench {
	t.Helper()
	back := httptest.NewUnstartedServer(h)
	wire := &countingListener{Listener: back.Listener}
	back.Listener = wire
	back.Start()
	t.Cleanup(back.Close)
	l := newLane("test", wire.Addr().String(), pace, time.Now(), slog.New(slog.DiscardHandler))
	front := httptest.NewServer(l)
	t.Cleanup(func() {
		l.close()
		front.Close()
	})
	return &bench{l, wire, front}
}

func (b *bench) get(t *testing.T, path string) string {
	t.Helper()
	r, err := b.front.Client().Get(b.front.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestBytesAreThoseOfTheWire(t *testing.T) {
	b := newBench(t, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, strings.Repeat("x", 100))
	}))
	for range 5 {
		b.get(t, "/")
	}
	for range 3 {
		r, err := b.front.Client().Post(b.front.URL, "text/plain", strings.NewReader(strings.Repeat("y", 2000)))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	gets, posts := &b.lane.traffic[kindGet], &b.lane.traffic[kindPost]
	if gets.requests.Load() != 5 || posts.requests.Load() != 3 {
		t.Errorf("requests: %d GET, %d POST; want 5 and 3", gets.requests.Load(), posts.requests.Load())
	}
	b.wire.mu.Lock()
	in, out := b.wire.in, b.wire.out
	b.wire.mu.Unlock()
	if up := gets.up.Load() + posts.up.Load(); up != in {
		t.Errorf("bytes up: counted %d, the server read %d", up, in)
	}
	if down := gets.down.Load() + posts.down.Load(); down != out {
		t.Errorf("bytes down: counted %d, the server wrote %d", down, out)
	}
	if up := posts.up.Load(); up < 3*2000 || up > 3*2400 {
		t.Errorf("three POSTs of 2000 bytes counted as %d", up)
	}
	if down := gets.down.Load(); down < 500 || down > 5*400 {
		t.Errorf("five responses of 100 bytes counted as %d", down)
	}
}

func TestBufferHoldsTheResponse(t *testing.T) {
	finish := make(chan struct{})
	b := newBench(t, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		select {
		case <-finish:
		case <-r.Context().Done():
		}
		io.WriteString(w, " last")
	}))
	read := func(body io.Reader) <-chan string {
		got := make(chan string, 1)
		go func() {
			buf := make([]byte, 64)
			n, _ := body.Read(buf)
			got <- string(buf[:n])
		}()
		return got
	}

	t.Run("off", func(t *testing.T) {
		r, err := b.front.Client().Get(b.front.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-read(r.Body); got != "first" {
			t.Errorf("got %q before the response ended, want %q", got, "first")
		}
		r.Body.Close()
	})
	t.Run("on", func(t *testing.T) {
		b.lane.set(Trouble{Buffer: true})
		r, err := b.front.Client().Get(b.front.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		got := read(r.Body)
		select {
		case s := <-got:
			t.Fatalf("%q came through before the response ended", s)
		case <-time.After(100 * time.Millisecond):
		}
		close(finish)
		if s := <-got; s != "first last" {
			t.Errorf("got %q in one piece, want %q", s, "first last")
		}
	})
}

func upgradeServer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		http.Error(w, "no upgrade here", http.StatusBadRequest)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	rw.Flush()
	io.Copy(c, rw)
}

func upgrade(t *testing.T, b *bench) (net.Conn, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", b.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func TestUpgrade(t *testing.T) {
	b := newBench(t, 0, http.HandlerFunc(upgradeServer))
	c, r := upgrade(t, b)
	if r.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101", r.StatusCode)
	}
	before := b.lane.traffic[kindSocket].down.Load()
	fmt.Fprint(c, "echo")
	buf := make([]byte, 4)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "echo" {
		t.Fatalf("got %q, %v", buf, err)
	}
	if n := b.lane.traffic[kindSocket].down.Load() - before; n != 4 {
		t.Errorf("4 bytes down were counted as %d", n)
	}

	b.lane.set(Trouble{BlockUpgrade: true})
	if n, err := c.Read(buf); err == nil {
		t.Errorf("the connection that was there survived the change: read %q", buf[:n])
	}
	if _, r := upgrade(t, b); r.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d with the upgrade blocked, want 400", r.StatusCode)
	}
}

func TestDelayEachWay(t *testing.T) {
	b := newBench(t, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	b.get(t, "/")
	const delay = 80 * time.Millisecond
	b.lane.set(Trouble{Delay: delay})
	began := time.Now()
	b.get(t, "/")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("a request took %v with %v added each way", took, delay)
	}
}

func TestDelayKeepsOrderAndBytes(t *testing.T) {
	b := newBench(t, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	b.lane.set(Trouble{Delay: 5 * time.Millisecond})
	var want strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&want, "%d ", i)
	}
	r, err := b.front.Client().Post(b.front.URL, "text/plain", strings.NewReader(want.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil || string(got) != want.String() {
		t.Errorf("%d bytes came back, %d were sent, err %v", len(got), want.Len(), err)
	}
}

func TestPace(t *testing.T) {
	var mu sync.Mutex
	var at []time.Time
	const pace = 60 * time.Millisecond
	b := newBench(t, pace, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Now())
	}))
	for range 3 {
		b.get(t, "/?sid=x")
	}
	// Arrivals may be late, never early: three polls take two intervals at least, less what the first was late by.
	if took := at[2].Sub(at[0]); took < 2*pace-pace/2 {
		t.Errorf("three polls in %v, want one in %v", took, pace)
	}
}

func TestSpans(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	b := newBench(t, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			close(entered)
			<-release
		}
	}))
	b.get(t, "/")
	go func() {
		<-entered
		open := 0
		for _, s := range b.lane.takeSpans() {
			if s.End == 0 {
				open++
			}
		}
		if open != 1 {
			t.Errorf("%d requests open, want 1", open)
		}
		close(release)
	}()
	b.get(t, "/held")
}

func TestRequestsAreBounded(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, maxInFlight)
	b := newBench(t, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	var wg sync.WaitGroup
	for range maxInFlight {
		wg.Go(func() { b.get(t, "/") })
	}
	for range maxInFlight {
		<-entered
	}
	r, err := b.front.Client().Get(b.front.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("status %d for one request too many, want 429", r.StatusCode)
	}
	close(release)
	wg.Wait()
}
