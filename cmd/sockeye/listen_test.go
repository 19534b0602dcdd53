package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sockeye-io/sockeye/socketio"
)

// arrived waits until n clients are there, and returns the server to emit to.
func (p *peer) arrived(t testing.TB, namespace string, n int) *socketio.Namespace {
	t.Helper()
	ns := p.io.Of(namespace)
	until(t, fmt.Sprintf("%d clients", n), func() bool { return ns.Len() == n })
	return ns
}

func TestListen(t *testing.T) {
	p := startPeer(t, nil)
	cmd, _, out, errOut := running(t, "listen", p.addr+"/room", "--json", "--count", "3", "-e", "news", "-e", "evil "+hostile, "--answer", `{"ok":true}`)
	room := p.arrived(t, "/room", 1)
	room.Emit("other", 1)
	room.Emit("news", "hello", 12345678901234567, []byte{0, 255}, map[string]any{"n": nil})
	room.Emit("evil "+hostile, hostile)
	acks, err := room.EmitWithAck(t.Context(), "news")
	if err != nil || len(acks) != 1 || string(acks[0].Raw(0)) != `{"ok":true}` {
		t.Errorf("%v, answered with %v", err, acks)
	}
	room.Emit("news", "too late")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, errOut)
	}
	errOut.waitFor(t, "connected to "+p.addr+", namespace /room, over websocket")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%q", lines)
	}
	for i, want := range []string{
		`"namespace":"/room","event":"news","args":["hello",12345678901234567,{"$base64":"AP8="},{"n":null}],"ack":false}`,
		`\ufffd`, `"event":"news","args":[],"ack":true}`,
	} {
		if i != 1 && !strings.Contains(lines[i], want) {
			t.Errorf("no %s in %s", want, lines[i])
		}
		noEscapes(t, lines[i])
	}
	var evil struct {
		Event string
		Args  []string
	}
	if err := json.Unmarshal([]byte(lines[1]), &evil); err != nil || evil.Event != "evil "+hostile || !slices.Equal(evil.Args, []string{hostile}) {
		t.Errorf("%v: %+q", err, evil)
	}
}

func TestListenEnds(t *testing.T) {
	p := startPeer(t, nil)
	sockeye(t, "", "listen", p.addr, "--duration", "50ms").want(t, exitOK, "", "")
	sockeye(t, "", "listen", p.addr, "--duration", "50ms", "--count", "1").want(t, exitCheck, "", "0 of 1")
	sockeye(t, "", "listen", p.addr+"/nothing").want(t, exitConnect, "", "refused the namespace /nothing: Invalid namespace")
	sockeye(t, "", "listen", p.addr, "--answer", "{").want(t, exitUsage, "", "not finished")
	sockeye(t, "", "listen", p.addr, "--count=-1").want(t, exitUsage, "", "negative")

	for _, c := range []struct {
		args string
		code int
	}{{"", exitOK}, {"--count 5", exitCheck}} {
		cmd, _, _, _ := running(t, append([]string{"listen", p.addr, "-q"}, strings.Fields(c.args)...)...)
		p.arrived(t, "/", 1)
		cmd.Process.Signal(syscall.SIGINT)
		if cmd.Wait(); cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("listen %s, after Ctrl+C: %v", c.args, cmd.ProcessState)
		}
		p.arrived(t, "/", 0)
	}

	cmd, _, _, errOut := running(t, "listen", p.addr, "-q")
	p.arrived(t, "/", 1).DisconnectSockets(false)
	if cmd.Wait(); cmd.ProcessState.ExitCode() != exitError {
		t.Errorf("sent away by the server: %v", cmd.ProcessState)
	}
	errOut.waitFor(t, "io server disconnect")

	cmd, _, _, errOut = running(t, "listen", p.addr, "-q", "--no-reconnect")
	p.arrived(t, "/", 1)
	p.stop()
	if cmd.Wait(); cmd.ProcessState.ExitCode() != exitError {
		t.Errorf("without a server: %v", cmd.ProcessState)
	}
	errOut.waitFor(t, "disconnected: transport")
	p.start(t, p.addr, nil)
}

// As "| head -1" does.
func TestListenToAClosedPipe(t *testing.T) {
	p := startPeer(t, nil)
	cmd := command(t, "listen", p.addr)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errOut := newScreen()
	cmd.Stderr = errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ns := p.arrived(t, "/", 1)
	ns.Emit("one", 1)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.Contains(line, "one 1") {
		t.Fatalf("%v %q", err, line)
	}
	stdout.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	until(t, "the end", func() bool {
		ns.Emit("more", 2)
		return ns.Len() == 0
	})
	if err := <-ended; err != nil {
		t.Errorf("%v: %s", err, errOut)
	}
}

func TestListenOverARestart(t *testing.T) {
	p := startPeer(t, nil)
	cmd, _, out, errOut := running(t, "listen", p.addr, "--json", "--count", "2")
	p.arrived(t, "/", 1).Emit("before")
	out.waitFor(t, `"before"`)
	p.stop()
	errOut.waitFor(t, `not connected \(transport .*\), trying again in \d`)
	p.start(t, p.addr, nil)
	errOut.waitFor(t, "connected again over websocket")
	p.arrived(t, "/", 1).Emit("after")
	out.waitFor(t, `"after"`)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestListenAndEmitAreAPipe(t *testing.T) {
	from, to := startPeer(t, nil), startPeer(t, nil)
	listen := command(t, "listen", from.addr, "--json", "--count", "3", "-q")
	emit := command(t, "emit", to.addr, "-")
	pipe, err := listen.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	emit.Stdin = pipe
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	if err := emit.Start(); err != nil {
		t.Fatal(err)
	}
	ns := from.arrived(t, "/", 1)
	ns.Emit("a", 1, "x")
	ns.Emit("b "+hostile, []byte("binary"))
	ns.Emit("c")
	if err := emit.Wait(); err != nil {
		t.Error(err)
	}
	if err := listen.Wait(); err != nil {
		t.Error(err)
	}
	until(t, "three events", func() bool { return len(to.hears()) == 3 })
	if got := to.hears(); got[0] != `a 1 "x"` || got[1] != "b "+hostile+` {"_placeholder":true,"num":0}` || got[2] != "c" {
		t.Errorf("%q", got)
	}
}

func TestListenMsgpack(t *testing.T) {
	p := startPeer(t, &socketio.Options{Format: socketio.Msgpack})
	cmd, _, out, _ := running(t, "listen", p.addr, "--json", "--count", "1", "--msgpack")
	p.arrived(t, "/", 1)
	sockeye(t, "", "emit", p.addr, "echo", `{"a":[1,2.5,null,{"$base64":"AQI="}]}`, "x", "--msgpack", "--ack").want(t, exitOK, `{"a":[1,2.5,null,{"$base64":"AQI="}]} "x"`, "")
	p.arrived(t, "/", 1).Emit("news", 1)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	out.waitFor(t, `"args":\[1\]`)
}
