package socketio_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

const once = `{"once":"abcdefghijklmnopqrst-_"}`

// repeatsSite is a site with DropRepeats whose handlers count.
func repeatsSite(t *testing.T, opts *socketio.RepeatsOptions, recovery *socketio.RecoveryOptions) (*site, chan string) {
	t.Helper()
	st := serve(t, &socketio.Options{Recovery: recovery})
	handled := make(chan string, 100)
	st.io.Use(socketio.DropRepeats(opts))
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("pay", func(ctx context.Context, m *socketio.Message) error {
			handled <- string(m.Raw(0))
			return m.Ack(m.Raw(0), []byte{7})
		})
		event.New[string]("typed").On(s, func(ctx context.Context, v string) error { handled <- v; return nil })
		s.On("raw", func(ctx context.Context, m *socketio.Message) error { handled <- "raw"; return nil })
		s.On("fails", func(ctx context.Context, m *socketio.Message) error {
			handled <- "fails"
			return event.Errorf("no", "no")
		})
	})
	echoes(st.io)
	return st, handled
}

// took returns what was handled until now. The peer's earlier events have been.
func took(p *peer, handled chan string) string {
	p.sync()
	var all []string
	for len(handled) > 0 {
		all = append(all, <-handled)
	}
	return strings.Join(all, " ")
}

func TestRepeatsAreDropped(t *testing.T) {
	st, handled := repeatsSite(t, nil, nil)
	p := st.connect()
	p.join("/", once)
	send := func(p *peer, text string, want ...string) {
		t.Helper()
		p.send(text)
		for _, w := range want {
			p.expect(w)
		}
	}
	paid := []string{`461-0[1,{"_placeholder":true,"num":0}]`, "b:\x07"}
	send(p, `420["pay",1]`, paid...)
	send(p, `420["pay",1]`, paid...)
	if got := took(p, handled); got != "1" {
		t.Errorf("handled %q", got)
	}
	q := st.connect()
	q.join("/", once)
	send(q, `420["pay",1]`, paid...)
	send(q, `421["typed","x"]`, `431[]`)
	send(q, `421["typed","x"]`, `431[]`)
	send(q, `422["raw"]`, `432[]`)
	send(q, `422["raw"]`, `432[]`)
	failure := `433[{"error":{"code":"no","message":"no"}}]`
	send(q, `423["fails"]`, failure)
	send(q, `423["fails"]`, failure)
	// What the first connection still had on its way is older.
	send(p, `420["pay",1]`)
	send(p, `422["raw"]`)
	if before := p.sync(); len(before) > 0 {
		t.Errorf("old repeats are answered: %q", before)
	}
	// Neither asks for an acknowledgement nor counts up.
	send(p, `42["raw"]`)
	send(p, `424503599627370496["typed","y"]`, `434503599627370496[]`)
	if got := took(p, handled); got != "x raw fails raw y" {
		t.Errorf("handled %q", got)
	}
}

// The client did not hear of the answer, or the answer came when it was on another connection already.
func TestRepeatOfWhatIsBeingHandled(t *testing.T) {
	for name, recovery := range map[string]*socketio.RecoveryOptions{"": nil, "with recovery": {}} {
		t.Run(name, func(t *testing.T) {
			st, _ := repeatsSite(t, nil, recovery)
			release, began := make(chan struct{}), make(chan struct{}, 10)
			st.io.OnConnection(func(s *socketio.Socket) {
				s.On("slow", func(ctx context.Context, m *socketio.Message) error {
					began <- struct{}{}
					<-release
					return m.Ack("done")
				})
			})
			p := st.connect()
			p.join("/", once)
			p.send(`420["slow"]`)
			receive(t, began)
			p.close()
			q := st.connect()
			q.join("/", once)
			q.send(`420["slow"]`)
			q.sync() // it has been read: the next one is the last
			r := st.connect()
			r.join("/", once)
			r.send(`420["slow"]`)
			r.sync() // the repeat has been read
			close(release)
			r.expect(`430["done"]`)
			r.send(`420["slow"]`)
			r.expect(`430["done"]`)
			if n := len(began); n > 0 {
				t.Errorf("handled %d times more", n)
			}
		})
	}
}

