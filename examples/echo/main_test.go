package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/examples/internal/try"
)

func TestMain(m *testing.M) { try.Main(m, main) }

func TestMounted(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	p.Streams(t)
	clients := []*try.Client{p.WebSocket(t, nil).Joined(), p.Polling(t, nil).Joined()}
	post := func(text string, status int) {
		t.Helper()
		res, err := http.Post(p.URL+"/news", "text/plain", strings.NewReader(text))
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
		var text string
		if c.Next("news", &text); text != "It rains" {
			t.Errorf("the news are %q", text)
		}
	}
}
