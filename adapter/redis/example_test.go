package redis_test

import (
	"log"
	"net/http"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/socketio"
)

// Several of these programs, and Node servers with createAdapter, act as one server.
func Example() {
	broker, err := redis.Open(redis.Options{Redis: goredis.UniversalOptions{Addrs: []string{"localhost:6379"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	io := socketio.NewServer(&socketio.Options{Adapter: broker.Classic()})
	http.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe(":3000", nil))
}

// A program that is no server tells the clients of all servers something.
func ExampleBroker_Emitter() {
	broker, err := redis.Open(redis.Options{Redis: goredis.UniversalOptions{Addrs: []string{"localhost:6379"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close() // after what waits has been published
	if err := broker.Emitter("/").To("room 17").Emit("news", map[string]any{"title": "…"}); err != nil {
		log.Fatal(err)
	}
}
