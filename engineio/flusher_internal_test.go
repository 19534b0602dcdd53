package engineio

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// A session whose outbox never runs empty lets others have their turn, and
// loses nothing by it.
func TestFlusherIsFair(t *testing.T) {
	sessions := make(chan *Session, 1)
	srv := NewServer(nil, func(s *Session) Receiver {
		sessions <- s
		return &journal{}
	})
	defer srv.Close()
	ts := httptest.NewServer(http.HandlerFunc(srv.ServeHTTP))
	defer ts.Close()
	conn, br, _, err := ws.Dial(t.Context(), "ws"+ts.URL[len("http"):]+"/engine.io/?EIO=4&transport=websocket")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := <-sessions
	peer := io.ReadWriter(conn)
	if br != nil { // what came together with the response
		peer = struct {
			io.Reader
			io.Writer
		}{io.MultiReader(br, conn), conn}
	}
	if open, err := wsutil.ReadServerText(peer); err != nil || open[0] != '0' {
		t.Fatalf("got %q, %v, want the open packet", open, err)
	}
	s.mu.Lock()
	for s.flush != flushIdle {
		s.mu.Unlock()
		runtime.Gosched() // until the open packet has left
		s.mu.Lock()
	}
	c := s.transport.(*webSocket)
	s.flush = flushWriting
	s.mu.Unlock()

	// The test is the flusher, and refills the outbox whenever a batch was taken.
	next := 0
	refill := func() {
		if err := s.Send(NewMessage(false, fmt.Append(nil, next))); err != nil {
			t.Error(err)
		}
		next++
	}
	refill()
	rounds := 0
	for b := c.nextBatch(nil); b != nil; b = c.nextBatch(b) {
		refill()
		if rounds++; rounds > maxRounds {
			refill()
			c.giveWay(b)
			break
		}
		if _, err := c.write(b, c.tryWrite); err != nil {
			t.Fatal(err)
		}
	}
	for i := range next {
		got, err := wsutil.ReadServerText(peer)
		if err != nil || string(got) != fmt.Sprintf("4%d", i) {
			t.Fatalf("got %q, %v, want message %d", got, err, i)
		}
	}
}
