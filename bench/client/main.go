// Command client is the benchmark's client on Sockeye: what a user would write. It follows the contract for clients in
// bench/README.md, and serves profiles on $PPROF (an address) if that is set.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sockeye-io/sockeye/bench/internal/collect"
	"github.com/sockeye-io/sockeye/client"
)

func main() {
	log.SetFlags(0)
	collect.OnSignal()
	if addr := os.Getenv("PPROF"); addr != "" {
		go func() { log.Fatal(http.ListenAndServe(addr, nil)) }() // the default mux, where pprof is
	}
	b := &bench{url: "http://" + os.Getenv("ADDR"), parallel: number("PARALLEL", 32)}
	ctx := context.Background()
	warm, err := b.connect(ctx, number("WARM", 200))
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range warm {
		s.Client().Close()
	}
	fmt.Println("warm")
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		switch commands.Text() {
		case "connect":
			sockets, err := b.connect(ctx, number("CLIENTS", 100))
			if err != nil {
				log.Fatal(err)
			}
			b.sockets = sockets
			fmt.Println(len(sockets))
		case "echo":
			b.echo(ctx, number("INFLIGHT", 1))
			fmt.Println("echoing")
		case "count":
			fmt.Println(b.ops.Load())
		}
	}
}

func number(name string, otherwise int) int {
	if v := os.Getenv(name); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		return n
	}
	return otherwise
}

type bench struct {
	url      string
	parallel int
	sockets  []*client.Socket
	ops      atomic.Int64
}

// connect dials n clients, each on a connection of its own.
func (b *bench) connect(ctx context.Context, n int) ([]*client.Socket, error) {
	sockets := make([]*client.Socket, n)
	errs := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range b.parallel {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				sockets[i], errs[i] = client.Dial(ctx, b.url, nil)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return sockets, nil
}

// echo keeps so many questions under way on each connection until the process ends.
func (b *bench) echo(ctx context.Context, inFlight int) {
	payload := strings.Repeat("x", 64)
	for _, s := range b.sockets {
		for range inFlight {
			go func() {
				for {
					ack, err := s.EmitWithAck(ctx, "echo", payload)
					if err != nil {
						log.Fatal(err)
					}
					var got string
					if err := ack.Bind(&got); err != nil || got != payload {
						log.Fatalf("the echo is %q, %v", got, err)
					}
					b.ops.Add(1)
				}
			}()
		}
	}
}
