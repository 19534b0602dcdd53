package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/test/interop/proxy"
)

// way is how a client may be told to reach the server, and the transport it must end on.
type way struct {
	name, client string
	options      options
	final        string
	own          bool // needs what only our server has
}

var ways = []way{
	{"sockeye/default", "sockeye", nil, "websocket", false},
	{"sockeye/websocket", "sockeye", options{"transports": []string{"websocket"}}, "websocket", false},
	{"sockeye/polling", "sockeye", options{"transports": []string{"polling"}}, "polling", false},
	{"sockeye/streaming", "sockeye", options{"transports": []string{"streaming"}}, "streaming", true},
	{"sockeye/eventsource", "sockeye", options{"transports": []string{"streaming"}, "eventSource": true}, "streaming", true},
	{"sockeye/upgrade", "sockeye", options{"transports": []string{"polling", "websocket"}}, "websocket", false},
	{"stock/default", "stock", nil, "websocket", false},
	{"stock/websocket", "stock", options{"transports": []string{"websocket"}}, "websocket", false},
	{"stock/polling", "stock", options{"transports": []string{"polling"}}, "polling", false},
}

func eachWay(t *testing.T, f func(t *testing.T, w way)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			if w.own && kit.OnNode() {
				kit.Skip(t, "the Node server has no streaming")
			}
			f(t, w)
		})
	}
}

// TestChat has two people talk to each other.
func TestChat(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		a := start(t, w.client, app.Options{})
		ada, bob := open(t, a.URL(), "Ada", w.options), open(t, a.URL(), "Bob", w.options)
		for _, p := range []*tab{ada, bob} {
			p.connected(w.final)
			p.eval(`ask("join", "lobby")`)
		}
		for _, from := range []*tab{ada, bob} {
			from.run(`document.getElementById("text").value = ""`)
			from.do(
				chromedp.SendKeys(chromedp.ID("text"), "hello from "+from.name),
				chromedp.Click(chromedp.ID("send")),
			)
			for _, p := range []*tab{ada, bob} {
				p.until("what "+from.name+" said", fmt.Sprintf(`document.getElementById("said").innerText.includes("%[1]s: hello from %[1]s")`, from.name))
			}
		}
		want := `[["Ada","hello from Ada",[1,2,3]],["Bob","hello from Bob",[1,2,3]]]`
		ada.want("seen.said", want)
		bob.want("seen.said", want)
		ada.works()
		bob.works()
		ada.want(`ask("blob", 2000000).then((b) => [b.byteLength, new Uint8Array(b)[251 * 5000 + 7]])`, "[2000000,7]")
		ada.want("seen.disconnects", "[]")
	})
}

// TestRestart ends the server under the client's feet and starts it again.
func TestRestart(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		a := start(t, w.client, app.Options{})
		p := open(t, a.URL(), "Ada", w.options)
		p.connected(w.final)
		p.works()
		a.Stop()
		p.until("the loss", `!socket.connected`)
		p.run(`socket.emit("echo", "meanwhile")`)
		if err := a.Restart(); err != nil {
			t.Fatal(err)
		}
		p.until("a new connection", `socket.connected && seen.connects.length === 2`)
		p.until("what was sent meanwhile", `seen.echoes.includes("meanwhile")`)
		p.want(`seen.connects[0].id === seen.connects[1].id`, "false")
		p.want(`["transport close", "transport error"].includes(seen.disconnects[0])`, "true")
		p.works()
	})
}

// TestRecovery cuts the client off, has it miss messages, and expects them when it is back.
func TestRecovery(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		a := start(t, w.client, app.Options{Recovery: true, PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second})
		network := proxy.Start(t, a.Addr(), proxy.Options{})
		p := open(t, network.URL(), "Ada", w.options)
		p.connected(w.final)
		bob := open(t, a.URL(), "Bob", w.options)
		bob.connected("")
		// Another namespace than the page's: it tells when the server has noticed that Ada is gone.
		bob.run(`window.admin = io("/admin")`)
		bob.until("the admin", `admin.connected`)
		p.eval(`ask("join", "kept")`)
		p.run(`socket.emit("say", "kept", "Ada", "first")`)
		p.until("the first message", `seen.said.length === 1`)
		id := p.eval("socket.id")

		network.Down()
		p.until("the loss", `!socket.connected`)
		bob.eval(`new Promise((resolve) => admin.emit("reason", ` + id + `, resolve))`)
		bob.run(`for (const text of ["a", "b", "c"]) socket.emit("say", "kept", "Bob", text)`)
		bob.want(`ask("echo", 1)`, "1")
		network.Up()

		p.until("a new connection", `socket.connected && seen.connects.length === 2`)
		p.want(`seen.connects[1]`, `{"id":`+id+`,"recovered":true}`)
		p.until("what was missed", `seen.said.length >= 4`)
		p.want(`ask("rooms")`, `["kept"]`)
		p.want(`seen.said.map((s) => s[1])`, `["first","a","b","c"]`)
	})
}

// TestStreamRotation sends more than one streaming response carries: none of it is lost, doubled or out of order.
func TestStreamRotation(t *testing.T) {
	t.Parallel()
	if kit.OnNode() {
		kit.Skip(t, "the Node server has no streaming")
	}
	for name, sse := range map[string]bool{"fetch": false, "eventsource": true} {
		t.Run(name, func(t *testing.T) {
			a := start(t, "sockeye", app.Options{})
			network := proxy.Start(t, a.Addr(), proxy.Options{})
			p := open(t, network.URL(), "Ada", options{"transports": []string{"streaming"}, "eventSource": sse})
			p.connected("streaming")
			p.run(`for (let i = 0; i < 400; i++) socket.emit("echo", i + ":" + "x".repeat(10000))`)
			p.until("400 echoes", `seen.echoes.length >= 400`)
			p.want(`ask("echo", "last")`, `"last"`)
			p.want(`seen.echoes.length === 400 && seen.echoes.every((v, i) => v === i + ":" + "x".repeat(10000))`, "true")
			p.want("seen.disconnects", "[]")
			if n := network.Streams(); n < 3 {
				t.Errorf("%d streaming responses carried 4 MB, want several", n)
			}
		})
	}
}
