package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A console is a real pseudo-terminal with the command in it.
type console struct {
	t   *testing.T
	cmd *exec.Cmd
	tty *os.File
	out *screen
	end chan struct{}
}

func openConsole(t *testing.T, cmd *exec.Cmd) *console {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there are no pseudo-terminals of this kind on Windows")
	}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, cmd: cmd, tty: tty, out: newScreen(), end: make(chan struct{})}
	go func() {
		io.Copy(c.out, tty) // until the process is gone: Linux says EIO then
		close(c.end)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		tty.Close()
		<-c.end
		cmd.Wait() // again, mostly
	})
	return c
}

func (c *console) press(keys string) { io.WriteString(c.tty, keys) }
func (c *console) typed(line string) { c.press(line + "\r") }

// sees waits for a text, whatever its colours.
func (c *console) sees(pattern string) string { c.t.Helper(); return c.out.waitFor(c.t, pattern) }

// plain is what was on the screen, without colours.
func (c *console) plain() string {
	return regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]").ReplaceAllString(c.out.String(), "")
}

func (c *console) exit() int {
	c.t.Helper()
	select {
	case <-c.end:
	case <-time.After(60 * time.Second):
		c.t.Fatalf("it does not end:\n%q", c.out)
	}
	c.cmd.Wait()
	noEscapes(c.t, c.out.String())
	return c.cmd.ProcessState.ExitCode()
}

