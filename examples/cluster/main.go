// Cluster: several servers that act as one. Events reach the clients of all by way of Redis, and requests that arrive at
// the wrong server are carried to the right one, so that the load balancer may do as it likes. Two on one machine:
//
//	export PEERS='A=http://localhost:3001,B=http://localhost:3002' PEERS_SECRET=$(openssl rand -hex 16)
//	go run ./cluster --id A --addr localhost:3001
//	go run ./cluster --id B --addr localhost:3002
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
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page embed.FS

// said is what somebody has said, and on which server.
type said struct {
	Server string `json:"server"`
	Text   string `json:"text"`
}

// The contract with the page.
var (
	say   = event.New[string]("say")
	heard = event.New[said]("heard")
)

const maxText = 500

// newServer returns a server of the cluster: a is how events reach the others, p how requests do.
func newServer(a adapter.Factory, p *peers.Peers) *socketio.Server {
	options := &socketio.Options{Adapter: a}
	p.Configure(&options.Engine)
	io := socketio.NewServer(options)
	io.OnConnection(func(s *socketio.Socket) {
		say.On(s, func(_ context.Context, text string) error {
			if len(text) > maxText {
				return event.Errorf("too_long", "at most %d bytes", maxText)
			}
			return heard.Emit(io, said{p.ID(), text})
		})
	})
	return io
}

// parsePeers reads "A=http://…,B=http://…".
func parsePeers(text string) (peers.Static, error) {
	directory := peers.Static{}
	for entry := range strings.SplitSeq(text, ",") {
		id, address, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, fmt.Errorf("PEERS must be like A=http://localhost:3001,B=http://localhost:3002, not %q", text)
		}
		directory[strings.TrimSpace(id)] = strings.TrimSpace(address)
	}
	return directory, nil
}

func main() {
	id := flag.String("id", "A", "the name of this server, up to 4 letters and digits")
	addr := flag.String("addr", "localhost:3000", "where to listen")
	redisAddr := flag.String("redis", "localhost:6379", "where Redis is")
	flag.Parse()

	directory, err := parsePeers(os.Getenv("PEERS"))
	if err != nil {
		log.Fatal(err)
	}
	p, err := peers.New(peers.Options{ID: *id, Directory: directory, Secret: []byte(os.Getenv("PEERS_SECRET"))})
	if err != nil {
		log.Fatal(err)
	}
	broker, err := redis.Open(redis.Options{Redis: goredis.UniversalOptions{Addrs: []string{*redisAddr}}})
	if err != nil {
		log.Fatal(err)
	}
	io := newServer(broker.Classic(), p)

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.Handle("/", http.FileServerFS(page))
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := broker.Ping(r.Context()); err != nil {
			http.Error(w, "no Redis", http.StatusServiceUnavailable)
		}
	})
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Printf("server %s at http://%s\n", p.ID(), ln.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-stop.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// Clients first, while requests of theirs are still answered.
	err = errors.Join(io.Shutdown(ctx), server.Shutdown(ctx), broker.Close(), p.Close())
	if err != nil {
		log.Print(err)
	}
}
