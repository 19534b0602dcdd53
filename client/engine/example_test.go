package engine_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

// shouter answers every message in capitals.
type shouter struct{ session *engineio.Session }

func (s shouter) Message(_ bool, data []byte) {
	_ = s.session.Send(engineio.NewMessage(false, []byte(fmt.Sprintf("%s!", data)))) // closed, or the peer does not read
}

func (shouter) Closed(engineio.CloseReason, error) {}

// printer prints what it receives. answered is closed with the first message.
type printer struct{ answered chan struct{} }

func (p printer) Message(_ bool, data []byte) {
	fmt.Printf("%s\n", data)
	close(p.answered)
}

func (printer) Closed(reason engine.Reason, err error) {
	fmt.Println("closed:", reason)
}

func Example() {
	server := engineio.NewServer(&engineio.Options{Path: "/socket.io/"}, func(s *engineio.Session) engineio.Receiver { return shouter{s} })
	defer server.Close()
	ts := httptest.NewServer(server)
	defer ts.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p := printer{answered: make(chan struct{})}
	conn, err := engine.Dial(ctx, ts.URL, nil, func(*engine.Conn) engine.Receiver { return p })
	if err != nil {
		log.Print(err) // which transports were tried, and why each failed
		return
	}
	fmt.Println("connected over", conn.Transport())
	if err := conn.Send(engine.Message{Data: []byte("hello")}); err != nil {
		log.Print(err)
	}
	<-p.answered
	if err := conn.Close(); err != nil {
		log.Print(err) // not everything was sent
	}
	// Output:
	// connected over websocket
	// hello!
	// closed: forced close
}
