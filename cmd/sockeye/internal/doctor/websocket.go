package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// What to write into proxies for WebSocket.
var (
	nginxUpgrade = []string{
		"nginx, in http { … }:",
		"    map $http_upgrade $connection_upgrade { default upgrade; '' close; }",
		"and in the location of the Socket.IO server:",
		"    proxy_http_version 1.1;",
		"    proxy_set_header Host $http_host;",
		"    proxy_set_header Upgrade $http_upgrade;",
		"    proxy_set_header Connection $connection_upgrade;",
	}
	apacheUpgrade = []string{"Apache: a2enmod proxy_wstunnel, and ProxyPass … upgrade=websocket"}
)

// examineWebSocket opens one directly, and one as the upgrade of a session on polling.
func (x *exam) examineWebSocket(ctx context.Context, s *Step) {
	x.websocket.tried = true
	offered := x.open == nil || slices.Contains(x.open.Upgrades, "websocket")
	if !x.direct(ctx, s, offered) {
		return
	}
	x.websocket.works = true
	if !x.polling.works {
		s.say("works directly; the upgrade from polling was not tried, since polling doesn't work")
		if x.lost {
			x.websocket.upgrades = false
		}
		return
	}
	if !offered {
		s.say("works directly; the server doesn't offer it as an upgrade from polling")
		return
	}
	if x.probe(ctx, s) {
		x.websocket.upgrades = true
		s.say("works directly and as an upgrade from polling")
	}
}

// direct is a WebSocket from the beginning.
func (x *exam) direct(ctx context.Context, s *Step, offered bool) bool {
	c, a, err := x.dialWebSocket(ctx, ask{}, nil)
	if err != nil {
		s.evidence("WebSocket: %v", err)
		if isSilence(err) {
			s.problem("upgrade-silent", "A request for WebSocket gets no answer, ordinary requests do.",
				"A proxy holds requests with an Upgrade header. Have it pass them, or have clients use polling only.").config(nginxUpgrade...)
			return false
		}
		s.problem("upgrade-failed", "A request for WebSocket fails: "+err.Error()+".",
			"Something between here and the server doesn't take requests with an Upgrade header: a proxy, a firewall, a virus scanner. https gets through where http doesn't.")
		return false
	}
	if c == nil {
		s.evidence("%v", a)
		x.refusedUpgrade(s, a, offered)
		return false
	}
	defer c.close()
	x.cookies = append(x.cookies, (&http.Response{Header: a.header}).Cookies()...)
	s.evidence("%s %s → 101 in %s", a.method, a.target, ms(a.took))
	return x.speak(ctx, s, c)
}

// speak takes the open packet and joins the namespace: a 101 alone doesn't mean that anything gets through.
func (x *exam) speak(ctx context.Context, s *Step, c *wsConn) bool {
	first, err := c.next(ctx, x.opts.Timeout)
	if err != nil {
		s.evidence("after the 101: %v", err)
		x.deadWebSocket(s, err, "nothing comes through it")
		return false
	}
	h := handshake{}
	if !strings.HasPrefix(first, "0") || json.Unmarshal([]byte(first[1:]), &h) != nil || h.SID == "" {
		s.evidence("first message: %s", excerpt(first))
		s.problem("not-engineio", "There is a WebSocket, but its first message is not of Engine.IO 4.", "Is another WebSocket server at this path?")
		return false
	}
	x.secrets.add(h.SID)
	x.learn(h)
	s.evidence("the handshake came through it")
	sent := time.Now()
	if err := c.send(x.connectPacket()); err != nil {
		x.deadWebSocket(s, err, "nothing can be sent through it")
		return false
	}
	for {
		m, err := c.next(ctx, x.opts.Timeout)
		if err != nil {
			s.evidence("after the CONNECT: %v", err)
			x.joinErrors = append(x.joinErrors, "WebSocket: "+err.Error())
			answered := slices.ContainsFunc(x.joins, func(j joining) bool { return j.over == "polling" })
			if answered {
				x.deadWebSocket(s, err, "what is sent through it is not answered, over polling it is")
				return false
			}
			// What goes up can't be told from what the application ignores; the CONNECT step says so.
			s.say("works, as far as the handshake")
			return true
		}
		if j, ok := x.readJoining(m); ok {
			j.over = "WebSocket"
			x.joins = append(x.joins, j)
			s.evidence("a message there and back took %s", ms(time.Since(sent)))
			x.measure(ctx, c)
			return true
		}
	}
}

// measure takes round trips by pings of WebSocket.
func (x *exam) measure(ctx context.Context, c *wsConn) {
	for range 5 {
		sent := time.Now()
		if c.write(ws.OpPing, "") != nil {
			return
		}
		select {
		case <-c.pongs:
			x.wsTrips = append(x.wsTrips, time.Since(sent))
		case <-c.ended:
			return
		case <-ctx.Done():
			return
		case <-time.After(x.opts.Timeout):
			return
		}
	}
}

