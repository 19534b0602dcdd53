package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/test/interop/proxy"
)

// The chaos test sends numbered messages in both directions, over a line that is cut a thousand times in all, at
// random bytes and in every way, and checks what is promised:
//
//   - what was acknowledged was handled, once;
//   - what was emitted arrives in its order, without gaps on any one connection, never twice;
//   - with Retries, and DropRepeats at the server, everything is handled exactly once and in order;
//   - with recovery, everything the server emits arrives exactly once and in order;
//   - a closed client leaves nothing behind (see TestMain).
//
// SOCKEYE_CHAOS_CUTS is another number of cuts, SOCKEYE_CHAOS_SEED repeats the random choices of a run (not its timing).

const cutsInAll = 1000

// mode is what client and server are asked to promise.
type mode struct {
	name     string
	recovery bool // the server keeps what clients miss
	retries  bool // the client repeats what is not acknowledged, and the server knows repeats
}

var modes = []mode{{name: "plain"}, {name: "recovery", recovery: true}, {name: "once", recovery: true, retries: true}}

// chaosWays are tried each in every mode.
var chaosWays = []way{
	{"websocket", []string{"websocket"}, "websocket"},
	{"polling", []string{"polling"}, "polling"},
	{"streaming", []string{"streaming"}, "streaming"},
	{"polling-upgrade", []string{"polling", "websocket"}, "websocket"},
	{"streaming-upgrade", []string{"streaming", "websocket"}, "websocket"},
}

func TestChaos(t *testing.T) {
	cuts := cutsInAll
	if v := os.Getenv("SOCKEYE_CHAOS_CUTS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		cuts = n
	}
	seed := rand.Uint64()
	if v := os.Getenv("SOCKEYE_CHAOS_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("SOCKEYE_CHAOS_SEED=%d", seed)
	type cell struct {
		n    uint64
		mode mode
		way  way
	}
	var cells []cell
	for _, m := range modes {
		for _, w := range chaosWays {
			cells = append(cells, cell{uint64(len(cells)), m, w})
		}
	}
	atOnce(t, cells, func(c cell) string { return c.mode.name + "/" + c.way.name }, func(t *testing.T, c cell) {
		r := rand.New(rand.NewPCG(seed, c.n))
		newChaos(t, c.mode, c.way, r).run((cuts + len(cells) - 1) / len(cells))
	})
}

// chaos is one client with its server, and what both have seen.
type chaos struct {
	*testing.T
	mode mode
	rand *rand.Rand
	line *proxy.Line
	io   *socketio.Server
	sock *client.Socket

	mu       sync.Mutex
	epochs   []*epoch          // of the server's sockets, in the order in which they were connected
	asked    map[int][]int     // by worker: the questions that the server handled
	down     map[string]*tally // by the server's socket: what the client received of it
	downs    []string          // the keys of down, as they came up
	stopped  chan struct{}     // nothing more is produced
	received atomic.Int64      // events of the room, in recovery
	recoverd int               // how often the client was recovered
	begun    int               // how often it began anew
}

// epoch is what the server received on one of its sockets.
type epoch struct {
	id string
	up []int
}

// tally is a run of numbers.
type tally struct{ next int }

func newChaos(t *testing.T, m mode, w way, r *rand.Rand) *chaos {
	c := &chaos{T: t, mode: m, rand: r, asked: map[int][]int{}, down: map[string]*tally{}, stopped: make(chan struct{})}
	// A server that recovers takes what it has sent for received after PingInterval and three times PingTimeout, in which
	// nothing may stand still for want of a processor.
	o := &socketio.Options{Engine: engineio.Options{PingInterval: 250 * time.Millisecond, PingTimeout: 750 * time.Millisecond}}
	if m.recovery {
		// Enough for what the server may emit while it has not noticed a loss.
		o.Recovery = &socketio.RecoveryOptions{MaxPackets: 1 << 16}
	}
	c.io = socketio.NewServer(o)
	if m.retries {
		c.io.Use(socketio.DropRepeats(nil))
	}
	c.io.OnConnection(c.serve)
	server := kit.Serve(t, c.io)
	t.Cleanup(func() { c.io.Close() })
	c.line = proxy.StartLine(t, server.Addr)

	co := &client.Options{
		Transports:     w.transports,
		AttemptTimeout: 500 * time.Millisecond,
		ConnectTimeout: time.Second,
		Reconnect:      client.ReconnectOptions{Delay: time.Millisecond, MaxDelay: 10 * time.Millisecond},
	}
	if m.retries {
		co.Retries, co.AckTimeout = 1_000_000, 500*time.Millisecond
	}
	cl, err := client.New(c.line.URL(), co)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	c.sock = cl.Of("/")
	return c
}

// serve is the server's side of a socket.
func (c *chaos) serve(s *socketio.Socket) {
	e := &epoch{id: s.ID()}
	c.mu.Lock()
	c.epochs = append(c.epochs, e)
	c.mu.Unlock()
	s.On("up", func(_ context.Context, m *socketio.Message) error {
		var n int
		if err := m.Bind(&n); err != nil {
			return err
		}
		if n%17 == 0 {
			time.Sleep(time.Millisecond) // a handler that takes its time may still be at it when its socket is gone
		}
		c.mu.Lock()
		e.up = append(e.up, n)
		c.mu.Unlock()
		return m.Ack(n)
	})
	s.On("ask", func(_ context.Context, m *socketio.Message) error {
		var worker, n int
		if err := m.Bind(&worker, &n); err != nil {
			return err
		}
		c.mu.Lock()
		c.asked[worker] = append(c.asked[worker], n)
		c.mu.Unlock()
		return m.Ack(n)
	})
	if c.mode.recovery {
		s.On("start", func(_ context.Context, m *socketio.Message) error {
			s.Join("room")
			return m.Ack()
		})
		return
	}
	// Its own numbers for each socket: what the client has of them must be a beginning of all.
	go func() {
		for n := 0; ; n++ {
			if s.Emit("down", s.ID(), n) != nil {
				return
			}
			if n%20 == 19 {
				if _, err := s.Timeout(time.Second).EmitWithAck(s.Context(), "mark", n); err != nil && s.Context().Err() != nil {
					return
				}
			}
		}
	}()
}

func (c *chaos) run(cuts int) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	c.listen()
	connect, stop := context.WithTimeout(ctx, limit)
	defer stop()
	if err := c.sock.Connect(connect); err != nil {
		c.Fatal(err)
	}
	if c.mode.recovery {
		_, err := c.sock.EmitWithAck(connect, "start")
		for errors.Is(err, client.ErrDisconnected) { // by the ping timeout, on a slow machine
			_, err = c.sock.EmitWithAck(connect, "start")
		}
		if err != nil {
			c.Fatal(err)
		}
	}
	var producers sync.WaitGroup
	sent := 0
	r := rand.New(rand.NewPCG(c.rand.Uint64(), 1))
	producers.Go(func() { sent = c.emitAll(ctx, r) })
	answers := make([][]answer, 3)
	for w := range answers {
		producers.Go(func() { answers[w] = c.askAll(ctx, w) })
	}
	emitted := 0
	if c.mode.recovery {
		producers.Go(func() { emitted = c.broadcastAll(ctx) })
	}
	start := time.Now()
	counts := map[proxy.Fault]int{}
	for range cuts {
		counts[c.cut()]++
	}
	took := time.Since(start)
	close(c.stopped)
	c.await(&producers)

	c.checkUp(sent)
	c.checkAnswers(answers)
	c.checkDown(emitted)
	c.mu.Lock()
	defer c.mu.Unlock()
	questions := 0
	for _, all := range answers {
		questions += len(all)
	}
	c.Logf("%d cuts in %v (%v): %d events and %d questions, %d connections of which %d were recovered; the server emitted %d",
		cuts, took.Round(time.Millisecond), counts, sent, questions, c.recoverd+c.begun, c.recoverd, emitted)
}

