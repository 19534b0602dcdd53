// Command floor is the benchmark's floor server: see package internal/floor. It listens on 127.0.0.1:$PORT.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/sockeye-io/sockeye/bench/internal/collect"
	"github.com/sockeye-io/sockeye/bench/internal/floor"
)

func main() {
	collect.OnSignal()
	http.Handle("/socket.io/", floor.New())
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
