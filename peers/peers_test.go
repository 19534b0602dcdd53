package peers_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("sixteen bytes or more")

// A node is a server that knows its peers.
type node struct {
	*httptest.Server
	io    *socketio.Server
	peers *peers.Peers
}

// start starts servers A, B, … and something in front that sends each request to the next of them.
func start(t *testing.T, n int) (front string, nodes []*node) {
	t.Helper()
	directory := peers.Static{}
	var handlers []http.Handler
	for i := range n {
		x := new(node)
		x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { x.io.ServeHTTP(w, r) }))
		id := string(rune('A' + i))
		directory[id] = x.URL
		var err error
		x.peers, err = peers.New(peers.Options{
			ID: id, Directory: directory, Secret: secret, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		var o socketio.Options
		x.peers.Configure(&o.Engine)
		x.io = socketio.NewServer(&o)
		x.io.OnConnection(func(s *socketio.Socket) {
			s.On("echo", func(_ context.Context, m *socketio.Message) error {
				var v any
				if err := m.Bind(&v); err != nil {
					return err
				}
				return m.Ack(v, id)
			})
		})
		t.Cleanup(func() {
			_ = x.io.Close()
			x.CloseClientConnections()
			x.Close()
			_ = x.peers.Close()
		})
		nodes = append(nodes, x)
		target, _ := url.Parse(x.URL)
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.FlushInterval = -1
		transport := &http.Transport{}
		proxy.Transport = transport
		t.Cleanup(transport.CloseIdleConnections)
		handlers = append(handlers, proxy)
	}
	var turn atomic.Int64
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[int(turn.Add(1))%n].ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		balancer.CloseClientConnections()
		balancer.Close()
	})
	return balancer.URL, nodes
}

func TestAnyRequestToAnyServer(t *testing.T) {
	for name, transports := range map[string][]string{
		"polling":   {"polling"},
		"streaming": {"streaming"},
		"websocket": {"websocket"},
		"upgrade":   {"polling", "websocket"},
	} {
		t.Run(name, func(t *testing.T) {
			front, nodes := start(t, 3)
			for i := range 6 {
				s, err := client.Dial(t.Context(), front, &client.Options{Transports: transports})
				if err != nil {
					t.Fatal(err)
				}
				// With an upgrade, some of these are on their way while it happens.
				home := ""
				for j := range 20 {
					ack, err := s.EmitWithAck(t.Context(), "echo", fmt.Sprint(i, j))
					if err != nil {
						t.Fatal(err)
					}
					var text, server string
					if err := ack.Bind(&text, &server); err != nil || text != fmt.Sprint(i, j) || (home != "" && server != home) {
						t.Fatalf("answer %q of %s, who was %s: %v", text, server, home, err)
					}
					home = server
				}
				if id := s.Client().SessionID(); len(id) != 20 || !strings.HasPrefix(id, home+"---") {
					t.Errorf("session %q on %s", id, home)
				}
				_ = s.Client().Close()
			}
			carried := int64(0)
			for _, n := range nodes {
				stats := n.peers.Stats()
				carried += stats.Carried
				if stats.Unknown+stats.Unreachable+stats.Rejected != 0 {
					t.Errorf("%s: %+v", n.peers.ID(), stats)
				}
			}
			if name != "websocket" && carried == 0 {
				t.Error("nothing was carried")
			}
		})
	}
}

