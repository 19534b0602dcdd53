package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sockeye-io/sockeye/socketio"
)

func TestEmit(t *testing.T) {
	p := startPeer(t, nil)
	sockeye(t, "", "emit", p.addr, "hello", "world", "12", "012", "true", `{"a":[1,{"$base64":"AQI="}]}`, "two words", "12345678901234567890").want(t, exitOK, "", "")
	want := `hello "world" 12 "012" true {"a":[1,{"_placeholder":true,"num":0}]} "two words" 12345678901234567890`
	if got := p.hears(); !slices.Equal(got, []string{want}) {
		t.Errorf("the server heard\n%q, want\n%q", got, want)
	}

	sockeye(t, "", "emit", p.addr, "echo", `{"b":1}`, "x", "--ack").want(t, exitOK, `{"b":1} "x"`+"\n", "")
	r := sockeye(t, "", "emit", "http://"+p.addr+"/room", "echo", `{"$base64":"AP8="}`, "--ack", "--json")
	r.want(t, exitOK, `"event":"echo","ok":true`, "")
	var answer struct {
		OK   bool
		MS   float64
		Args []any
	}
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil || !answer.OK || answer.MS <= 0 || fmt.Sprint(answer.Args) != "[map[$base64:AP8=]]" {
		t.Errorf("%v: %+v", err, answer)
	}

	sockeye(t, "", "emit", p.addr, "fail", "--ack").want(t, exitCheck, "", `it is \u001b]0;owned`)
	sockeye(t, "", "emit", p.addr, "fail", "--ack", "--json").want(t, exitCheck, `"ok":false`, "")
	sockeye(t, "", "emit", p.addr, "silence", "--ack", "--timeout", "1s").want(t, exitCheck, "", "no acknowledgement within 1s")
	sockeye(t, "", "emit", p.addr, "connect").want(t, exitError, "", "not sent")
	sockeye(t, "", "emit", p.addr, "kick", "--ack").want(t, exitCheck, "", "lost before the acknowledgement")
	sockeye(t, "1\n2\n", "emit", p.addr, "kick", "-", "--ack").want(t, exitError, "", "io server disconnect")
}

func TestEmitLines(t *testing.T) {
	p := startPeer(t, nil)
	sockeye(t, "1\n\n{\"a\":2}\n\"three\"\n", "emit", p.addr, "line", "before", "-").want(t, exitOK, "", "")
	sockeye(t, "[1\n\n\x1b[2J", "emit", p.addr, "text", "-", "--text").want(t, exitOK, "", "")
	want := []string{`line "before" 1`, `line "before" {"a":2}`, `line "before" "three"`, `text "[1"`, `text ""`, `text "\u001b[2J"`}
	until(t, "the lines", func() bool { return len(p.hears()) >= len(want) })
	if got := p.hears(); !slices.Equal(got, want) {
		t.Errorf("the server heard\n%q, want\n%q", got, want)
	}

	r := sockeye(t, "1\n{]\n3\n", "emit", p.addr, "bad", "-")
	r.want(t, exitError, "", "line 2, column 2: this is not JSON")
	if got := p.hears(); got[len(got)-1] != "bad 1" {
		t.Errorf("what came before the bad line was not sent: %q", got)
	}

	r = sockeye(t, `{"event":"echo","args":["a"]}`+"\n"+`{"event":"fail"}`+"\n"+`{"event":"echo","args":["b"],"time":"x"}`, "emit", p.addr, "-", "--ack")
	r.want(t, exitCheck, "\"a\"\n\"b\"\n", "line 2: fail: it is")
}

// More than any buffer of the client has room for, in order, everything.
func TestEmitMuch(t *testing.T) {
	p := startPeer(t, &socketio.Options{})
	const lines, size = 3000, 4000
	var in strings.Builder
	for i := range lines {
		fmt.Fprintf(&in, "{\"n\":%d,\"s\":%q}\n", i, strings.Repeat("x", size))
	}
	sockeye(t, in.String(), "emit", p.addr, "much", "-").want(t, exitOK, "", "")
	until(t, "all lines", func() bool { return len(p.hears()) == lines })
	for i, text := range p.hears() {
		if !strings.HasPrefix(text, fmt.Sprintf(`much {"n":%d,`, i)) {
			t.Fatalf("event %d is %.40s", i, text)
		}
	}
}

// What is read while the server is away is sent when it is back; if it stays away, that is said.
func TestEmitOverARestart(t *testing.T) {
	p := startPeer(t, nil)
	cmd, in, _, errOut := running(t, "emit", p.addr, "line", "-", "--timeout", "20s")
	fmt.Fprintln(in, 1)
	until(t, "the first line", func() bool { return len(p.hears()) == 1 })
	p.stop()
	errOut.waitFor(t, "not connected .*trying again in")
	fmt.Fprintln(in, 2)
	p.start(t, p.addr, nil)
	fmt.Fprintln(in, 3)
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, errOut)
	}
	errOut.waitFor(t, "connected again")
	until(t, "three lines", func() bool { return len(p.hears()) == 3 })
	if got := p.hears(); !slices.Equal(got, []string{"line 1", "line 2", "line 3"}) {
		t.Errorf("the server heard %q", got)
	}

	cmd, in, _, errOut = running(t, "emit", p.addr, "line", "-", "--timeout", "1s")
	defer in.Close()
	fmt.Fprintln(in, 4)
	until(t, "another line", func() bool { return slices.Contains(p.hears(), "line 4") })
	p.stop()
	errOut.waitFor(t, "not connected .*trying again in")
	fmt.Fprintln(in, 5)
	if cmd.Wait(); cmd.ProcessState.ExitCode() != exitError {
		t.Errorf("%v", cmd.ProcessState)
	}
	errOut.waitFor(t, "line 2 .*not sent")
}