func (x *exam) deadWebSocket(s *Step, err error, what string) {
	if _, ok := errors.AsType[errClosedByServer](err); ok || !isSilence(err) {
		s.problem("closed-after-101", "The WebSocket is accepted (101), then closed: "+err.Error()+".",
			"If the server's log has no reason, a proxy, firewall or virus scanner closes it. https gets through where http doesn't; clients can use polling meanwhile.")
		return
	}
	s.problem("dead-after-101", "The WebSocket is accepted (101), but "+what+".",
		"A proxy, firewall or virus scanner passes the handshake and not the frames: replace it or except this host. https gets through where http doesn't. Clients that begin with polling, as stock ones do, go on working.")
}

// refusedUpgrade says who refused and why, as far as the answer tells.
func (x *exam) refusedUpgrade(s *Step, a *answer, offered bool) {
	r := a.read()
	plain := strings.TrimSpace(a.body)
	switch {
	case r.unknownTransport() || strings.EqualFold(plain, "Transport unknown") || !offered:
		fix := "Allow it at the server: " + x.option(`transports: ["polling", "websocket"]`, "Options.Engine.Transports", "transports") + "."
		if x.report.Server.Kind == kindPython {
			fix = "The web server that runs python-socketio has no WebSocket: install simple-websocket for threading, or use uvicorn, aiohttp, eventlet or gevent with gevent-websocket."
		}
		s.warning("websocket-disabled", "The server doesn't offer WebSocket; everything goes by polling.", fix)
	case r.unknownSession():
		x.loseSession(s, "WebSocket")
	case r.engineIO() && a.status == http.StatusBadRequest, a.status == http.StatusUpgradeRequired:
		f := s.problem("upgrade-stripped", "The request reaches the server without its Upgrade header: a proxy takes it out.",
			"Have the proxy pass Upgrade and Connection on, and speak HTTP/1.1 to the server.")
		f.config(nginxUpgrade...)
		if strings.Contains(a.header.Get("Server"), "Apache") {
			f.config(apacheUpgrade...)
		}
	case a.status == http.StatusForbidden || a.status == http.StatusUnauthorized || a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotImplemented:
		s.problem("upgrade-refused", fmt.Sprintf("WebSocket is refused (%d), ordinary requests are not.", a.status),
			"A proxy or firewall forbids it: allow WebSocket for "+x.path+". If the server's own check does it, its log says why.")
	case a.status == http.StatusBadGateway || a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout:
		s.problem("upgrade-gateway", fmt.Sprintf("The proxy fails at WebSocket (%d), at ordinary requests it doesn't.", a.status),
			"Its rule for WebSocket leads to another server, or to none: compare the address with that for ordinary requests.").config(nginxUpgrade...)
	case a.status == http.StatusBadRequest:
		s.problem("upgrade-refused", fmt.Sprintf("WebSocket is refused (400, %q).", excerpt(a.body)),
			"If these are the words of the server, its log says why; else a proxy changes the request: have it pass the headers as they are.").config(nginxUpgrade...)
	default:
		s.problem("upgrade-refused", fmt.Sprintf("A request for WebSocket is answered with %d instead of 101.", a.status),
			"Have everything in front of the server pass WebSocket for "+x.path+".").config(nginxUpgrade...)
	}
}

// probe upgrades a session from polling.
func (x *exam) probe(ctx context.Context, s *Step) bool {
	one, a, err := x.openSession(ctx)
	if err != nil || one == nil {
		s.evidence("handshake for the upgrade: %s", seen(a, err))
		s.warning("probe-failed", "The upgrade from polling could not be tried: there was no second session.", "Try again.")
		return false
	}
	defer x.end(ctx, one)
	c, a, err := x.dialWebSocket(ctx, ask{sid: one.SID}, one.client.Jar)
	if err == nil && c == nil {
		s.evidence("%v", a)
		if a.read().unknownSession() || strings.Contains(a.body, "Session ID unknown") || strings.Contains(a.body, "Invalid session") {
			x.lost = true
			s.warning("probe-lost", "The upgrade of a session on polling came to a server that doesn't know it.", "See sticky sessions below.").consequence("sticky")
			return false
		}
		s.problem("probe-failed", fmt.Sprintf("A session on polling can't be upgraded (%d), although WebSocket works directly.", a.status),
			"Look into the server's log.")
		return false
	}
	if err == nil {
		defer c.close()
		if err = c.send("2probe"); err == nil {
			var m string
			for err == nil && m != "3probe" {
				m, err = c.next(ctx, x.opts.Timeout)
			}
		}
	}
	if err == nil {
		s.evidence("upgrade from polling: 2probe was answered by 3probe")
		err = c.send("5")
	}
	if err == nil {
		return true
	}
	s.evidence("upgrade from polling: %v", err)
	if _, ok := errors.AsType[errClosedByServer](err); ok || x.lost {
		// The Node server takes an upgrade with a session that it doesn't know, and closes it.
		x.lost = true
		s.warning("probe-lost", "The upgrade of a session on polling was closed: it came to a server that doesn't know it, most likely.",
			"See sticky sessions below.").consequence("sticky")
		return false
	}
	s.problem("probe-failed", "A session on polling can't be upgraded, although WebSocket works directly: "+err.Error()+".", "Look into the server's log.")
	return false
}