func get(t *testing.T, address string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestSessionsThatAreNowhere(t *testing.T) {
	_, nodes := start(t, 2)
	a := nodes[0]
	unknown := `{"code":1,"message":"Session ID unknown"}`
	poll := a.URL + "/socket.io/?EIO=4&transport=polling&sid="
	for name, sid := range map[string]string{
		"of this server":    "A---0123456789abcdef",
		"of the other":      "B---0123456789abcdef",
		"of nobody":         "C---0123456789abcdef",
		"without a name":    "----0123456789abcdef",
		"of another length": "B---0123",
		"of another kind":   "%2F%2F%2F%2F0123456789abcdef",
	} {
		if status, body := get(t, poll+sid); status != 400 || body != unknown {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if stats := a.peers.Stats(); stats.Carried != 1 || stats.Unknown != 1 {
		t.Errorf("%+v", stats)
	}

	nodes[1].CloseClientConnections()
	nodes[1].Close()
	if status, body := get(t, poll+"B---0123456789abcdef"); status != 400 || body != unknown {
		t.Errorf("server that is gone: %d %s", status, body)
	}
	if stats := a.peers.Stats(); stats.Unreachable != 1 {
		t.Errorf("%+v", stats)
	}
}

func TestCarriedOnce(t *testing.T) {
	// Each takes the other for C.
	secretly := func(id string, address *string) (*httptest.Server, *peers.Peers) {
		var p *peers.Peers
		var sio *socketio.Server
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { sio.ServeHTTP(w, r) }))
		p, err := peers.New(peers.Options{ID: id, Secret: secret, Directory: lookup(func(string) (string, bool) { return *address, true })})
		if err != nil {
			t.Fatal(err)
		}
		var o socketio.Options
		p.Configure(&o.Engine)
		sio = socketio.NewServer(&o)
		t.Cleanup(func() { _ = sio.Close(); srv.Close(); _ = p.Close() })
		return srv, p
	}
	var addressA, addressB string
	srvA, a := secretly("A", &addressB)
	srvB, b := secretly("B", &addressA)
	addressA, addressB = srvA.URL, srvB.URL
	status, _ := get(t, addressA+"/socket.io/?EIO=4&transport=polling&sid=C---0123456789abcdef")
	if status != 400 || a.Stats().Carried != 1 || b.Stats().Carried != 0 || b.Stats().Rejected != 0 {
		t.Errorf("%d, %+v, %+v", status, a.Stats(), b.Stats())
	}
	// A claim that is false changes nothing, and is counted.
	status, _ = get(t, addressB+"/socket.io/?EIO=4&transport=polling&sid=C---0123456789abcdef", "Sockeye-Hop", "A;1;x")
	if status != 400 || b.Stats().Rejected != 1 || b.Stats().Carried != 0 {
		t.Errorf("%d, %+v", status, b.Stats())
	}
}

type lookup func(string) (string, bool)

func (f lookup) Lookup(id string) (string, bool) { return f(id) }

func TestSignature(t *testing.T) {
	seen := make(chan *http.Request, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r }))
	defer other.Close()
	p, err := peers.New(peers.Options{ID: "A", Secret: secret, Directory: peers.Static{"B": other.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := httptest.NewRequest(http.MethodGet, "http://example.com/socket.io/?sid=B---0123456789abcdef", nil)
	r.Header.Set("X-Forwarded-For", "192.0.2.1")
	r.Header.Set("Cookie", "a=b")
	if !p.Foreign(httptest.NewRecorder(), r, "B---0123456789abcdef") {
		t.Fatal("not carried")
	}
	got := <-seen
	if got.Host != "example.com" || got.Header.Get("X-Forwarded-For") != "192.0.2.1" || got.Header.Get("Cookie") != "a=b" {
		t.Errorf("carried as %s %v", got.Host, got.Header)
	}
	if !p.Carried(got) {
		t.Error("the signature is not accepted")
	}
	forged := got.Clone(t.Context())
	forged.URL.RawQuery = "sid=B---fedcba9876543210"
	if p.Carried(forged) {
		t.Error("a signature is accepted for another session")
	}
	stranger, err := peers.New(peers.Options{ID: "C", Secret: []byte("another secret of theirs"), Directory: peers.Static{}})
	if err != nil {
		t.Fatal(err)
	}
	if stranger.Carried(got) {
		t.Error("the signature of another secret is accepted")
	}
	hop := got.Header.Get("Sockeye-Hop")
	got.Header.Set("Sockeye-Hop", strings.Replace(hop, ";", "0;", 1))
	if p.Carried(got) {
		t.Error("a signature is accepted for another server")
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]peers.Options{
		"no directory":  {Secret: secret},
		"short secret":  {Secret: []byte("short"), Directory: peers.Static{}},
		"long id":       {ID: "ABCDE", Secret: secret, Directory: peers.Static{}},
		"id with a dot": {ID: "A.B", Secret: secret, Directory: peers.Static{}},
	} {
		if _, err := peers.New(o); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	seen := map[string]bool{}
	for range 100 {
		p, err := peers.New(peers.Options{Secret: secret, Directory: peers.Static{}})
		if err != nil {
			t.Fatal(err)
		}
		sid, err := p.GenerateID(nil)
		if err != nil || len(p.ID()) != 4 || len(sid) != 20 || !strings.HasPrefix(sid, p.ID()) || seen[sid] {
			t.Fatalf("id %q, session %q, %v", p.ID(), sid, err)
		}
		seen[sid] = true
	}
}
