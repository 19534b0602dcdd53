// Mounted in echo: the server is one handler among the others, and the others emit to its clients.
package main

import (
	"context"
	_ "embed"
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

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page []byte

const maxNews = 1000 // bytes

// routes returns all that is served, and the Socket.IO server in it.
func routes() (http.Handler, *socketio.Server) {
	sio := socketio.NewServer(nil)

	e := echo.New()
	e.Use(middleware.Recover())
	// The server looks at the whole path itself, so it is mounted where Options.Engine.Path says, here the default.
	// Any: polling needs GET and POST, and pages of other origins OPTIONS.
	e.Any("/socket.io/*", echo.WrapHandler(sio))
	e.GET("/", func(c *echo.Context) error {
		return c.HTMLBlob(http.StatusOK, page)
	})
	e.POST("/news", func(c *echo.Context) error {
		text, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxNews))
		if err != nil {
			return c.String(http.StatusRequestEntityTooLarge, fmt.Sprintf("news have at most %d bytes\n", maxNews))
		}
		if err := sio.Emit("news", string(text)); err != nil {
			return c.String(http.StatusBadRequest, err.Error()+"\n")
		}
		return c.NoContent(http.StatusNoContent)
	})
	return e, sio
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
