// Typed events: an auction whose events are declared once, in package auction, with the types of what they carry and
// the codes of the errors that they can be answered with.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/examples/typed/auction"
	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page embed.FS

const (
	step = 100       // cents by which a bid must be higher than the one before
	leap = 1_000_000 // a bid that is higher by that must be confirmed
)

// A house holds one auction.
type house struct {
	mu    sync.Mutex
	state auction.State
}

func newHouse(length time.Duration) *house {
	return &house{state: auction.State{
		Item:   "A stuffed sockeye salmon, 1911",
		Amount: 10_00,
		Ends:   time.Now().Add(length),
	}}
}

func (h *house) current() auction.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// place takes a bid. What a bidder shall know of a refusal is an event.Error; of any other error he would only learn
// that it is an internal one.
func (h *house) place(b auction.Bid) (auction.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().After(h.state.Ends) {
		return auction.State{}, event.Errorf(auction.Over, "the hammer has fallen")
	}
	if minimum := h.state.Amount + step; b.Amount < minimum {
		return auction.State{}, event.Errorf(auction.TooLow, "somebody has already offered that much").
			WithData(auction.Minimum{Minimum: minimum})
	}
	h.state.Leader, h.state.Amount = b.Bidder, b.Amount
	return h.state, nil
}

// confirm asks a bidder who offers much more than is needed whether he means it.
func (h *house) confirm(ctx context.Context, s *socketio.Socket, b auction.Bid) error {
	if b.Amount < h.current().Amount+leap {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	meant, err := auction.Confirm.Call(ctx, s, auction.Question{
		Text: fmt.Sprintf("That is %.2f. Do you mean it?", float64(b.Amount)/100),
	})
	switch {
	case err != nil:
		return event.Errorf(auction.NoAnswer, "you did not confirm the bid")
	case !meant:
		return event.Errorf(auction.NotMeant, "the bid is withdrawn")
	}
	return nil
}

// open returns a server that holds the auction.
func (h *house) open() *socketio.Server {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		auction.Look.On(s, func(ctx context.Context, _ struct{}) (auction.State, error) {
			return h.current(), nil
		})
		auction.Place.On(s, func(ctx context.Context, b auction.Bid) (auction.State, error) {
			if !b.Valid() {
				return auction.State{}, event.Errorf(auction.Invalid, "a bid has a bidder and an amount")
			}
			// A handler may wait for an answer of the same client. His next bid waits until this one is done.
			if err := h.confirm(ctx, s, b); err != nil {
				return auction.State{}, err
			}
			state, err := h.place(b)
			if err != nil {
				return auction.State{}, err
			}
			return state, auction.Changed.Emit(io, state)
		})
	})
	return io
}

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	length := flag.Duration("length", 10*time.Minute, "how long the auction lasts")
	flag.Parse()

	h := newHouse(*length)
	io := h.open()
	http.Handle("/socket.io/", io)
	http.Handle("/", http.FileServerFS(page))
	if err := serve(*addr, http.DefaultServeMux, io); err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until Ctrl+C, and then lets the clients go before it returns.
func serve(addr string, h http.Handler, io *socketio.Server) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("Open http://%s\n", ln.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-stopped.Done():
	}
	deadline, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// Socket.IO first: an HTTP server waits for responses that are open, and polling keeps one open.
	if err := io.Shutdown(deadline); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
