package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser starts headless Chromium, or skips the test where there is none.
func browser(t testing.TB) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium on this machine (Debian: apt-get install chromium)")
	}
	opts := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	opts = append(opts, chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		chromedp.Cancel(ctx)
		cancel()
		cancelAlloc()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}

// tab is a page in the browser.
type tab struct {
	t    testing.TB
	ctx  context.Context
	name string
	open bool
}

type action = chromedp.Action[chromedp.Void]

func openTab(t testing.TB, browser context.Context, name, url string, before ...action) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithListener(func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			d := e.ExceptionDetails
			if d.Exception != nil {
				d.Text += " " + d.Exception.Description
			}
			t.Errorf("%s: %s:%d: %s", name, d.URL, d.LineNumber+1, d.Text)
		}
	}))
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, name: name}
	p.do(append(before, chromedp.Navigate(url))...)
	return p
}

func (p *tab) do(actions ...action) {
	p.t.Helper()
	// A tab's first action makes it, and must not have a deadline: that would be the tab's.
	ctx := p.ctx
	if p.open {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(p.ctx, 30*time.Second)
		defer cancel()
	}
	p.open = true
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// eval returns what a script evaluates to, as JSON.
func (p *tab) eval(script string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("JSON.stringify(("+script+")??null)"))
	if err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, script, err)
	}
	return s
}

// until waits for a script to become true.
func (p *tab) until(what, script string) {
	p.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if p.eval("!!("+script+")") == "true" {
			return
		}
	}
	p.t.Fatalf("%s: not seen: %s\nthe page says:\n%s", p.name, what, p.eval("document.body.innerText"))
}

func (p *tab) sees(text string) {
	p.t.Helper()
	quoted, _ := json.Marshal(text)
	p.until(text, "document.querySelector('main').innerText.includes("+string(quoted)+")")
}

// run executes a statement in the page.
func (p *tab) run(script string) {
	p.t.Helper()
	p.eval("(() => {" + script + "})()")
}

func (p *tab) typeInto(id, keys string) {
	p.t.Helper()
	p.do(chromedp.SendKeys(chromedp.ID(id), keys))
}

func (p *tab) say(text string) {
	p.t.Helper()
	p.typeInto("text", text)
	p.do(chromedp.Click(chromedp.ID("send")))
}

// setField fills a form field as somebody would who leaves it afterwards.
func (p *tab) setField(id, value string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`const f = document.getElementById(%q); f.focus(); f.value = %q; f.blur();`, id, value))
}

func (p *tab) rename(name string) {
	p.t.Helper()
	p.setField("myName", name)
	p.until("the name "+name, fmt.Sprintf(`sessionStorage.getItem("chat:name") === JSON.stringify(%q)`, name))
}

const connected = `document.getElementById("state").dataset.state === "up"`

func TestChatBetweenTabs(t *testing.T) {
	b := browser(t)
	for _, transport := range []string{"", "websocket", "polling", "streaming"} {
		t.Run("transport="+transport, func(t *testing.T) {
			url := startDemo(t, nil) + "/chat?transport=" + transport
			ada, bob := openTab(t, b, "Ada", url), openTab(t, b, "Bob", url)
			ada.until("connected", connected+` && document.getElementById("roomName").textContent === "lobby"`)
			bob.until("connected", connected+` && document.getElementById("roomName").textContent === "lobby"`)
			ada.rename("Ada")
			bob.rename("Bob")
			ada.sees("2 people here")
			ada.sees("is now Bob")

			ada.say("Hello there")
			bob.sees("Hello there")
			bob.typeInto("text", "I am")
			ada.sees("Bob is typing")
			bob.typeInto("text", " well"+kb.Enter)
			ada.sees("I am well")
			if s := bob.eval(`document.getElementById("text").value`); s != `""` {
				t.Errorf("after Enter there is %s in the field", s)
			}
			ada.until("the end of the typing notice", `!document.getElementById("typing").textContent`)

			bob.say(`<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>`)
			ada.sees(`<img src=x onerror="window.pwned=1">`)
			if s := ada.eval("window.pwned"); s != "null" {
				t.Errorf("a message ran as a script: %s", s)
			}
			if s := ada.eval(`document.querySelectorAll("#messages img, #messages script").length`); s != "0" {
				t.Errorf("%s elements came out of a message", s)
			}

			ada.typeInto("joinName", "Quiet Room"+kb.Enter)
			ada.until("the new room", `document.getElementById("roomName").textContent === "quiet-room"`)
			ada.say("alone")
			ada.sees("alone")
			if s := bob.eval(`document.querySelector("main").innerText.includes("alone")`); s != "false" {
				t.Error("what was said in one room was shown in another")
			}
			bob.sees("quiet-room")
			bob.say("still here?")
			ada.until("a mark at the other room", `document.querySelector("#rooms .new")?.innerText.includes("lobby")`)

			bob.do(chromedp.Navigate("about:blank"))
			ada.run(`[...document.querySelectorAll("#rooms button")].find((b) => b.innerText.includes("lobby")).click()`)
			ada.sees("still here?")
			ada.sees("Bob left")
			ada.sees("1 person here")
		})
	}
}