func TestInterruptedEmit(t *testing.T) {
	p := startPeer(t, nil)
	cmd, in, _, errOut := running(t, "emit", p.addr, "line", "-")
	defer in.Close()
	fmt.Fprintln(in, 1)
	until(t, "the line", func() bool { return len(p.hears()) == 1 })
	cmd.Process.Signal(syscall.SIGINT)
	if cmd.Wait(); cmd.ProcessState.ExitCode() != exitError {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
	errOut.waitFor(t, "interrupted")
}

func TestClientFlags(t *testing.T) {
	p := startPeer(t, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "auth.json")
	headers := filepath.Join(dir, "headers")
	for name, text := range map[string]string{file: "{\"token\":\"from-a-file\"}\n", headers: "# mine\nX-One: 1\n\nX-Two: 2\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("MY_AUTH", `{"token":"from-a-variable"}`)
	for i, auth := range []string{`{"token":"typed"}`, "@" + file, "env:MY_AUTH"} {
		sockeye(t, "", "emit", p.addr, "x", "--auth", auth).want(t, exitOK, "", "")
		want := []string{"typed", "from-a-file", "from-a-variable"}[i]
		if got, _ := p.visit(i); got != `{"token":"`+want+`"}` {
			t.Errorf("--auth %s: the server got %s", auth, got)
		}
	}
	t.Setenv("SOCKEYE_AUTH", `{"token":"by-default"}`)
	sockeye(t, "", "emit", ":"+p.addr[strings.LastIndexByte(p.addr, ':')+1:], "x", "-H", "@"+headers, "-H", "X-Three: 3, 4", "-b", "a=1", "--cookie", "b=2",
		"--to", "room", "-t", "polling", "--query", "q=1").want(t, exitOK, "", "")
	auth, h := p.visit(3)
	if auth != `{"token":"by-default"}` || h.Get("X-One")+h.Get("X-Two")+h.Get("X-Three") != "123, 4" || h.Get("Cookie") != "a=1; b=2" {
		t.Errorf("%s %v", auth, h)
	}

	for _, c := range []struct{ args, want string }{
		{"--auth [1]", "is not a JSON object"},
		{"--auth {secret-token", "is not a JSON object"},
		{"--auth @/nowhere", "no such file"},
		{"--auth env:NOT_SET_AT_ALL", "not set"},
		{"--header secret-token", "NAME: VALUE"},
		{"--cookie secret-token", "NAME=VALUE"},
		{"--ca " + file, "no certificate"},
		{"--ca /nowhere", "no such file"},
		{"--timeout 0s", "--timeout"},
		{"--transport pigeon", "--transport"},
	} {
		args := append([]string{"emit", p.addr, "x"}, strings.Fields(c.args)...)
		r := sockeye(t, "", args...)
		r.want(t, exitUsage, "", c.want)
		if strings.Contains(r.out+r.err, "secret-token") {
			t.Errorf("%s: a credential is in %q", c.args, r.err)
		}
	}
	for url, want := range map[string]string{
		"ftp://x":                  "http, https, ws and wss",
		"http://":                  "no host",
		"http://a:99999/":          "ports go from 1 to 65535",
		"http://a b/":              "can't be understood",
		"x:1/api/socket.io":        "--path /api/socket.io/",
		"http://u:secret-token@[/": "can't be understood",
	} {
		r := sockeye(t, "", "emit", url, "x")
		r.want(t, exitUsage, "", want)
		if strings.Contains(r.err, "secret-token") {
			t.Errorf("%s: a credential is in %q", url, r.err)
		}
	}
	sockeye(t, "", "emit", p.addr, "say", `{"a":tru}`).want(t, exitUsage, "", "argument 1, column 9")
	sockeye(t, "", "emit", p.addr+"/private", "x").want(t, exitConnect, "", `refused the namespace /private: not you \u001b]0;owned`)
}

func TestCredentialsAreNotWritten(t *testing.T) {
	p := startPeer(t, nil)
	addr := p.addr
	p.stop()
	p.stop = func() {}
	for _, command := range []string{"emit", "listen", "connect"} {
		args := []string{command, "http://me:secret-password@" + addr + "?key=secret-key", "--auth", `{"deep":[{"token":"secret-token"}]}`,
			"-H", "Authorization: Bearer secret-bearer", "-b", "session=secret-cookie", "--query", "t=secret-query", "--timeout", "2s", "--debug"}
		if command == "emit" {
			args = append(args, "x")
		}
		r := sockeye(t, "", args...)
		r.want(t, exitConnect, "", "can't connect to http://"+addr)
		if strings.Contains(r.out+r.err, "secret") {
			t.Errorf("%s wrote a credential:\n%s", command, r.out+r.err)
		}
	}
}
