// Mounted in chi: the server is one handler among the others, and the others emit to its clients.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page embed.FS

const maxNews = 1000 // bytes

// routes returns all that is served, and the Socket.IO server in it.
func routes() (http.Handler, *socketio.Server) {
	sio := socketio.NewServer(nil)

	r := chi.NewRouter()
	r.Use(middleware.Recoverer)
	// The server looks at the whole path itself, so it is mounted where Options.Engine.Path says, here the default.
	r.Handle("/socket.io/*", sio)
	// What limits the time of a request is for the others: a poll is held, and a stream stays open.
	r.Group(func(r chi.Router) {
		r.Use(middleware.Timeout(10 * time.Second))
		r.Handle("/", http.FileServerFS(page))
		r.Post("/news", func(w http.ResponseWriter, r *http.Request) {
			text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNews))
			if err != nil {
				http.Error(w, fmt.Sprintf("news have at most %d bytes", maxNews), http.StatusRequestEntityTooLarge)
				return
			}
			if err := sio.Emit("news", string(text)); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	})
	return r, sio
}

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	flag.Parse()

	site, sio := routes()
	if err := serve(*addr, site, sio); err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until Ctrl+C, and then lets the clients go before it returns.
func serve(addr string, h http.Handler, sio *socketio.Server) error {
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
	if err := sio.Shutdown(deadline); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
