package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/wire"
	"github.com/sockeye-io/sockeye/socketio"
)

func serveLab(t *testing.T, opts Options) (url string, l *Lab) {
	t.Helper()
	l, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	server := socketio.NewServer(&socketio.Options{Logger: slog.New(slog.DiscardHandler)})
	l.Control(server.Of("/lab"))
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server)
	mux.Handle("/lab/{visit}/{lane}/", l)
	front := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		front.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return front.URL, l
}

// enter opens a visit and returns its control connection and what it was told.
func enter(t *testing.T, url string) (*wire.Client, visitNotice) {
	t.Helper()
	page := wire.Dial(t, url+"/socket.io/")
	page.Send(`0/lab,`)
	packet := page.Await(`["visit"`)
	var parts []json.RawMessage
	var notice visitNotice
	if err := json.Unmarshal([]byte(packet[strings.Index(packet, "["):]), &parts); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(parts[1], &notice); err != nil {
		t.Fatal(err)
	}
	return page, notice
}

func TestVisit(t *testing.T) {
	events := make(chan int, 1000)
	url, l := serveLab(t, Options{Count: func(n int) {
		select {
		case events <- n:
		default:
		}
	}})
	page, notice := enter(t, url)
	if len(notice.Lanes) != len(LaneNames) || l.Visits() != 1 {
		t.Fatalf("lanes %v, %d visits", notice.Lanes, l.Visits())
	}
	page.Send(`2/lab,1["clock",{}]`)
	page.Await(`43/lab,1[{"at":`)

	lane := wire.Dial(t, url+notice.Lanes["websocket"]+"socket.io/")
	lane.Send(fmt.Sprintf(`0{"visit":%q,"lane":"websocket"}`, notice.ID))
	lane.Await(`["tick",`)
	lane.Send(`2["up",1,0,"padding"]`)
	figures := page.Await(`"ups":1`)
	if !strings.Contains(figures, `"kind":"socket"`) {
		t.Errorf("no trace of the WebSocket in %s", figures)
	}
	if <-events == 0 {
		t.Error("no events were counted")
	}

	page.Send(`2/lab,2["settings",{"rate":100000,"burst":-3,"up":99,"size":1000000,"delay":100000,"buffer":false}]`)
	want := fmt.Sprintf(`{"rate":%d,"burst":0,"up":%d,"size":%d,"delay":%d,`, MaxRate, MaxUp, MaxSize, MaxDelay)
	if reply := page.Await(`43/lab,2[`); !strings.Contains(reply, want) {
		t.Errorf("settings out of bounds became %s, want %s", reply, want)
	}

	page.Send(`1/lab,`)
	page.Send(`0/lab,`)
	page.Await(`["visit"`)
	r, err := http.Get(url + notice.Lanes["long"] + "socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		t.Errorf("a lane of a visit that is over answers %d, want 404", r.StatusCode)
	}
}

func TestShortPollingLaneAnswersAtOnce(t *testing.T) {
	url, _ := serveLab(t, Options{})
	_, notice := enter(t, url)
	base := url + notice.Lanes["short"] + "socket.io/?EIO=4&transport=polling"
	fetch := func(url string) string {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return string(body)
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(fetch(base), "0")), &open); err != nil {
		t.Fatal(err)
	}
	// No namespace is joined, so there is nothing to say; only an answer that waits for nothing comes before the first ping.
	if body := fetch(base + "&sid=" + open.SID); body != "6" {
		t.Errorf("a poll with nothing to say was answered with %q, want a noop", body)
	}
}

func TestLanesAreForTheirVisitors(t *testing.T) {
	url, _ := serveLab(t, Options{})
	_, notice := enter(t, url)
	for _, auth := range []string{``, `{}`, `{"visit":"guess","lane":"long"}`, fmt.Sprintf(`{"visit":%q,"lane":"x"}`, notice.ID), `{"visit":1}`} {
		lane := wire.Dial(t, url+notice.Lanes["websocket"]+"socket.io/")
		lane.Send(`0` + auth)
		lane.Await(`44{"message":"This visit of the lab is over."}`)
	}
}

func TestPlacesAreLimited(t *testing.T) {
	url, _ := serveLab(t, Options{MaxVisits: 2})
	enter(t, url)
	first, _ := enter(t, url)
	third := wire.Dial(t, url+"/socket.io/")
	third.Send(`0/lab,`)
	third.Await(`44/lab,{"message":"All 2 places`)
	first.Send(`1/lab,`)
	for range 10_000 { // the visit ends in its own time
		third.Send(`0/lab,`)
		if strings.HasPrefix(third.Await(`/lab,`), `40/lab`) {
			return
		}
	}
	t.Error("the place of one who left was not given to another")
}
