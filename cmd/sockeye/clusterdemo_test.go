package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// A showing is a cluster demo that runs.
type showing struct {
	cmd  *exec.Cmd
	out  *screen
	keys io.Writer
	url  string
}

func showCluster(t *testing.T, args ...string) *showing {
	t.Helper()
	d := &showing{cmd: command(t, append([]string{"cluster-demo", "--addr", "127.0.0.1:0"}, args...)...), out: newScreen()}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	d.cmd.Env = append(d.cmd.Env, "TMPDIR="+t.TempDir())
	keys, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.keys = keys
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it has ended, if all is well
		_ = d.cmd.Wait()
		if t.Failed() {
			t.Logf("the demo said:\n%s", d.out)
		}
	})
	d.url = d.out.waitFor(t, `  (http://localhost:\d+)`)
	d.out.waitFor(t, `q      (stop)`)
	return d
}

func (d *showing) press(t *testing.T, key string) {
	t.Helper()
	if _, err := io.WriteString(d.keys, key); err != nil {
		t.Fatal(err)
	}
}

// ends waits until the demo has ended well, and looks for what it has left behind.
func (d *showing) ends(t *testing.T) {
	t.Helper()
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
	d.nobodyListens(t)
}

// nobodyListens fails if a server is there at an address that the demo has shown.
func (d *showing) nobodyListens(t *testing.T) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)(?:http|redis)://(?:localhost|127\.0\.0\.1)(:\d+)$`).FindAllStringSubmatch(d.out.String(), -1) {
		until(t, "nobody at "+m[1], func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1"+m[1])
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
}

// need skips the test if a program of this machine is missing.
func need(t *testing.T, name string) {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if _, err := exec.LookPath(path); err == nil {
			return
		}
	}
	t.Skipf("%s is not installed (Debian: apt-get install %[1]s)", name)
}

// While a node is killed, the chat goes on for pages and clients alike, whatever is between the servers and in front.
func TestClusterDemo(t *testing.T) {
	for _, how := range []struct{ program, args, says string }{
		{"nginx", "--balancer nginx", "embedded NATS"},
		{"redis-server", "--balancer own --redis", "Redis, redis://127.0.0.1:"},
	} {
		t.Run(how.args, func(t *testing.T) {
			need(t, how.program)
			d := showCluster(t, strings.Fields(how.args)...)
			d.out.waitFor(t, how.says)
			var visitors []*visitor
			for i, transports := range [][]string{{"polling"}, {"streaming"}, {"websocket"}, {"polling", "websocket"}} {
				visitors = append(visitors, visit(t, d.url, fmt.Sprint("V", i), transports))
			}
			last := visitors[len(visitors)-1]
			last.await(t, "everybody", func() bool { return len(last.people) == len(visitors) })
			everybodyTalks(t, visitors, "hello")

			d.press(t, "k")
			dead := d.out.waitFor(t, `killing node ([ABC])`)
			for _, v := range visitors {
				for end := time.Now().Add(longPatience); !v.join(); time.Sleep(50 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%s does not come back", v.name)
					}
				}
			}
			everybodyTalks(t, visitors, "still here")

			d.press(t, "r")
			d.out.waitFor(t, "node "+dead+" serves again")
			visitors = append(visitors, visit(t, d.url, "late", []string{"polling"}))
			everybodyTalks(t, visitors, "all three")
			d.press(t, "q")
			d.ends(t)
		})
	}
}

