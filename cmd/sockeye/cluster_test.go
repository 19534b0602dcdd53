package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/chat"
	"github.com/sockeye-io/sockeye/event"
)

// longPatience is more than the ping timeout, after which the last clients notice that a server is gone.
const longPatience = 90 * time.Second

// A process is a server of a cluster.
type process struct {
	cmd  *exec.Cmd
	out  *screen
	url  *url.URL
	nats string // where others join
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	args = append([]string{"serve", "--addr", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"}, args...)
	p := &process{cmd: exec.Command(os.Args[0], args...), out: newScreen()}
	p.cmd.Env = append(os.Environ(), "SOCKEYE_TEST_MAIN=1", "SOCKEYE_CLUSTER_SECRET=sixteen bytes or more")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have been already
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("a server said:\n%s", p.out)
		}
	})
	p.nats = p.out.waitFor(t, `(nats://\S+)`)
	var err error
	if p.url, err = url.Parse(p.out.waitFor(t, `(http://\S+)`)); err != nil {
		t.Fatal(err)
	}
	return p
}

// balance sends every request to the next server that is there.
func balance(t *testing.T, processes []*process) string {
	transport := &http.Transport{}
	var turn atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range processes {
			target := processes[int(turn.Add(1))%len(processes)].url
			conn, err := net.Dial("tcp", target.Host)
			if err != nil {
				continue
			}
			conn.Close()
			proxy := &httputil.ReverseProxy{
				Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host },
				Transport:     transport,
				FlushInterval: -1,
				ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
			}
			proxy.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		transport.CloseIdleConnections()
	})
	return front.URL
}

var (
	chatJoin = event.NewCall[map[string]string, chat.Joined]("join")
	chatSay  = event.NewCall[map[string]string, chat.Message]("say")
)

// A visitor of the chat comes back by itself, as the page does.
type visitor struct {
	name string
	s    *client.Socket

	mu     sync.Mutex
	heard  []string
	joined bool
	people []chat.User
	told   []string // when it joined: what the room remembers
}

func visit(t *testing.T, front, name string, transports []string) *visitor {
	t.Helper()
	c, err := client.New(front, &client.Options{
		Transports: transports,
		Reconnect:  client.ReconnectOptions{Delay: 50 * time.Millisecond, MaxDelay: 500 * time.Millisecond},
		Auth: func(context.Context) (any, error) {
			return map[string]string{"name": name, "key": "key of " + name}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	v := &visitor{name: name, s: c.Of("/chat")}
	v.s.On("message", func(_ context.Context, m *client.Message) error {
		var said chat.Message
		if err := m.Bind(&said); err != nil {
			return err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.heard = append(v.heard, said.From.Name+": "+said.Text)
		return nil
	})
	v.s.OnDisconnect(func(client.Reason, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.joined = false
	})
	v.s.OnConnect(func() { go v.join() })
	v.s.Open()
	v.await(t, "join", func() bool { return v.joined })
	return v
}

func (v *visitor) join() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	reply, err := chatJoin.Call(ctx, v.s, map[string]string{"room": "lobby"})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.joined = err == nil
	v.people = reply.Members
	v.told = nil
	for _, m := range reply.History {
		v.told = append(v.told, m.From.Name+": "+m.Text)
	}
	return v.joined
}

func (v *visitor) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(longPatience); ; time.Sleep(5 * time.Millisecond) {
		v.mu.Lock()
		ok := done()
		heard := slices.Clone(v.heard)
		v.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s waits for %s in vain; heard %q", v.name, what, heard)
		}
	}
}

// everybodySays has everybody say something.
func everybodySays(t *testing.T, visitors []*visitor, text string) {
	t.Helper()
	for _, v := range visitors {
		// A connection may be lost only now that went through a server that is gone. Then it is said again, as the page
		// does, under the same key.
		for end := time.Now().Add(longPatience); ; time.Sleep(50 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			_, err := chatSay.Call(ctx, v.s, map[string]string{"room": "lobby", "text": text, "key": text})
			cancel()
			if err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v", v.name, err)
			}
			v.join()
		}
	}
}

// everybodyJoins has everybody be in the room, whether he had to come back or not.
func everybodyJoins(t *testing.T, visitors []*visitor) {
	t.Helper()
	for _, v := range visitors {
		for end := time.Now().Add(longPatience); !v.join(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s does not come back", v.name)
			}
		}
	}
}

