// Command member is one of several servers on Sockeye that act as one, with the application of the command target. $ADAPTER
// says what is between them: redis-classic, redis-sharded or nats, with the broker's address in $BROKER, or embedded, with
// its own address for the others in $LISTEN and those of some others in $BROKER, comma-separated. It begins to listen on
// 127.0.0.1:$PORT when it has reached the broker. PPROF as for target.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/nats/embedded"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/bench/internal/app"
	"github.com/sockeye-io/sockeye/bench/internal/collect"
)

func main() {
	collect.OnSignal()
	if addr := os.Getenv("PPROF"); addr != "" {
		go func() { log.Fatal(http.ListenAndServe(addr, nil)) }() // the default mux, where pprof is
	}
	factory, connected, err := open(os.Getenv("ADAPTER"), os.Getenv("BROKER"))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", app.New(factory))
	for end := time.Now().Add(10 * time.Second); !connected(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			log.Fatal("the other servers can't be reached")
		}
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}

// open returns the adapter, and whether it is connected.
func open(name, broker string) (adapter.Factory, func() bool, error) {
	switch name {
	case "redis-classic", "redis-sharded":
		b, err := redis.Open(redis.Options{Redis: goredis.UniversalOptions{Addrs: []string{broker}}})
		if err != nil {
			return nil, nil, err
		}
		if name == "redis-sharded" {
			return b.Sharded(), func() bool { return b.Stats().Connected }, nil
		}
		return b.Classic(), func() bool { return b.Stats().Connected }, nil
	case "nats":
		b, err := nats.Open(nats.Options{URL: broker})
		if err != nil {
			return nil, nil, err
		}
		return b.Adapter(), func() bool { return b.Stats().Connected }, nil
	case "embedded":
		peers := strings.FieldsFunc(broker, func(r rune) bool { return r == ',' })
		s, err := embedded.Start(embedded.Options{
			Listen: cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"), Peers: peers, Secret: []byte("the secret of the benchmark"),
		})
		if err != nil {
			return nil, nil, err
		}
		b, err := s.Open(nats.Options{})
		if err != nil {
			return nil, nil, err
		}
		return b.Adapter(), func() bool { return s.Peers() >= len(peers) && b.Stats().Connected }, nil
	}
	return nil, nil, fmt.Errorf("no adapter is named %q", name)
}