// The pages through the demo: messages are there once, the one who was on the node that was killed comes back to another
// one and says so, and the lab goes on.
func TestClusterDemoPages(t *testing.T) {
	b := browser(t)
	need(t, "nginx")
	d := showCluster(t)
	ada, bob := openTab(t, b, "Ada", d.url+"/chat"), openTab(t, b, "Bob", d.url+"/chat")
	node := func(p *tab) string {
		p.until("connected to a node", connected+` && /to node [ABC]$/.test(document.getElementById("state").innerText)`)
		text := strings.Trim(p.eval(`document.getElementById("state").innerText`), `"`)
		return text[len(text)-1:]
	}
	node(ada)
	node(bob)
	ada.sees("2 people here")
	ada.say("before")
	bob.sees("before")
	bob.say("yes?")
	ada.sees("yes?")

	home := node(ada)
	d.press(t, strings.ToLower(home))
	d.out.waitFor(t, "killing node "+home)
	ada.say("meanwhile")
	ada.until("another node", connected+` && !document.getElementById("state").innerText.endsWith(" `+home+`")`)
	bob.sees("meanwhile")
	ada.sees("You are on node " + node(ada) + " now")
	bob.say("after")
	ada.sees("after")
	ada.sees("2 people here")
	for _, p := range []*tab{ada, bob} {
		for _, said := range []string{"before", "yes?", "meanwhile", "after"} {
			script := fmt.Sprintf(`[...document.querySelectorAll("#messages .text")].filter((e) => e.innerText === %q).length`, said)
			if s := p.eval(script); s != "1" {
				t.Errorf("%s sees %q %s times", p.name, said, s)
			}
		}
	}

	lab := openTab(t, b, "lab", d.url+"/lab")
	lab.until("messages in every lane", every("short long streaming sse websocket", delivering))
	lab.until("its node", `["A", "B", "C"].includes(document.getElementById("sNode").textContent)`)
	home = strings.Trim(lab.eval(`document.getElementById("sNode").textContent`), `"`)
	if dead := d.out.waitFor(t, `killing node ([ABC])`); home == dead {
		t.Fatal("the lab is on the node that was killed")
	}
	d.press(t, "r")
	d.out.waitFor(t, "serves again")
	d.press(t, strings.ToLower(home))
	lab.until("another node", `document.getElementById("sNode").textContent !== "`+home+`"`)
	lab.until("messages in every lane again", every("short long streaming sse websocket", delivering))
	d.press(t, "q")
	d.ends(t)
}

// It kills a node by itself, with nobody to press keys, and ends by a signal.
func TestClusterDemoByItself(t *testing.T) {
	cmd := command(t, "cluster-demo", "--addr", "127.0.0.1:0", "--balancer", "own", "--kill-after", "10ms")
	out := newScreen()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &showing{cmd: cmd, out: out}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	out.waitFor(t, `killing node`)
	if strings.Contains(out.String(), "kill the node with") {
		t.Error("it speaks of keys that can't be pressed")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	d.ends(t)
}

// Who kills the demo itself kills all of it.
func TestClusterDemoKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system can't end processes with the one that started them")
	}
	need(t, "nginx")
	need(t, "redis-server")
	d := showCluster(t, "--redis")
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait() // says that it was killed
	d.nobodyListens(t)
}

func TestRedisWish(t *testing.T) {
	for args, want := range map[string]string{
		"":                          "",
		"--redis":                   "start",
		"--redis --kill-after 20s":  "start",
		"--kill-after 20s --redis":  "start",
		"--redis redis://h:6379":    "redis://h:6379",
		"--redis=h:6379":            "redis://h:6379",
		"--redis rediss://h:6379/1": "rediss://h:6379/1",
	} {
		var c commands
		parser := newParser(&c, streams{io.Discard, io.Discard}, func(int) {})
		if _, err := parser.Parse(append([]string{"cluster-demo"}, strings.Fields(args)...)); err != nil || string(c.ClusterDemo.Redis) != want {
			t.Errorf("%q: %q, %v, want %q", args, c.ClusterDemo.Redis, err, want)
		}
	}
	for _, args := range []string{"--redis localhost", "--balancer f5"} {
		var c commands
		parser := newParser(&c, streams{io.Discard, io.Discard}, func(int) {})
		if _, err := parser.Parse(append([]string{"cluster-demo"}, strings.Fields(args)...)); err == nil {
			t.Errorf("%q is understood", args)
		} else if _, ok := err.(*kong.ParseError); !ok {
			t.Errorf("%q: %v", args, err)
		}
	}
}
