// Command suiteserver is the server that the official protocol suites need, and any other client that wants to be
// tried against an echo: see package suite for what it answers.
//
//	suiteserver -suite eio4 -addr localhost:3000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/sockeye-io/sockeye/test/interop/suite"
)

func main() {
	name := flag.String("suite", "sio5", "which server to be: eio4 (Engine.IO v4) or sio5 (Socket.IO v5)")
	addr := flag.String("addr", "localhost:3000", "host:port to listen on")
	flag.Parse()
	if err := run(*name, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "suiteserver:", err)
		os.Exit(1)
	}
}

func run(name, addr string) error {
	h, stop, err := suite.Handler(name, suite.Official)
	if err != nil {
		return err
	}
	defer stop()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("%s on http://%s\n", name, ln.Addr())
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	server := &http.Server{Handler: h}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
