// Behind a reverse proxy of the standard library: what it must pass on, so that all transports work through it and the
// server still knows which pages are its own.
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
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page embed.FS

// through returns a proxy to the server at backend.
func through(backend *url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backend)
			// The server compares a page's Origin with the Host of its requests. Without this line the Host would be
			// the backend's, and every browser would be refused with 403.
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		// Pass on what arrives at once. Without it, streaming would be held back and the client fall back to polling.
		FlushInterval: -1,
	}
}

// newBackend returns all that is served behind the proxy, and the Socket.IO server in it.
func newBackend() (http.Handler, *socketio.Server) {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		s.On("who am I", func(ctx context.Context, m *socketio.Message) error {
			// RemoteAddr is the proxy. What X-Forwarded-For says is worth what the proxy is: this one sets it anew.
			h := s.Handshake()
			return m.Ack(map[string]string{
				"address":   h.Get("X-Forwarded-For"),
				"proxy":     h.RemoteAddr(),
				"transport": s.Transport(),
			})
		})
	})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.Handle("/", http.FileServerFS(page))
	return mux, io
}

func main() {
	addr := flag.String("addr", "localhost:3000", "where the proxy listens")
	flag.Parse()

	site, io := newBackend()

	// The backend would be a program of its own, on another machine.
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	backend := &http.Server{Handler: site, ReadHeaderTimeout: 10 * time.Second}
	defer backend.Close()
	go func() { _ = backend.Serve(ln) }()

	if err := serve(*addr, through(&url.URL{Scheme: "http", Host: ln.Addr().String()}), io); err != nil {
		log.Print(err)
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
