package node

import (
	"bufio"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

// NATS runs a NATS server as a process of its own, on a free port of the loopback interface, which it prints. It returns
// the exit code.
func NATS() int {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		return 1
	}
	s.Start()
	fmt.Println(s.Addr()) // which waits until it listens
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	return 0
}