func TestConnect(t *testing.T) {
	p := startPeer(t, nil)
	cmd := command(t, "connect", p.addr, "--auth", `{"token":"secret-token"}`)
	c := openConsole(t, cmd)
	c.sees("connected over websocket")
	c.sees("/> ") // from then on keys come one by one

	c.typed(`echo {"a":[1,true,null]} word "two words"`)
	c.sees(`←\S* \S*echo\S* .*"a"`)
	c.sees(`"two words"`)
	c.sees("\x1b\\[36m1\x1b\\[0m") // a number in colour

	c.typed(`/ack echo 42`)
	c.sees(`✓\S* \S*echo.* answered in [0-9.]+[µm]?s.*42`)
	c.typed(`/ack fail`)
	c.sees(`it is \\u001b\]0;owned`)
	c.typed(`attack`)
	c.sees(`evil \\u001b\]0;owned`)
	c.sees(`000000.*  1b 5d 30 3b 6f 77 6e 65  64 07 1b 5b 32 4a 1b 5b  \.\]0;owned\.\.\[2J\.\[`)

	c.typed(`say {"a":tru}`)
	c.sees(`this is not JSON`)
	if !strings.Contains(c.plain(), "/> say {\"a\":tru}\r\n"+strings.Repeat(" ", len("/> say {\"a\":tru"))+"^") {
		t.Errorf("the mark is not below the column:\n%q", c.plain())
	}
	c.typed(`/nothing`)
	c.sees("there is no /nothing")

	c.typed("ask")
	number := c.sees(`wants an answer: /answer (#\d+)`)
	c.typed("/answer " + number + " 7")
	c.sees("answered\x1b\\[0m 7|answered\\S* \\S*7")
	c.typed("/answer 8")
	c.sees("no event waits for an answer")

	file := filepath.Join(t.TempDir(), "picture")
	if err := os.WriteFile(file, []byte(strings.Repeat("\x00\xffabc", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.typed("/binary echo " + file)
	c.sees("<500 bytes>")
	c.sees("… 244 more bytes")

	c.typed("/ns room")
	c.sees("in /room, id ")
	c.sees("/room> ")
	c.typed("echo there")
	c.sees(`/room\S* \S*echo\S* \S*"there"`)
	c.typed("/ns private")
	c.sees("/private refuses: not you")
	c.typed("/ns /room")
	c.typed("/ns")
	c.sees(`\* \S*/room\S*  \S*joined`)
	c.typed("/leave private")
	c.typed("/leave")
	c.sees("left /room")
	c.typed("/ns /")

	c.typed("/listen number")
	c.typed("numbers 2")
	c.sees(`number\S* \S*1`)
	c.typed("/listen")
	c.sees("every event is shown")
	c.typed("/transport")
	c.sees(`connect  websocket .*ok`)
	c.typed("/help")
	c.sees("EVENT FILE")

	// Completion: of commands, of names seen, and a list where there are several.
	c.press("/tr\t")
	c.sees("/transport $")
	c.press("\x15") // Ctrl+U
	c.press("numb\t")
	c.sees(`number$`)
	c.press("\t")
	c.sees("number  numbers")
	c.press("e\x15ec\tdone\r")
	c.sees(`echo\S* \S*"done"`)

	// History: the arrow brings the last line back.
	c.typed("echo again")
	c.sees(`←.*"again"`)
	c.press("\x1b[A!\r")
	c.sees(`"again!"`)

	c.typed(" echo not-kept")
	c.typed("echo secret-token")
	c.sees(`←.*"secret-token"`)

	// The server goes and comes back.
	p.stop()
	c.sees(`connection lost: transport \w+.*attempt 1 in [0-9.]+`)
	c.typed("echo meanwhile")
	c.sees("it is sent when there is a connection")
	c.sees(`\(reconnecting\)> `)
	p.start(t, p.addr, nil)
	c.typed("/retry")
	c.sees("connected again over websocket")
	c.sees(`←.*"meanwhile"`)

	c.typed("kick")
	c.sees("disconnected from /: io server disconnect; /retry")
	c.typed("echo lost")
	c.sees("/ is not joined")
	c.typed("/retry")
	c.sees(`connected again[^~]*connected again`)

	c.typed("/quit")
	if code := c.exit(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, c.plain())
	}

	var state string
	for _, v := range cmd.Env {
		if dir, ok := strings.CutPrefix(v, "XDG_STATE_HOME="); ok {
			state = dir
		}
	}
	name := filepath.Join(state, "sockeye", "history")
	kept, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if s := string(kept); !strings.Contains(s, "echo again!\n") || strings.Contains(s, "secret-token") || strings.Contains(s, "not-kept") {
		t.Errorf("the history is\n%s", s)
	}
	again := command(t, "connect", p.addr)
	again.Env = cmd.Env
	c = openConsole(t, again)
	c.sees("/> ") // from then on keys come one by one
	c.press("\x1b[A\x1b[A\x1b[A\x1b[A")
	c.sees("kick")
	c.press("\x03") // Ctrl+C
	if code := c.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestConnectEnds(t *testing.T) {
	p := startPeer(t, nil)
	for name, keys := range map[string]string{"Ctrl+C": "echo\x03", "Ctrl+D": "\x04", "/quit": "/quit\r"} {
		c := openConsole(t, command(t, "connect", p.addr, "--no-history"))
		c.sees("/> ") // from then on keys come one by one
		c.press(keys)
		if code := c.exit(); code != exitOK {
			t.Errorf("%s: exit code %d", name, code)
		}
		p.arrived(t, "/", 0)
	}
	c := openConsole(t, command(t, "connect", p.addr, "--no-reconnect", "--color", "never"))
	c.sees("/> ") // from then on keys come one by one
	p.stop()
	c.sees("sockeye: disconnected: transport")
	if code := c.exit(); code != exitError || regexp.MustCompile(`\x1b\[[0-9;]*m`).MatchString(c.out.String()) {
		t.Errorf("exit code %d: %q", code, c.out)
	}
	// The terminal echoes and breaks lines again, which it does not while it is edited on.
	if s := c.out.String(); !strings.HasSuffix(s, "\r\n") {
		t.Errorf("%q", s)
	}
	p.start(t, p.addr, nil)

	c = openConsole(t, command(t, "connect", p.addr+"/private"))
	c.sees(`refused the namespace /private: not you \\u001b`)
	if code := c.exit(); code != exitConnect {
		t.Errorf("exit code %d", code)
	}
}

func TestConnectResizes(t *testing.T) {
	p := startPeer(t, nil)
	c := openConsole(t, command(t, "connect", p.addr, "--color=never"))
	c.sees("/> ") // from then on keys come one by one
	c.typed(`echo {"name":"a value that takes some room","other":"and another one"}`)
	c.sees(`← echo \{"name": "a value that takes some room", "other": "and another one"\}`)
	if err := pty.Setsize(c.tty, &pty.Winsize{Rows: 40, Cols: 50}); err != nil {
		t.Fatal(err)
	}
	until(t, "several lines", func() bool {
		c.typed(`echo {"name":"a value that takes some room","other":"and another one"}`)
		return strings.Contains(c.out.String(), "\"a value that takes some room\",\r\n")
	})
}

func TestConnectScript(t *testing.T) {
	p := startPeer(t, nil)
	script := `# a comment
echo {"a":1}
/wait echo

/ack echo "x"
numbers 3
/wait number
/wait number
/wait number
/wait 1ms
/ns room
echo "in a room"
/wait echo
attack
/wait "evil ` + strings.NewReplacer("\x1b", `\u001b`, "\x07", `\u0007`).Replace(hostile) + `"
last
`
	r := sockeye(t, script, "connect", p.addr)
	r.want(t, exitOK, "✓ echo answered in", "")
	for _, want := range []string{"→ echo {\"a\":1}\n", "← echo {\"a\": 1}\n", "← / number 2\n", "← /room echo \"in a room\"\n"} {
		want = strings.Replace(want, "/ number", "number", 1)
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("colours, and it is no terminal: %q", r.out)
	}
	until(t, "the last line", func() bool { h := p.hears(); return h[len(h)-1] == "last" })

	for script, want := range map[string]string{
		"echo 1\n\necho [1 2]\necho 3\n": "line 3: column 9: ",
		"/nothing":                       "line 1: column 1: there is no /nothing",
		"/ack fail":                      "line 1: fail was answered with a failure",
		"/ack silence":                   "no acknowledgement within 1s",
		"/wait godot":                    "godot did not come within 1s",
		"/ns private":                    "not you",
		"/answer 1":                      "no event waits",
		"/binary x /nowhere":             "no such file",
		"'a b'":                          "column 1: strings are in double quotes",
		"connect":                        "reserved",
	} {
		sockeye(t, script, "connect", p.addr, "--timeout", "1s").want(t, exitError, "", want)
	}
	sockeye(t, "echo 1\n", "connect", p.addr, "--color=always").want(t, exitOK, "\x1b[1mecho\x1b[0m", "")
	if got := p.hears(); strings.Contains(fmt.Sprint(got), "echo 3") {
		t.Error("a script went on after a line that failed")
	}
}