// await waits for the producers, which wait for a connection themselves.
func (c *chaos) await(producers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		producers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * limit):
		c.Fatal("a producer hangs")
	}
}

// cut has one fault happen. Few bytes hit the handshake, more of them the messages.
func (c *chaos) cut() proxy.Fault {
	f := proxy.Reset
	switch n := c.rand.IntN(10); { // silence takes a ping timeout, so it is rarer
	case n < 3:
		f = proxy.Close
	case n < 5:
		f = proxy.Silent
	case n < 6:
		f = proxy.Deaf
	}
	bytes := c.rand.IntN([]int{600, 6000, 60_000}[c.rand.IntN(3)])
	select {
	case <-c.line.Cut(f, bytes):
	case <-time.After(2 * limit):
		c.Fatalf("no byte moves, state %v: %v", c.sock.Client().State(), tail(c.sock.Client().Attempts()))
	}
	return f
}

func tail[T any](list []T) []T { return list[max(0, len(list)-8):] }

// listen is the client's side.
func (c *chaos) listen() {
	c.sock.OnConnect(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.sock.Recovered() {
			c.recoverd++
		} else {
			c.begun++
		}
	})
	c.sock.OnError(func(err error) { c.Errorf("OnError: %v", err) })
	c.sock.OnConnectError(func(err error) {
		var refused *client.ConnectError
		if errors.As(err, &refused) {
			c.Errorf("refused: %v", err)
		}
	})
	c.sock.On("mark", func(_ context.Context, m *event.Message) error {
		if err := m.Ack(); !errors.Is(err, client.ErrDisconnected) {
			return err
		}
		return nil
	})
	c.sock.On("down", func(_ context.Context, m *event.Message) error {
		var from string
		var n int
		if err := m.Bind(&from, &n); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		t := c.down[from]
		if t == nil {
			t = &tally{}
			c.down[from] = t
			c.downs = append(c.downs, from)
		}
		if n != t.next {
			c.Errorf("from %s came %d, want %d", from, n, t.next)
		}
		t.next = n + 1
		if last := c.downs[len(c.downs)-1]; last != from {
			c.Errorf("an event of socket %s after those of %s", from, last)
		}
		c.received.Store(int64(t.next))
		return nil
	})
}

