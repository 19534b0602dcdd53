package engineio_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sockeye-io/sockeye/engineio"
)

// echoReceiver sends every message back.
type echoReceiver struct{ session *engineio.Session }

func (e echoReceiver) Message(binary bool, data []byte) {
	if err := e.session.Send(engineio.NewMessage(binary, data)); err != nil {
		log.Print(err) // closed, or the peer does not read what it asked for
	}
}

func (e echoReceiver) Closed(reason engineio.CloseReason, err error) {
	log.Printf("session %s ended: %s (%v)", e.session.ID(), reason, err)
}

// A server that sends every message back, asked over plain long-polling.
func Example() {
	server := engineio.NewServer(nil, func(s *engineio.Session) engineio.Receiver { return echoReceiver{s} })
	defer server.Close()
	mux := http.NewServeMux()
	mux.Handle("/engine.io/", server)
	ts := httptest.NewServer(mux)
	defer ts.Close()

	url := ts.URL + "/engine.io/?EIO=4&transport=polling"
	open := readAll(http.Get(url))
	_, sid, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	fmt.Println(readAll(http.Post(url+"&sid="+sid, "text/plain", strings.NewReader("4hello"))))
	fmt.Println(readAll(http.Get(url + "&sid=" + sid)))
	// Output:
	// ok
	// 4hello
}

func readAll(r *http.Response, err error) string {
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		log.Fatal(err)
	}
	return string(b)
}
