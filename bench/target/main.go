// Command target is the benchmark's server on Sockeye: what a user would write, with the ping times that all servers of
// the benchmark have. It listens on 127.0.0.1:$PORT, and serves profiles on $PPROF (an address) if that is set.
package main

import (
	"log"
	"net/http"
	_ "net/http/pprof"
	"os"

	"github.com/sockeye-io/sockeye/bench/internal/app"
	"github.com/sockeye-io/sockeye/bench/internal/collect"
)

func main() {
	collect.OnSignal()
	if addr := os.Getenv("PPROF"); addr != "" {
		go func() { log.Fatal(http.ListenAndServe(addr, nil)) }() // the default mux, where pprof is
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", app.New(nil))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}