func TestChatOverARestart(t *testing.T) {
	b := browser(t)
	c := &serveCommand{Addr: "127.0.0.1:0", Path: "/socket.io/", Log: "error"}
	base, stop := serveUntilStopped(t, c)
	ada, bob := openTab(t, b, "Ada", base+"/chat"), openTab(t, b, "Bob", base+"/chat")
	ada.until("connected", connected)
	bob.until("connected", connected)
	ada.sees("2 people here")
	ada.say("before")
	bob.sees("before")

	stop()
	ada.until("that the connection is lost", `!(`+connected+`) && !document.getElementById("notice").hidden`)
	ada.say("meanwhile")
	ada.sees("waiting for the connection")

	u, _ := url.Parse(base)
	c.Addr = "127.0.0.1:" + u.Port()
	_, stop = serveUntilStopped(t, c)
	defer stop()
	bob.sees("meanwhile")
	ada.until("that it is connected", connected+` && document.getElementById("notice").hidden`)
	bob.say("after")
	ada.sees("after")
	for _, p := range []*tab{ada, bob} {
		if s := p.eval(`document.querySelector("main").innerText.split("meanwhile").length - 1`); s != "1" {
			t.Errorf("%s sees the message %s times", p.name, s)
		}
		p.sees("The server was restarted")
	}
}

// A connection that breaks is recovered: what was said meanwhile arrives, once, and the others saw who was away.
func TestChatOverABrokenConnection(t *testing.T) {
	b := browser(t)
	base := startDemo(t, nil)
	wire := newCutter(t, strings.TrimPrefix(base, "http://"))
	ada, bob := openTab(t, b, "Ada", wire.url+"/chat"), openTab(t, b, "Bob", base+"/chat")
	ada.until("connected", connected)
	bob.until("connected", connected)
	ada.rename("Ada")
	bob.sees("is now Ada")
	bob.say("before")
	ada.sees("before")

	wire.cut(true)
	ada.until("that the connection is lost", `!(`+connected+`)`)
	// The list of people is in a drawer at this width: there, if not seen.
	bob.until("Ada away", `document.getElementById("people").textContent.includes("reconnecting")`)
	bob.say("meanwhile")
	bob.sees("meanwhile")
	wire.cut(false)
	ada.sees("meanwhile")
	bob.until("Ada back", `!document.getElementById("people").textContent.includes("reconnecting")`)
	ada.say("after")
	bob.sees("after")
	for _, p := range []*tab{ada, bob} {
		if s := p.eval(`document.querySelector("main").innerText.split("meanwhile").length - 1`); s != "1" {
			t.Errorf("%s sees the message %s times", p.name, s)
		}
	}
	if s := bob.eval(`/Ada (left|joined)/.test(document.querySelector("main").innerText)`); s != "false" {
		t.Error("a connection that was recovered looked like one who left and came again")
	}
}

// cutter carries connections to an address, and can cut and refuse them.
type cutter struct {
	url string

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	off   bool
}

func newCutter(t *testing.T, to string) *cutter {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{url: "http://" + ln.Addr().String(), conns: map[net.Conn]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil || !c.add(in, out) {
				in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				running.Go(func() {
					io.Copy(way[0], way[1])
					in.Close()
					out.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		ln.Close()
		c.cut(true)
		running.Wait()
	})
	return c
}

func (c *cutter) add(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		if c.off {
			conn.Close()
		} else {
			c.conns[conn] = struct{}{}
		}
	}
	return !c.off
}

// cut closes every connection and refuses new ones; cut(false) lets them through again.
func (c *cutter) cut(off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
	if off {
		for conn := range c.conns {
			conn.Close()
		}
		clear(c.conns)
	}
}

// laneReport is a lane in what the page's lab.report() returns.
type laneReport struct {
	ID        string
	Label     string
	Connected bool
	P50, P99  *float64
	UpP50     *float64 `json:"upP50"`
	UpP99     *float64 `json:"upP99"`
	Rate      float64
	Requests  float64
	Missing   int
	Down, Up  *struct{ Up, Down float64 }
	Measured  float64 `json:"measuredMs"`
}

func (p *tab) lanes() map[string]laneReport {
	p.t.Helper()
	var report struct{ Lanes []laneReport }
	if err := json.Unmarshal([]byte(p.eval("lab.report()")), &report); err != nil {
		p.t.Fatal(err)
	}
	lanes := map[string]laneReport{}
	for _, l := range report.Lanes {
		lanes[l.ID] = l
	}
	return lanes
}

// turn sets a control of the lab.
func (p *tab) turn(name, value string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`
		const f = document.querySelectorAll('#controls [name=%q]');
		for (const i of f) i.checked = i.type === "checkbox" ? %q === "on" : i.value === %q;
		f[0].dispatchEvent(new Event("change", { bubbles: true }));`, name, value, value))
}

// every is a script that is true when each lane named has the property.
func every(lanes, property string) string {
	return fmt.Sprintf(`window.lab && lab.report().lanes.filter((l) => %q.split(" ").includes(l.id)).every((l) => %s)`, lanes, property)
}

