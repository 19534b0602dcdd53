package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/test/interop/proxy"
)

var blocked = []struct {
	name string
	mode proxy.UpgradeMode
}{
	{"refused", proxy.Refuse},
	{"hanging", proxy.Hang},
	{"stripped", proxy.Strip},
	{"swallowed", proxy.Swallow},
}

// TestUpgradeBlocked puts a proxy in between that does not let WebSocket through.
func TestUpgradeBlocked(t *testing.T) {
	for _, b := range blocked {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			for name, c := range map[string]struct {
				options options
				final   string
				own     bool
			}{
				"default":       {nil, "polling", false},
				"or streaming":  {options{"transports": []string{"websocket", "streaming"}, "upgrade": false}, "streaming", true},
				"polling first": {options{"transports": []string{"polling", "websocket"}}, "polling", false},
			} {
				t.Run(name, func(t *testing.T) {
					if c.own && kit.OnNode() {
						kit.Skip(t, "the Node server has no streaming")
					}
					a := start(t, "sockeye", app.Options{})
					network := proxy.Start(t, a.Addr(), proxy.Options{Upgrade: b.mode})
					o := options{"attemptTimeout": 1000}
					for k, v := range c.options {
						o[k] = v
					}
					p := open(t, network.URL(), "Ada", o)
					p.connected(c.final)
					p.until("an attempt over WebSocket that failed",
						`socket.io.transports.some((a) => a.name === "websocket" && !a.ok && a.reason)`)
					if network.Upgrades() == 0 {
						t.Error("the client did not try")
					}
					p.works()
					p.want("seen.disconnects", "[]")
				})
			}
		})
	}
	t.Run("stock", func(t *testing.T) {
		for _, b := range blocked {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				a := start(t, "stock", app.Options{})
				network := proxy.Start(t, a.Addr(), proxy.Options{Upgrade: b.mode})
				p := open(t, network.URL(), "Ada", nil)
				p.connected("polling")
				kit.Eventually(t, "an upgrade", func() bool { return network.Upgrades() > 0 })
				p.works()
				p.want("seen.disconnects", "[]")
			})
		}
	})
}

// TestBufferingProxy puts a proxy in between that hands on a response only when it is complete.
func TestBufferingProxy(t *testing.T) {
	for name, c := range map[string]struct {
		mode    proxy.UpgradeMode
		options options
		final   string
		own     bool
	}{
		"WebSocket passes":            {proxy.Pass, nil, "websocket", false},
		"no WebSocket either":         {proxy.Refuse, nil, "polling", false},
		"streaming first":             {proxy.Refuse, options{"transports": []string{"streaming", "polling"}, "upgrade": false}, "polling", true},
		"Server-Sent Events first":    {proxy.Refuse, options{"transports": []string{"streaming", "polling"}, "upgrade": false, "eventSource": true}, "polling", true},
		"polling, then streaming":     {proxy.Refuse, options{"transports": []string{"polling", "streaming"}, "upgrade": true}, "polling", true},
		"hanging WebSocket, then all": {proxy.Hang, options{"transports": []string{"websocket", "streaming", "polling"}, "upgrade": false}, "polling", true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.own && kit.OnNode() {
				kit.Skip(t, "the Node server has no streaming")
			}
			t.Parallel()
			a := start(t, "sockeye", app.Options{})
			network := proxy.Start(t, a.Addr(), proxy.Options{Upgrade: c.mode, Buffer: true})
			o := options{"attemptTimeout": 1000}
			for k, v := range c.options {
				o[k] = v
			}
			p := open(t, network.URL(), "Ada", o)
			p.connected(c.final)
			p.works()
		})
	}
}

// TestIdleProxy puts a proxy in between that closes connections on which nothing moves. The client finds out, asks
// for a heartbeat that is fast enough, and stays connected.
func TestIdleProxy(t *testing.T) {
	if kit.OnNode() {
		kit.Skip(t, "the Node server has no heartbeat that a client can choose")
	}
	const idle = 2 * time.Second
	for name, c := range map[string]struct {
		options options
		final   string
	}{
		"websocket":   {options{"transports": []string{"websocket"}}, "websocket"},
		"polling":     {options{"transports": []string{"polling"}}, "polling"},
		"streaming":   {options{"transports": []string{"streaming"}}, "streaming"},
		"eventsource": {options{"transports": []string{"streaming"}, "eventSource": true}, "streaming"},
		"default":     {nil, "websocket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, "sockeye", app.Options{})
			network := proxy.Start(t, a.Addr(), proxy.Options{Idle: idle})
			p := open(t, network.URL(), "Ada", c.options)
			p.connected(c.final)
			// A connection that is older than three idle times, with nothing sent by the page itself, has adapted.
			p.run(`window.since = Date.now(); socket.on("connect", () => (since = Date.now()))`)
			p.until("a connection that lasts", fmt.Sprintf(`socket.connected && Date.now() - since > %d`, 3*idle.Milliseconds()))
			if network.Idled() == 0 {
				t.Error("the proxy closed nothing")
			}
			p.works()
		})
	}
}

// TestServerOffersLess has servers with a single transport.
func TestServerOffersLess(t *testing.T) {
	for _, offered := range []string{"websocket", "polling", "streaming"} {
		t.Run(offered, func(t *testing.T) {
			if offered == "streaming" && kit.OnNode() {
				kit.Skip(t, "the Node server has no streaming")
			}
			a := start(t, "sockeye", app.Options{Transports: []string{offered}})
			p := open(t, a.URL(), "Ada", options{"attemptTimeout": 1000})
			p.connected(offered)
			p.works()
			p.want("seen.disconnects", "[]")
		})
	}
	t.Run("no upgrade to what is not offered", func(t *testing.T) {
		a := start(t, "sockeye", app.Options{Transports: []string{"polling"}})
		p := open(t, a.URL(), "Ada", options{"transports": []string{"polling", "websocket"}})
		p.connected("polling")
		p.works()
		p.want(`socket.io.transports.filter((a) => a.phase === "upgrade")`, "[]")
	})
}
