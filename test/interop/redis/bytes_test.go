package redis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// A recorder keeps what is published, whoever does it.
type recorder struct {
	t      *testing.T
	client *goredis.Client
	fences int

	mu  sync.Mutex
	got []string
}

func record(t *testing.T, addr string) *recorder {
	t.Helper()
	r := &recorder{t: t, client: goredis.NewClient(&goredis.Options{Addr: addr, Network: "unix"})}
	conn, err := net.Dial("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); line != "+OK\r\n" {
		t.Fatal(line, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			r.take(strings.TrimSpace(line))
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
		_ = r.client.Close()
	})
	return r
}

// take notes a line of MONITOR that is a PUBLISH or SPUBLISH: the time, in brackets the client, and the words in quotes.
func (r *recorder) take(line string) {
	_, line, _ = strings.Cut(line, "] ")
	var words []string
	for line != "" {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return
		}
		words, line = append(words, word), strings.TrimPrefix(line[len(quoted):], " ")
	}
	if len(words) == 3 && strings.HasSuffix(strings.ToUpper(words[0]), "PUBLISH") {
		r.mu.Lock()
		r.got = append(r.got, strings.ToUpper(words[0])+" "+address.ReplaceAllString(words[1], "$1#")+" "+neutral(words[2]))
		r.mu.Unlock()
	}
}

var names = regexp.MustCompile(`"(uid|requestId)":"[^"]*"`)

// address is the channel of one server: what is for all has nothing or a room at the end.
var address = regexp.MustCompile(`^(socket\.io(?:-response)?#/#)(?:[0-9a-zA-Z_-]{6}|[0-9a-f]{16})#$`)

// neutral returns a text without the names of servers and requests.
func neutral(text string) string {
	if strings.HasPrefix(text, "\x93\xa6") { // an array of the server's name, a packet and options
		return text[:2] + text[8:]
	}
	if before, after, ok := strings.Cut(text, "\xa3uid"); ok { // a map
		return before + after[1+after[0]&0x1f:]
	}
	return names.ReplaceAllString(text, `"$1":""`)
}

// since returns what has been published since the last call, of which there must be n.
func (r *recorder) since(n int) []string {
	r.t.Helper()
	r.fences++
	var got []string
	kit.Eventually(r.t, fmt.Sprint(n, " publications"), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.got) >= n
	})
	fence := fmt.Sprint("PUBLISH fence ", r.fences)
	if err := r.client.Publish(context.Background(), "fence", r.fences).Err(); err != nil {
		r.t.Fatal(err)
	}
	kit.Eventually(r.t, "the fence", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		i := slices.Index(r.got, fence)
		if i < 0 {
			return false
		}
		got, r.got = r.got[:i], r.got[i+1:]
		return true
	})
	return got
}

// TestBytes compares what the Node adapter publishes for an operation with what ours publishes, byte by byte.
func TestBytes(t *testing.T) {
	for _, m := range modes {
		if m.name == "ClassicNodeSpecific" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			c := &cluster{t: t, addr: startRedis(t)}
			o := m.options
			o.Redis = goredis.UniversalOptions{Addrs: []string{c.addr}}
			o.Logger = slog.New(slog.DiscardHandler)
			broker, err := redis.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = broker.Close() })
			var factory adapter.Factory
			if factory = broker.Classic(); m.sharded {
				factory = broker.Sharded()
			}
			c.io = socketio.NewServer(&socketio.Options{Adapter: factory})
			t.Cleanup(func() { c.io.Close() })
			c.io.OnServerSide("told", func(_ context.Context, m *socketio.Message) error {
				if m.WantsAck() {
					return m.Ack("x")
				}
				return nil
			})
			options := map[string]any{"redis": c.addr, "library": "redis", "sharded": m.sharded, "name": "x"}
			for k, v := range m.node {
				options[k] = v
			}
			if m.options.SpecificResponses {
				options["specific"] = true
			}
			c.nodes = []*node{startNode(t, options)}
			kit.Eventually(t, "both servers know of each other", func() bool {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				n, err := c.io.Of("/").Servers(ctx)
				return err == nil && n == 2
			})
			c.compare(t, record(t, c.addr))
		})
	}
}

