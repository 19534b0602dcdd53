package engineio_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio"
)

// slowReceiver holds the reader in Message until it is let go.
type slowReceiver struct {
	arrived chan string
	proceed chan struct{}
	closed  chan engineio.CloseReason
}

func (r *slowReceiver) Message(_ bool, data []byte) {
	r.arrived <- string(data)
	<-r.proceed
}

func (r *slowReceiver) Closed(reason engineio.CloseReason, _ error) { r.closed <- reason }

// A peer's last message and its end, without a close frame, arrive while the
// reader is busy: one notification tells of both.
func TestEndTogetherWithLastMessage(t *testing.T) {
	r := &slowReceiver{arrived: make(chan string), proceed: make(chan struct{}), closed: make(chan engineio.CloseReason, 1)}
	server := engineio.NewServer(&engineio.Options{PingInterval: time.Hour}, func(*engineio.Session) engineio.Receiver { return r })
	defer server.Close()
	ts := httptest.NewServer(http.HandlerFunc(server.ServeHTTP))
	defer ts.Close()

	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(upgradeRequest("/engine.io/?" + wsQuery))); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	send := func(text string) {
		f := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("4" + text))))
		if _, err := conn.Write(f); err != nil {
			t.Error(err)
		}
	}
	// The first few batches are read with a try for more in any case.
	for range 8 {
		send("early")
		<-r.arrived
		r.proceed <- struct{}{}
	}
	send("busy")
	<-r.arrived
	send("last")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.proceed <- struct{}{}
	if got := <-r.arrived; got != "last" {
		t.Fatalf("got %q", got)
	}
	r.proceed <- struct{}{}
	select {
	case reason := <-r.closed:
		if reason != engineio.ReasonTransportClose {
			t.Errorf("closed for %q", reason)
		}
	case <-time.After(time.Minute): // much less than the time to the next ping
		t.Fatal("the end was not noticed")
	}
}
