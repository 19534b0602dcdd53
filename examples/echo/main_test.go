package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/examples/internal/try"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestMain(m *testing.M) { try.Main(m, main) }

func TestNews(t *testing.T) {
	site, sio := routes()
	srv := sockeyetest.Start(t, site, sio)
	var clients []*sockeyetest.Client
	for _, transport := range []string{"websocket", "polling", "streaming"} {
		clients = append(clients, srv.Connect(t, "/", sockeyetest.Transports(transport), sockeyetest.Named(transport)))
	}
	post := func(text string, status int) {
		t.Helper()
		res, err := srv.HTTP().Post(srv.URL()+"/news", "text/plain", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s instead of %d", res.Status, status)
		}
	}
	post(strings.Repeat("x", maxNews+1), http.StatusRequestEntityTooLarge)
	post("It rains", http.StatusNoContent)
	for _, c := range clients {
		c.Expect(t, "news", "It rains")
		c.ExpectNone(t)
	}
}

func TestProgram(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	p.Streams(t)
	p.Connects(t, nil)
}
