// Upload: a file goes to the server in chunks, each a binary attachment that is acknowledged. The acknowledgements
// drive the progress bar, and keep the page from sending faster than the server writes.
package main

import (
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page embed.FS

const (
	chunkSize = 256 << 10   // well below the 1 MB that a message may have by default
	stalled   = time.Minute // without a chunk, after which an upload is given up
)

// The contract with the page. A []byte is one binary attachment.
var (
	begin  = event.NewCall[file, plan]("begin")
	chunk  = event.NewCall[[]byte, progress]("chunk")
	finish = event.NewCall[struct{}, receipt]("finish")
)

type file struct {
	Size int64 `json:"size"`
}

type plan struct {
	ChunkSize int `json:"chunkSize"`
}

type progress struct {
	Received int64 `json:"received"`
}

type receipt struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func newServer(files *store) *socketio.Server {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) { receive(s, files) })
	return io
}

// receive lets one client upload one file at a time.
func receive(s *socketio.Socket, files *store) {
	var current *upload // the handlers of a socket run one at a time: no lock is needed

	// Who stops in the middle is disconnected, which gives up the upload below.
	patience := time.AfterFunc(stalled, func() { s.Disconnect(false) })
	patience.Stop()

	giveUp := func() {
		patience.Stop()
		if current == nil {
			return
		}
		if err := current.abort(); err != nil {
			log.Print(err)
		}
		current = nil
	}

	begin.On(s, func(ctx context.Context, f file) (plan, error) {
		giveUp() // the one before, if the page has changed its mind
		u, err := files.begin(f.Size)
		if err != nil {
			return plan{}, err
		}
		current = u
		patience.Reset(stalled)
		return plan{chunkSize}, nil
	})
	chunk.On(s, func(ctx context.Context, data []byte) (progress, error) {
		if current == nil {
			return progress{}, event.Errorf("no_upload", "begin first")
		}
		if err := current.write(data); err != nil {
			giveUp()
			return progress{}, err
		}
		patience.Reset(stalled)
		return progress{current.received}, nil
	})
	finish.On(s, func(ctx context.Context, _ struct{}) (receipt, error) {
		if current == nil {
			return receipt{}, event.Errorf("no_upload", "begin first")
		}
		sum, err := current.finish()
		if err != nil {
			giveUp()
			return receipt{}, err
		}
		done := receipt{current.size, hex.EncodeToString(sum)}
		current = nil
		patience.Stop()
		return done, nil
	})
	s.OnDisconnect(func(socketio.Reason, error) { giveUp() })
}

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	keep := flag.Duration("keep", 10*time.Minute, "how long finished files stay")
	flag.Parse()

	dir, err := os.MkdirTemp("", "sockeye-upload-")
	if err != nil {
		log.Fatal(err)
	}
	io := newServer(&store{dir: dir, keep: *keep})
	http.Handle("/socket.io/", io)
	http.Handle("/", http.FileServerFS(page))
	err = errors.Join(serve(*addr, http.DefaultServeMux, io), os.RemoveAll(dir))
	if err != nil {
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