// A client that recovers its session passes no middlewares.
func TestRepeatAfterRecovery(t *testing.T) {
	st, handled := repeatsSite(t, nil, &socketio.RecoveryOptions{})
	p := st.connect()
	p.send("40" + once)
	_, pid, _ := strings.Cut(p.next(), `"pid":"`)
	pid, _, _ = strings.Cut(pid, `"`)
	p.send(`420["raw"]`)
	p.expect(`430[]`)
	p.close()
	for range 2 {
		q := st.connect()
		q.send(`40{"pid":"` + pid + `",` + once[1:])
		if reply := q.next(); !strings.Contains(reply, pid) {
			t.Fatalf("not recovered: %s", reply)
		}
		q.send(`420["raw"]`)
		q.expect(`430[]`)
		if len(handled) != 1 {
			t.Errorf("handled %d times", len(handled))
		}
		q.close()
	}
}

// Nor does one that recovers it on another server, where no client has passed them yet.
func TestRepeatAfterRecoveryElsewhere(t *testing.T) {
	hub := new(adapter.LogHub)
	var sites []*site
	handled := make(chan string, 10)
	for _, name := range []string{"a", "b"} {
		st := serve(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{}, Adapter: hub.Adapter})
		st.io.Use(socketio.DropRepeats(nil))
		st.io.OnConnection(func(s *socketio.Socket) {
			s.On("raw", func(ctx context.Context, m *socketio.Message) error { handled <- name; return nil })
		})
		sites = append(sites, st)
	}
	p := sites[0].connect()
	p.send("40" + once)
	_, pid, _ := strings.Cut(p.next(), `"pid":"`)
	pid, _, _ = strings.Cut(pid, `"`)
	p.send(`420["raw"]`)
	p.expect(`430[]`)
	p.close()
	q := sites[1].connect()
	q.send(`40{"pid":"` + pid + `",` + once[1:])
	if reply := q.next(); !strings.Contains(reply, pid) {
		t.Fatalf("not recovered: %s", reply)
	}
	for range 2 {
		q.send(`421["raw"]`)
		q.expect(`431[]`)
	}
	if n := len(handled); n != 2 {
		t.Errorf("handled %d times, want once on each server", n)
	}
}

func TestRepeatOfWhatWasNotHandled(t *testing.T) {
	st, handled := repeatsSite(t, nil, nil)
	in, out := make(chan struct{}), make(chan struct{})
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("kick", func(ctx context.Context, m *socketio.Message) error {
			close(in)
			<-out
			s.Disconnect(false)
			return nil
		})
		s.On("listen", func(ctx context.Context, m *socketio.Message) error {
			s.On("new", func(ctx context.Context, m *socketio.Message) error { handled <- "new"; return nil })
			return nil
		})
	})
	p := st.connect()
	p.join("/", once)
	// Nobody listens.
	p.send(`420["new"]`)
	if before := p.sync(); len(before) > 0 {
		t.Errorf("acknowledged: %q", before)
	}
	p.send(`42["listen"]`)
	p.send(`420["new"]`)
	p.expect(`430[]`)
	// The socket is disconnected with the event in its queue.
	st.io.Of("/b").OnConnection(func(s *socketio.Socket) {
		s.On("read", func(ctx context.Context, m *socketio.Message) error { return m.Ack() })
	})
	p.join("/b", "")
	p.send(`42["kick"]`)
	receive(t, in)
	p.send(`421["pay",1]`)
	p.send(`42/b,0["read"]`)
	p.expect(`43/b,0[]`)
	close(out)
	p.expect(`41`)
	p.join("/", once)
	p.send(`421["pay",1]`)
	if got := p.next(); !strings.HasPrefix(got, `461-1[1,`) {
		t.Fatalf("received %q", got)
	}
}