// everybodyTalks has everybody say something that all others must hear, once.
func everybodyTalks(t *testing.T, visitors []*visitor, text string) {
	t.Helper()
	everybodySays(t, visitors, text)
	for _, v := range visitors {
		for _, from := range visitors {
			if from == v {
				continue
			}
			// Who comes back to the server that has not yet noticed that he was lost has a number after his name.
			want, also := from.name+": "+text, from.name+" 2: "+text
			v.await(t, want, func() bool { return slices.Contains(v.heard, want) || slices.Contains(v.heard, also) })
		}
		v.mu.Lock()
		seen := map[string]bool{}
		for _, line := range v.heard {
			if seen[line] {
				t.Errorf("%s heard %q twice", v.name, line)
			}
			seen[line] = true
		}
		v.mu.Unlock()
	}
}

// Three servers behind a balancer that sends every request to the next are one chat, for clients of every transport; and
// when one is killed the others go on.
func TestCluster(t *testing.T) {
	first := startProcess(t, "--node-id", "A")
	processes := []*process{first, startProcess(t, "--cluster", first.nats), startProcess(t, "--cluster", first.nats)}
	front := balance(t, processes)
	var visitors []*visitor
	for i, transports := range [][]string{
		{"polling"}, {"streaming"}, {"websocket"}, {"polling", "websocket"}, {"polling"}, {"websocket"}, {"websocket"},
	} {
		visitors = append(visitors, visit(t, front, fmt.Sprint("V", i), transports))
	}
	last := visitors[len(visitors)-1]
	last.await(t, "everybody", func() bool { return len(last.people) == len(visitors) })
	everybodyTalks(t, visitors, "hello")
	labThrough(t, front)

	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait() // says that it was killed
	lost := 0
	for _, v := range visitors {
		if !v.s.Connected() {
			lost++
		}
	}
	t.Logf("%d of %d visitors have noticed at once", lost, len(visitors))
	everybodyJoins(t, visitors)
	everybodyTalks(t, visitors, "still here")
	// Everybody is there, and nobody of the server that was killed who has not come back.
	for end := time.Now().Add(longPatience); ; time.Sleep(200 * time.Millisecond) {
		last.join()
		last.mu.Lock()
		people := last.people
		last.mu.Unlock()
		extra := 0
		for _, u := range people {
			if strings.HasSuffix(u.Name, " 2") {
				extra++
			}
		}
		all := len(people) <= len(visitors)+extra
		for _, v := range visitors {
			all = all && slices.ContainsFunc(people, func(u chat.User) bool { return u.ID == v.s.ID() })
		}
		if all {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the room has %v", people)
		}
	}
}

// labThrough opens the lab, and sessions on one of its lanes: all of it is on one of the servers.
func labThrough(t *testing.T, front string) {
	t.Helper()
	c, err := client.New(front, &client.Options{Transports: []string{"polling"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lanes := make(chan map[string]string, 1)
	s := c.Of("/lab")
	s.Once("visit", func(_ context.Context, m *client.Message) error {
		var notice struct{ Lanes map[string]string }
		err := m.Bind(&notice)
		lanes <- notice.Lanes
		return err
	})
	s.Open()
	select {
	case paths := <-lanes:
		for range 6 {
			status, body, _ := get(t, front+paths["long"]+"socket.io/?EIO=4&transport=polling")
			if status != http.StatusOK || !strings.Contains(body, "sid") {
				t.Errorf("a lane of the lab: %d %.80q", status, body)
			}
		}
	case <-time.After(60 * time.Second):
		t.Error("the lab does not open")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestClusterFlags(t *testing.T) {
	t.Setenv("SOCKEYE_CLUSTER_SECRET", "")
	for args, want := range map[string]string{
		"--cluster nats://a:1": "SOCKEYE_CLUSTER_SECRET",
		"--cluster-secret 0123456789abcdef --redis redis://a:1 --cluster nats://a:1":            "choose one",
		"--cluster-secret 0123456789abcdef --redis redis://:secret@a:x":                         "the URL of Redis is wrong",
		"--cluster-secret 0123456789abcdef --cluster a":                                         "nats://HOST:PORT",
		"--cluster-secret 0123456789abcdef --cluster-listen 127.0.0.1":                          "HOST:PORT",
		"--cluster-secret 0123456789abcdef --cluster-listen 127.0.0.1:0 --node-url a":           "--node-url",
		"--cluster-secret 0123456789abcdef --cluster-listen 127.0.0.1:0 --node-id too-long-one": "up to 4 characters",
	} {
		out := newScreen()
		code := run(append([]string{"serve", "--addr", "127.0.0.1:0"}, strings.Fields(args)...), streams{out, out})
		if code == exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d, no %q in %s", args, code, want, out)
		}
	}
}