func (c *cluster) compare(t *testing.T, r *recorder) {
	const id = "abcdefghij0123456789"
	for _, x := range []struct {
		what string
		n    int // publications, with answers
		o    operation
		// The order of the fields of some JSON object is another, which nobody reads in order.
		fields bool
	}{
		{"emit", 1, operation{Op: "emit", Event: "ev"}, false},
		{"emit values", 1, operation{Op: "emit", Event: "ev", Args: []any{1, -7, 2.5, 300, 70_000, "ünïcødé 🙂", nil, true, []any{}, map[string]any{"a": []any{1}}}}, false},
		{"emit long text", 1, operation{Op: "emit", Event: "ev", Args: []any{strings.Repeat("x", 40), strings.Repeat("y", 300), strings.Repeat("z", 70_000)}}, false},
		{"emit binary", 1, operation{Op: "emit", Event: "ev", Args: []any{binary(1, 2, 255), binary()}}, false},
		{"emit to a room", 1, operation{Op: "emit", Event: "ev", Rooms: []string{"room"}}, false},
		{"emit to a socket", 1, operation{Op: "emit", Event: "ev", Rooms: []string{id}}, false},
		{"emit to rooms", 1, operation{Op: "emit", Event: "ev", Rooms: []string{"a", "b"}}, false},
		{"emit except", 1, operation{Op: "emit", Event: "ev", Except: []string{"a", "b"}}, false},
		{"emit to a room except", 1, operation{Op: "emit", Event: "ev", Rooms: []string{"a"}, Except: []string{"b"}}, false},
		{"volatile", 1, operation{Op: "emit", Event: "ev", Volatile: true}, false},
		{"join", 1, operation{Op: "join", Rooms: []string{"a"}, Args: []any{"b", "c"}}, false},
		{"leave", 1, operation{Op: "leave", Except: []string{"a"}, Args: []any{"b"}}, false},
		{"disconnect", 1, operation{Op: "disconnect", Rooms: []string{"a"}}, false},
		{"disconnect and close", 1, operation{Op: "disconnect", Rooms: []string{id}, Close: true}, false},
		{"fetch", 2, operation{Op: "fetch"}, true},
		{"tell", 1, operation{Op: "tell", Args: []any{"x", 1}}, false},
		{"tell and ask", 2, operation{Op: "tellack", Args: []any{"x"}}, true},
	} {
		node := c.published(r, 1, x.o, x.n)
		ours := c.published(r, 0, x.o, x.n)
		if x.fields {
			node, ours = sorted(t, node), sorted(t, ours)
		}
		if !slices.Equal(node, ours) {
			t.Errorf("%s:\nNode published %.600q\nGo published   %.600q", x.what, node, ours)
		}
	}
}

// sorted returns publications of JSON with the fields of objects in the order of the alphabet.
func sorted(t *testing.T, list []string) []string {
	t.Helper()
	list = slices.Clone(list)
	for i, text := range list {
		words := strings.SplitN(text, " ", 3)
		var v any
		if err := json.Unmarshal([]byte(words[2]), &v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = words[0] + " " + words[1] + " " + string(data)
	}
	return list
}

// published performs an operation on a server and returns what is published then.
func (c *cluster) published(r *recorder, from int, o operation, n int) []string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	switch {
	case from > 0:
		c.nodes[from-1].do(o, nil)
	case o.Op == "emit":
		c.emit(0, o)
	case o.Op == "fetch":
		_, err = c.io.Of("/").Sockets(ctx)
	case o.Op == "tell":
		err = c.io.ServerSideEmit("told", goArgs(o.Args)...)
	case o.Op == "tellack":
		_, err = c.io.ServerSideEmitWithAck(ctx, "told", goArgs(o.Args)...)
	default:
		c.from(c.t.(*testing.T), 0, o)
	}
	if err != nil {
		c.t.Errorf("%s: %v", o.Op, err)
	}
	return r.since(n)
}