const delivering = `l.connected && l.rate > 0 && l.p50 != null && l.down && l.up && l.measuredMs > 2500`

func TestLab(t *testing.T) {
	p := openTab(t, browser(t), "lab", startDemo(t, nil)+"/lab")
	p.until("figures in every lane", every("short long streaming sse websocket", delivering))
	total := func(c *struct{ Up, Down float64 }) float64 { return c.Up + c.Down }
	lanes := p.lanes()
	for id, l := range lanes {
		t.Logf("%-10s %5.1f msg/s  %5.1f req/s  p50 %.1f ms  down %.0f B  up %.0f B", id, l.Rate, l.Requests, *l.P50, total(l.Down), total(l.Up))
		if l.Missing > 0 {
			t.Errorf("%s: %d messages are missing", id, l.Missing)
		}
	}
	ws := lanes["websocket"]
	if ws.Requests != 0 {
		t.Errorf("the WebSocket lane made %.1f requests a second", ws.Requests)
	}
	if d := total(ws.Down); d < 40 || d > 200 {
		t.Errorf("a message of 32 bytes cost %.0f bytes down a WebSocket", d)
	}
	if total(lanes["long"].Down) < 3*total(lanes["streaming"].Down) {
		t.Errorf("long-polling costs %.0f bytes a message, streaming %.0f", total(lanes["long"].Down), total(lanes["streaming"].Down))
	}
	if total(lanes["streaming"].Up) < 3*total(ws.Up) {
		t.Errorf("a message to the server costs %.0f bytes with streaming, %.0f over WebSocket", total(lanes["streaming"].Up), total(ws.Up))
	}
	p.until("a verdict", `document.querySelectorAll("#reasons li").length > 1`)
	p.until("what the client chose", `document.getElementById("picked").textContent === "WebSocket"`)

	p.turn("blockUpgrade", "on")
	p.until("WebSocket refused", every("websocket", "!l.connected"))
	p.until("the others going on", every("short long streaming sse", delivering))
	p.until("the client choosing another", `["Long-polling", "Streaming"].includes(document.getElementById("picked").textContent)`)

	p.turn("blockUpgrade", "off")
	p.turn("buffer", "on")
	p.until("streaming held back", every("streaming sse", `l.rate === 0 && l.state === "down"`))
	p.until("polling and WebSocket going on", every("long websocket", delivering))

	p.turn("buffer", "off")
	p.turn("delay", "100")
	p.until("everything back, with the latency", every("long streaming sse websocket", delivering+" && l.p50 >= 100"))

	p.do(chromedp.Click(chromedp.ID("pause")))
	p.until("a pause", `document.getElementById("pause").textContent === "Continue"`)
	p.do(chromedp.Click(chromedp.ID("pause")))
	p.until("everything back after a pause", every("short long streaming sse websocket", delivering))
}

// Two labs in one browser would take each other's connections, so the newer one runs.
func TestLabInTwoTabs(t *testing.T) {
	b := browser(t)
	url := startDemo(t, nil) + "/lab"
	first := openTab(t, b, "first", url)
	first.until("a message", every("websocket", "l.rate > 0"))
	second := openTab(t, b, "second", url)
	second.until("a message", every("websocket", "l.rate > 0"))
	first.sees("runs in another tab")
	second.until("one visit", `document.getElementById("sVisits").textContent === "1"`)

	first.do(chromedp.Click(chromedp.CSS("#notice button")))
	second.sees("runs in another tab")
	first.until("a message again", every("websocket", "l.rate > 0"))
}

func TestFrontPage(t *testing.T) {
	p := openTab(t, browser(t), "front page", startDemo(t, nil))
	p.until("connected", connected)
	p.until("a round trip", `document.getElementById("rtt").textContent.includes("ms")`)
	p.until("the server's numbers", `Number(document.getElementById("sessions").textContent) > 0`)
	p.until("what was tried", `document.getElementById("tried").innerText.includes("connected in")`)
}

// With another path than the usual one, pages and lab work as well.
func TestOtherPath(t *testing.T) {
	url := startDemo(t, func(c *serveCommand) { c.Path = "/realtime/v1" })
	b := browser(t)
	openTab(t, b, "chat", url+"/chat").until("connected", connected)
	openTab(t, b, "lab", url+"/lab").until("a message", every("websocket", "l.rate > 0"))
}

// The chat's contract, spoken by the stock client.
func TestChatWithTheStockClient(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no Node.js on this machine (Debian: apt-get install nodejs npm)")
	}
	modules := os.Getenv("SOCKEYE_STOCK_CLIENT")
	if modules == "" {
		modules = "../../web/node_modules"
	}
	if _, err := os.Stat(modules + "/socket.io-client/package.json"); err != nil {
		t.Skipf("no socket.io-client in %s: npm ci, in web, or set SOCKEYE_STOCK_CLIENT to a node_modules folder", modules)
	}
	url := startDemo(t, nil)
	for _, transport := range []string{"polling", "websocket", "polling,websocket"} {
		t.Run(transport, func(t *testing.T) {
			cmd := exec.Command(node, "testdata/stock-chat.cjs", url, transport)
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
