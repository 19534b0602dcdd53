package kit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Server is an HTTP server on a free port of the loopback interface that can be stopped and started again on the same
// address, as a process that is restarted would be.
type Server struct {
	// TLS, when set before Start, makes the server speak TLS, and HTTP/2 to clients that negotiate it.
	TLS *tls.Config
	// Addr is the address in the form host:port; known after the first Start.
	Addr string

	mu   sync.Mutex
	http *http.Server
	ln   net.Listener
	done chan struct{}
}

// Serve starts a plain HTTP server for h and stops it when the test ends.
func Serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{}
	if err := s.Start(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Start listens and serves h. After a Stop it takes the address the server had before.
func (s *Server) Start(h http.Handler) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return errors.New("server is running")
	}
	ln, err := listen(s.Addr)
	if err != nil {
		return err
	}
	s.Addr = ln.Addr().String()
	hs := &http.Server{Handler: h, TLSConfig: s.TLS, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	s.http, s.ln, s.done = hs, ln, done
	go func() {
		defer close(done)
		if s.TLS != nil {
			_ = hs.ServeTLS(ln, "", "")
			return
		}
		_ = hs.Serve(ln)
	}()
	return nil
}

// listen takes addr again after a stop. Another process may hold the port for a moment (an outgoing connection was
// given it), so a refusal is tried again for a while.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		ln, err := net.Listen("tcp", addr)
		if err == nil || time.Now().After(deadline) {
			return ln, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// StopListening refuses new connections and leaves the present ones as they are.
func (s *Server) StopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		_ = s.ln.Close()
	}
}

// Stop closes the listener and the HTTP connections. Hijacked connections (WebSocket) are their owner's to close.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		return
	}
	_ = s.http.Close()
	<-s.done
	s.http = nil
}

// URL returns the base URL without a trailing slash.
func (s *Server) URL() string {
	if s.TLS != nil {
		return "https://" + s.Addr
	}
	return "http://" + s.Addr
}

// Eventually waits until ok reports true. It fails the test, saying what was awaited, when that takes unreasonably
// long; the limit is there to end a hang, not to measure.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if err := Wait(t.Context(), what, ok); err != nil {
		t.Fatal(err)
	}
}

// Wait is Eventually for code outside of a test's own goroutine.
func Wait(ctx context.Context, what string, ok func() bool) error {
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			return fmt.Errorf("waited in vain: %s", what)
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %s: %w", what, ctx.Err())
		}
	}
	return nil
}
