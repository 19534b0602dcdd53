// Mounted in gin: the server is one handler among the others, and the others emit to its clients.
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

	"github.com/gin-gonic/gin"

	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page []byte

const maxNews = 1000 // bytes

// routes returns all that is served, and the Socket.IO server in it.
func routes() (http.Handler, *socketio.Server) {
	sio := socketio.NewServer(nil)

	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	// The server looks at the whole path itself, so it is mounted where Options.Engine.Path says, here the default.
	// Any: polling needs GET and POST, and pages of other origins OPTIONS.
	r.Any("/socket.io/*path", gin.WrapH(sio))
	r.GET("/", func(c *gin.Context) {
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	r.POST("/news", func(c *gin.Context) {
		text, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxNews))
		if err != nil {
			c.String(http.StatusRequestEntityTooLarge, "news have at most %d bytes\n", maxNews)
			return
		}
		if err := sio.Emit("news", string(text)); err != nil {
			c.String(http.StatusBadRequest, "%v\n", err)
			return
		}
		c.Status(http.StatusNoContent)
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
