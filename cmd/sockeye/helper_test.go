package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// hostile is what a terminal must never get: it would change its title, clear it, and answer as if somebody had typed.
const hostile = "\x1b]0;owned\x07\x1b[2J\x1b[6n\u009b31m\u202egnp.exe"

// A peer is a server to talk to: it answers, keeps what it hears, and can be stopped and started again.
type peer struct {
	addr string
	io   *socketio.Server

	mu    sync.Mutex
	heard []string // the event and its arguments, as JSON
	auth  []string
	http  []http.Header

	stop func()
}

func startPeer(t testing.TB, opts *socketio.Options) *peer {
	t.Helper()
	p := &peer{}
	p.start(t, "127.0.0.1:0", opts)
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *peer) start(t testing.TB, addr string, opts *socketio.Options) {
	t.Helper()
	var ln net.Listener
	var err error
	for range 200 { // the kernel may hold the port of a server that was stopped for a moment
		if ln, err = net.Listen("tcp", addr); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	io := socketio.NewServer(opts)
	for _, name := range []string{"/", "/room"} {
		ns := io.Of(name)
		ns.Use(func(ctx context.Context, s *socketio.Socket) error {
			var auth jsontext.Value
			if err := s.Auth(&auth); err != nil {
				auth = nil
			}
			p.mu.Lock()
			p.auth = append(p.auth, string(auth))
			p.http = append(p.http, s.Handshake().Header())
			p.mu.Unlock()
			return nil
		})
		ns.OnConnection(func(s *socketio.Socket) { p.welcome(s) })
	}
	io.Of("/private").Use(func(context.Context, *socketio.Socket) error {
		return event.Errorf("no", "not you %s", hostile)
	})
	server := &http.Server{Handler: io}
	served := make(chan struct{})
	go func() { server.Serve(ln); close(served) }()
	p.addr, p.io = ln.Addr().String(), io
	p.stop = func() {
		io.Close()
		server.Close()
		<-served
	}
}

func (p *peer) welcome(s *socketio.Socket) {
	s.OnAny(func(_ context.Context, m *socketio.Message) error {
		text := m.Event()
		for i := range m.Len() {
			text += " " + string(m.Raw(i))
		}
		p.mu.Lock()
		p.heard = append(p.heard, text)
		p.mu.Unlock()
		return nil
	})
	s.On("echo", func(_ context.Context, m *socketio.Message) error {
		args, err := m.Args()
		if err != nil {
			return err
		}
		if m.WantsAck() {
			return m.Ack(args...)
		}
		return s.Emit("echo", args...)
	})
	s.On("fail", func(context.Context, *socketio.Message) error { return event.Errorf("broken", "it is %s", hostile) })
	s.On("attack", func(context.Context, *socketio.Message) error {
		return s.Emit("evil "+hostile, hostile, map[string]any{hostile: []any{hostile}}, []byte(hostile))
	})
	s.On("numbers", func(_ context.Context, m *socketio.Message) error {
		var n int
		if err := m.Bind(&n); err != nil {
			return err
		}
		for i := range n {
			if err := s.Emit("number", i); err != nil {
				return err
			}
		}
		return nil
	})
	s.On("ask", func(ctx context.Context, m *socketio.Message) error {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			ack, err := s.EmitWithAck(ctx, "question", "how many?")
			if err == nil {
				s.Emit("answered", ack.Raw(0))
			}
		}()
		return nil
	})
	s.On("kick", func(context.Context, *socketio.Message) error { s.Disconnect(false); return nil })
}

func (p *peer) hears() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.heard...)
}

// visit returns what a client came with.
func (p *peer) visit(i int) (auth string, header http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.auth[i], p.http[i]
}

// until waits for something to become true.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not seen: %s", what)
		}
	}
}

// A result is how the command ended.
type result struct {
	code     int
	out, err string
}

// command is the binary itself.
func command(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SOCKEYE_TEST_MAIN=1", "XDG_STATE_HOME="+t.TempDir(), "TERM=xterm", "NO_COLOR=")
	return cmd
}

// sockeye runs the command to its end.
func sockeye(t testing.TB, input string, args ...string) result {
	t.Helper()
	cmd := command(t, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errOut
	return finish(t, cmd.Run(), cmd, &out, &errOut)
}

func finish(t testing.TB, err error, cmd *exec.Cmd, out, errOut *bytes.Buffer) result {
	t.Helper()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	r := result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
	for _, text := range []string{r.out, r.err} {
		noEscapes(t, text)
	}
	return r
}

// noEscapes fails if a text has what the hostile server sends in it.
func noEscapes(t testing.TB, text string) {
	t.Helper()
	for _, bad := range []string{"\x1b]", "\x07", "\x1b[2J", "\x1b[6n", "\u009b", "\u202e"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q got through: %q", bad, text)
		}
	}
}

func (r result) want(t testing.TB, code int, out, errOut string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.out, out) || !strings.Contains(r.err, errOut) {
		t.Errorf("exit code %d, want %d\nstandard output, which must have %q:\n%s\nstandard error, which must have %q:\n%s",
			r.code, code, out, r.out, errOut, r.err)
	}
}

// running starts the command and returns its input and what it writes.
func running(t testing.TB, args ...string) (cmd *exec.Cmd, in io.WriteCloser, out, errOut *screen) {
	t.Helper()
	cmd = command(t, args...)
	out, errOut = newScreen(), newScreen()
	cmd.Stdout, cmd.Stderr = out, errOut
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, in, out, errOut
}
