package peers_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/socketio"
)

// The host that a trusted proxy tells goes with a request that is carried, also to a server that does not trust the one
// that carries it.
func TestCarriedHost(t *testing.T) {
	directory := peers.Static{}
	var urls []string
	for i, trusted := range [][]netip.Prefix{nil, {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}} {
		p, err := peers.New(peers.Options{ID: string(rune('A' + i)), Directory: directory, Secret: secret, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		o := &socketio.Options{Engine: engineio.Options{TrustedProxies: trusted}}
		p.Configure(&o.Engine)
		srv := socketio.NewServer(o)
		ts := httptest.NewServer(srv)
		directory[p.ID()] = ts.URL
		urls = append(urls, ts.URL)
		t.Cleanup(func() {
			_ = srv.Close()
			ts.Close()
			_ = p.Close()
		})
	}
	ask := func(url string, header ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequest("GET", url+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			if header[i] == "sid" {
				r.URL.RawQuery += "&sid=" + header[i+1]
				r.Method, r.Body = "POST", io.NopCloser(strings.NewReader("40"))
				continue
			}
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	defer http.DefaultClient.CloseIdleConnections()
	_, open := ask(urls[0])
	_, rest, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	const page, host = "https://app.example", "app.example"
	if status, body := ask(urls[0], "sid", sid, "Origin", page, "X-Forwarded-Host", host); status != 403 {
		t.Errorf("to the server that trusts nobody: %d %s", status, body)
	}
	if status, body := ask(urls[1], "sid", sid, "Origin", page, "X-Forwarded-Host", host); status != 200 {
		t.Errorf("by way of the server that trusts its proxy: %d %s", status, body)
	}
}