// emitAll emits numbers in bursts, and returns how many. It waits until a burst is on its way before the next. The
// last is acknowledged.
func (c *chaos) emitAll(ctx context.Context, r *rand.Rand) (n int) {
	for {
		select {
		case <-c.stopped:
			for ctx.Err() == nil {
				_, err := c.sock.EmitWithAck(ctx, "up", n)
				n++
				if err == nil {
					break
				}
			}
			return n
		default:
		}
		for range 1 + r.IntN(60) {
			if err := c.sock.Emit("up", n); err != nil {
				c.Errorf("emit %d: %v", n, err)
				return n
			}
			n++
		}
		if err := c.sock.Flush(ctx); err != nil && !errors.Is(err, client.ErrDisconnected) {
			c.Errorf("flush: %v", err)
			return n
		}
	}
}

// answer is what became of a question.
type answer struct {
	n   int
	err error
}

// askAll asks one question after the other. The last is answered.
func (c *chaos) askAll(ctx context.Context, worker int) (all []answer) {
	for n := 0; ; n++ {
		select {
		case <-c.stopped:
			if n > 0 && all[n-1].err == nil || ctx.Err() != nil {
				return all
			}
		default:
		}
		ack, err := c.sock.EmitWithAck(ctx, "ask", worker, n)
		if err == nil {
			var got int
			if err := ack.Bind(&got); err != nil || got != n {
				c.Errorf("question %d of %d was answered %d, %v", n, worker, got, err)
			}
		}
		all = append(all, answer{n, err})
	}
}

// broadcastAll emits numbers to the client's room, as far ahead of what it received as an outage lets them get.
func (c *chaos) broadcastAll(ctx context.Context) (n int) {
	ahead := 200
	if c.mode.retries {
		ahead = 20 // or the client, with one event under way at a time, would hardly get a word in before the next cut
	}
	for {
		select {
		case <-c.stopped:
			kit.Wait(ctx, "the last event of the room", func() bool { return int(c.received.Load()) >= n })
			return n
		case <-ctx.Done():
			return n
		default:
		}
		if n-int(c.received.Load()) > ahead {
			time.Sleep(time.Millisecond)
			continue
		}
		if err := c.io.To("room").Emit("down", "room", n); err != nil {
			c.Errorf("emit %d: %v", n, err)
			return n
		}
		n++
	}
}

// checkUp checks what the server received of the numbers 0 to sent-1.
func (c *chaos) checkUp(sent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := 0
	for _, e := range c.epochs {
		for i, n := range e.up {
			switch {
			case n < next:
				c.Errorf("the server handled %d after %d", n, next-1)
			case n > next && c.mode.retries:
				c.Errorf("the server handled %d after %d: some are lost", n, next-1)
			case n > next && i > 0:
				c.Errorf("the server handled %d after %d on one connection", n, next-1)
			}
			next = n + 1
		}
	}
	if next != sent {
		c.Errorf("the server handled up to %d, sent were %d", next-1, sent)
	}
}

func (c *chaos) checkAnswers(answers [][]answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for worker, all := range answers {
		handled := map[int]int{}
		last := -1
		for _, n := range c.asked[worker] {
			handled[n]++
			if n < last && c.mode.retries {
				c.Errorf("question %d of %d was handled after %d", n, worker, last)
			}
			last = n
		}
		for _, a := range all {
			switch {
			case handled[a.n] > 1:
				c.Errorf("question %d of %d was handled %d times", a.n, worker, handled[a.n])
			case a.err == nil && handled[a.n] == 0:
				c.Errorf("question %d of %d was answered and not handled", a.n, worker)
			case a.err != nil && c.mode.retries:
				c.Errorf("question %d of %d: %v", a.n, worker, a.err)
			case a.err != nil && !errors.Is(a.err, client.ErrDisconnected):
				c.Errorf("question %d of %d: %v", a.n, worker, a.err)
			}
		}
	}
}

// checkDown checks that what the server emitted to the room has arrived to the last; its order was checked at arrival.
func (c *chaos) checkDown(emitted int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mode.recovery {
		if len(c.down) == 0 {
			c.Error("nothing arrived from the server")
		}
		return
	}
	if got := c.down["room"]; got == nil || got.next != emitted {
		c.Errorf("of %d events of the room came %s", emitted, fmt.Sprint(got))
	}
	if c.begun > 1 {
		c.Errorf("the client began anew %d times", c.begun-1)
	}
}