func TestRepeatsConcernNobodyElse(t *testing.T) {
	st, handled := repeatsSite(t, nil, nil)
	for _, auth := range []string{
		``, `{}`, `{"once":7}`, `{"once":""}`, `{"once":"abcdefghijklmnopqrst-="}`, `{"once":"abcdefghijklmnopqrst-_u"}`,
	} {
		p := st.connect()
		p.join("/", auth)
		p.send(`425["raw"]`)
		p.send(`425["raw"]`)
		p.send(`420["raw"]`)
		if before := p.sync(); len(before) > 0 {
			t.Errorf("%s: acknowledged: %q", auth, before)
		}
		if got := took(p, handled); got != "raw raw raw" {
			t.Errorf("%s: handled %q", auth, got)
		}
	}
	// The same name in another namespace is another client.
	st.io.Of("/b").Use(socketio.DropRepeats(nil))
	st.io.Of("/b").OnConnection(func(s *socketio.Socket) {
		s.On("raw", func(ctx context.Context, m *socketio.Message) error { return m.Ack("b") })
	})
	p := st.connect()
	p.join("/", once)
	p.join("/b", once)
	p.send(`425["raw"]`)
	p.expect(`435[]`)
	p.send(`42/b,0["raw"]`)
	p.expect(`43/b,0["b"]`)
}

func TestRepeatsUnanswered(t *testing.T) {
	st, _ := repeatsSite(t, &socketio.RepeatsOptions{Unanswered: true}, nil)
	later := make(chan *socketio.Message, 10)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("later", func(ctx context.Context, m *socketio.Message) error { later <- m; return nil })
	})
	p := st.connect()
	p.join("/", once)
	p.send(`420["later"]`)
	m := receive(t, later)
	p.send(`420["later"]`)
	if before := p.sync(); len(before) > 0 || len(later) > 0 {
		t.Errorf("acknowledged: %q", before)
	}
	m.Ack("now")
	p.expect(`430["now"]`)
	p.send(`420["later"]`)
	p.expect(`430["now"]`)
}

func TestRepeatsLimits(t *testing.T) {
	names := []string{"aaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccc"}
	for _, test := range []struct {
		name string
		opts socketio.RepeatsOptions
		want []string // of those whose repeat is handled again
	}{
		{"clients", socketio.RepeatsOptions{MaxClients: 2}, names[:1]},
		{"bytes", socketio.RepeatsOptions{MaxBytes: 350}, names[:1]},
		{"one answer is too large", socketio.RepeatsOptions{MaxBytes: 1}, names},
		{"nothing", socketio.RepeatsOptions{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			st, handled := repeatsSite(t, &test.opts, nil)
			var peers []*peer
			for _, name := range names {
				p := st.connect()
				p.join("/", `{"once":"`+name+`"}`)
				peers = append(peers, p)
				p.send(`420["raw"]`)
				p.expect(`430[]`)
				<-handled
			}
			var again []string
			for i, p := range slices.Backward(peers) { // so that a new entry forgets none that is looked at later
				p.send(`420["raw"]`)
				p.expect(`430[]`)
				if len(handled) > 0 {
					<-handled
					again = append(again, names[i])
				}
			}
			slices.Reverse(again)
			if !slices.Equal(again, test.want) {
				t.Errorf("handled again: %v, want %v", again, test.want)
			}
		})
	}
}

func TestRepeatsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, nil)
		defer stop()
		n := 0
		st.io.Use(socketio.DropRepeats(&socketio.RepeatsOptions{MaxAge: time.Hour}))
		st.io.OnConnection(func(s *socketio.Socket) {
			s.On("e", func(ctx context.Context, m *socketio.Message) error { n++; return nil })
		})
		for _, test := range []struct {
			name  string
			after time.Duration
			want  int
		}{{"a", 0, 1}, {"a", 59 * time.Minute, 1}, {"a", 59 * time.Minute, 1}, {"b", time.Hour + time.Minute, 2}, {"a", 0, 3}} {
			time.Sleep(test.after)
			p := st.connect()
			p.join("/", `{"once":"`+strings.Repeat(test.name, 22)+`"}`)
			p.send(`420["e"]`)
			p.expect(`430[]`)
			if n != test.want {
				t.Errorf("%+v: handled %d times", test, n)
			}
			p.close()
		}
	})
}

// A handler of a typed event can't answer, so its return does.
func TestTypedEventIsAcknowledged(t *testing.T) {
	st, _ := repeatsSite(t, nil, nil)
	p := st.join()
	p.send(`427["typed","x"]`)
	p.expect(`437[]`)
	p.send(`428["typed",1]`)
	p.expect(`438[{"error":{"code":"bad_request","message":"argument 0 is not what is expected"}}]`)
	p.send(`42["typed","x"]`)
	if before := p.sync(); len(before) > 0 {
		t.Errorf("answered %q", before)
	}
}
