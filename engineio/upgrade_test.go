package engineio_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/engineio"
)

// probe opens a WebSocket for the session and has the probe answered.
func (p *poller) probe() *wsClient {
	p.t.Helper()
	c := p.dialWS(wsQuery+"&sid="+p.sid, "")
	c.send("2probe")
	c.expect("3probe")
	return c
}

// upgrade moves the session to a WebSocket.
func (p *poller) upgrade() *wsClient {
	p.t.Helper()
	c := p.probe()
	c.send("5")
	return c
}

func (p *peer) expectTransport(want string) {
	p.s.t.Helper()
	if got := p.Transport(); got != want {
		p.s.t.Fatalf("transport %q, want %q", got, want)
	}
}

func TestUpgrade(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		s.onMessage = echo
		p := s.poll()
		upgraded := newQueue[string]()
		p.peer.OnUpgrade(upgraded.push)
		p.post("4by polling")
		p.expectPoll("4by polling")

		c := p.probe()
		p.peer.expectTransport("polling")
		c.send("5")
		c.send("4by websocket")
		c.expect("4by websocket")
		p.peer.expectTransport("websocket")
		if name, err := upgraded.pop(s.guard); name != "websocket" {
			t.Errorf("OnUpgrade: %q, %v", name, err)
		}
		// Polling is over for this session.
		p.startGet().expect(400, badRequest)
		p.startPost("4x").expect(400, badRequest)
		c.send("4still")
		c.expect("4still")
		if upgraded.len() > 0 || s.accepted.len() > 0 {
			t.Error("an upgrade is one event and no new session")
		}
	})
}

// The client waits for its pending GET before it completes: the server frees it.
func TestUpgradeFreesPendingPoll(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		get := p.startGet()
		get.expectHeld()
		c := p.probe()
		before := time.Now()
		get.expect(200, "6")
		if took := time.Since(before); took > 100*time.Millisecond {
			t.Errorf("the GET was freed after %v, want 100 ms at most", took)
		}
		// A client that polls once more is freed too.
		again := p.startGet()
		again.expect(200, "6")
		c.send("5", "4x")
		p.peer.expectMessage("x")
	})
}

func TestUpgradeWithPendingPollAtTheEnd(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		c := p.probe()
		get := p.startGet() // held for 100 ms at most
		get.expectHeld()
		c.send("5")
		get.expect(400, badRequest) // what the next one would get
		p.peer.sendText("x")
		c.expect("4x")
	})
}

// Messages sent while the probe is under way go by polling; what waits when the
// upgrade completes goes by WebSocket.
func TestMessagesDuringUpgrade(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		c := p.probe()
		p.peer.sendText("a")
		p.expectPoll("4a")
		p.post("4up")
		p.peer.expectMessage("up")
		p.peer.sendText("b", "c")
		synctest.Wait()
		if c.frames.len() > 0 {
			t.Fatalf("%q went out before the upgrade", c.next().Payload)
		}
		c.send("5")
		c.expect("4b", "4c")
		p.peer.sendText("d")
		c.expect("4d")
	})
}

func TestUpgradeTimeout(t *testing.T) {
	for _, probed := range []bool{false, true} {
		inBubble(t, &engineio.Options{UpgradeTimeout: 3 * time.Second}, func(t *testing.T, s *server) {
			p := s.poll()
			before := time.Now()
			var c *wsClient
			if probed {
				c = p.probe()
			} else {
				c = p.dialWS(wsQuery+"&sid="+p.sid, "")
			}
			c.expectClose(noCode)
			if took := time.Since(before); took != 3*time.Second {
				t.Errorf("probed %v: closed after %v, want 3s", probed, took)
			}
			c.expectEOF()
			p.peer.sendText("a")
			p.expectPoll("4a")
			// It may try again.
			c = p.upgrade()
			p.peer.sendText("b")
			c.expect("4b")
		})
	}
}

// Anything but the probe and the upgrade ends the WebSocket, not the session.
func TestUpgradeGoesWrong(t *testing.T) {
	for name, step := range map[string]func(*wsClient){
		"message instead of probe":  func(c *wsClient) { c.send("4x") },
		"upgrade without probe":     func(c *wsClient) { c.send("5") },
		"ping without probe":        func(c *wsClient) { c.send("2") },
		"other probe":               func(c *wsClient) { c.send("2prob") },
		"open":                      func(c *wsClient) { c.send("0") },
		"bad packet":                func(c *wsClient) { c.send("abc") },
		"empty frame":               func(c *wsClient) { c.send("") },
		"binary":                    func(c *wsClient) { c.sendBinary("5") },
		"message after probe":       func(c *wsClient) { c.send("2probe", "4x") },
		"unmasked":                  func(c *wsClient) { c.write(compile(ws.NewTextFrame([]byte("2probe")))) },
		"close frame":               func(c *wsClient) { c.sendFrame(ws.NewCloseFrame(nil)) },
		"close frame after probe":   func(c *wsClient) { c.send("2probe"); c.sendFrame(ws.NewCloseFrame(nil)) },
		"connection lost":           (*wsClient).close,
		"connection lost afterward": func(c *wsClient) { c.send("2probe"); c.expect("3probe"); c.close() },
		"oversize": func(c *wsClient) {
			c.write("\x81\xff\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *server) {
				p := s.poll()
				get := p.startGet()
				get.expectHeld()
				c := p.dialWS(wsQuery+"&sid="+p.sid, "")
				step(c)
				c.expectEOF()
				synctest.Wait() // the server has noticed too
				p.peer.sendText("a")
				if r := get.wait(); r.body == "6" {
					p.expectPoll("4a") // the probe had freed the GET
				} else if r.body != "4a" {
					t.Errorf("got %v", r)
				}
				p.post("4b")
				p.peer.expectMessage("b")
				p.peer.expectOpen()
				p.peer.expectTransport("polling")
				if p.peer.messages.len() > 0 {
					t.Error("a message that came over the failed WebSocket was delivered")
				}
				p.upgrade().send("4c")
				p.peer.expectMessage("c")
			})
		})
	}
}

// A second WebSocket for the session is closed at once and hurts nobody.
func TestSecondCandidate(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		first := p.probe()
		second := p.dialWS(wsQuery+"&sid="+p.sid, "")
		second.expectClose(noCode)
		first.send("5", "4x")
		p.peer.expectMessage("x")
		third := p.dialWS(wsQuery+"&sid="+p.sid, "")
		third.expectClose(noCode)
		p.peer.sendText("y")
		first.expect("4y")
	})
}

func TestWebSocketForWebSocketSession(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	c := s.ws()
	s.dialWS(wsQuery+"&sid="+c.sid, "").expectClose(noCode)
	c.send("4x")
	c.expect("4x")
}

func TestNoUpgrades(t *testing.T) {
	s := newServer(t, &engineio.Options{NoUpgrades: true})
	p := s.poll()
	s.dialWS(wsQuery+"&sid="+p.sid, "").expectClose(noCode)
	p.post("4x")
	p.peer.expectMessage("x")
}

// Probe and upgrade in one segment, as a client that is sure of itself sends them.
func TestUpgradeInOneSegment(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	c := p.dialWS(wsQuery+"&sid="+p.sid, maskedText("2probe")+maskedText("5")+maskedText("4x"))
	c.expect("3probe")
	p.peer.expectMessage("x")
	p.peer.expectTransport("websocket")
}

func TestCloseDuringUpgrade(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		c := p.probe()
		p.peer.Abort()
		p.peer.expectClosed(engineio.ReasonForcedClose)
		c.expectEOF()

		p = s.poll()
		get := p.startGet()
		get.expectHeld()
		c = p.dialWS(wsQuery+"&sid="+p.sid, "")
		p.peer.Close()
		get.expect(200, "1")
		p.peer.expectClosed(engineio.ReasonForcedClose)
		c.expectEOF()

		// The client leaves by polling while the probe is under way.
		p = s.poll()
		c = p.probe()
		p.post("1")
		p.peer.expectClosed(engineio.ReasonTransportClose)
		c.expectEOF()
	})
}

// A Close that waits for the client completes on the WebSocket the client moves to.
func TestUpgradeAfterClose(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		c := p.probe()
		p.peer.sendText("last")
		p.peer.Close()
		c.send("5")
		c.expect("4last")
		c.expectEOF()
		p.peer.expectClosed(engineio.ReasonForcedClose)
	})
}

func TestHeartbeatGoesOnAfterUpgrade(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		c := p.upgrade()
		synctest.Wait()
		p.peer.expectTransport("websocket")
		for range 3 {
			c.expect("2")
			c.send("3")
		}
		c.expect("2")
		p.peer.expectClosed(engineio.ReasonPingTimeout)
		c.expectEOF()
	})
}

// A ping that polling could not deliver any more is delivered by the WebSocket.
func TestPingDuringUpgrade(t *testing.T) {
	inBubble(t, &engineio.Options{UpgradeTimeout: time.Minute}, func(t *testing.T, s *server) {
		p := s.poll()
		c := p.probe()
		time.Sleep(26 * time.Second)
		c.send("5")
		c.expect("2")
		c.send("3")
		time.Sleep(40 * time.Second)
		p.peer.expectOpen()
	})
}

// The upgrade as a state machine: whatever the client does and whenever, messages in
// both directions arrive once and in order, and the session lives.
func TestUpgradeStateMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, &engineio.Options{UpgradeTimeout: 5 * time.Second, MaxPollPackets: 3})
		rapid.Check(withoutDeadline{t}, func(rt *rapid.T) {
			m := newUpgradeMachine(rt, s)
			rt.Repeat(map[string]func(*rapid.T){
				"server sends": m.serverSends,
				"client sends": m.clientSends,
				"poll":         m.poll,
				"collect":      m.collect,
				"open":         m.open,
				"probe":        m.sendProbe,
				"complete":     m.complete,
				"spoil":        m.spoil,
				"wait":         func(*rapid.T) { time.Sleep(70 * time.Millisecond) },
				"":             m.check,
			})
			m.finish()
		})
	})
}

type upgradeMachine struct {
	rt       *rapid.T
	p        *poller
	get      *pending
	ws       *wsClient // candidate or transport
	probed   bool
	upgraded bool
	sent     int // by the server
	got      int // by the client
	up       int // by the client
}

func newUpgradeMachine(rt *rapid.T, s *server) *upgradeMachine {
	return &upgradeMachine{rt: rt, p: s.poll()}
}

func (m *upgradeMachine) serverSends(rt *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(rt, "messages") {
		m.p.peer.sendText(fmt.Sprint(m.sent))
		m.sent++
	}
}

func (m *upgradeMachine) clientSends(*rapid.T) {
	text := fmt.Sprint("4", m.up)
	if m.upgraded {
		m.ws.send(text)
	} else {
		m.p.post(text)
	}
	m.p.peer.expectMessage(fmt.Sprint(m.up))
	m.up++
}

func (m *upgradeMachine) poll(rt *rapid.T) {
	if m.upgraded || m.get != nil {
		rt.Skip("no poll is possible")
	}
	m.get = m.p.startGet()
	synctest.Wait()
}

// collect takes what has arrived.
func (m *upgradeMachine) collect(*rapid.T) {
	synctest.Wait()
	if m.get != nil && m.get.done.len() > 0 {
		for packet := range strings.SplitSeq(m.get.wait().body, "\x1e") {
			m.receive(packet)
		}
		m.get = nil
	}
	for m.upgraded && m.ws.frames.len() > 0 {
		m.receive(string(m.ws.next().Payload))
	}
}

func (m *upgradeMachine) receive(packet string) {
	switch {
	case packet == "6":
	case packet == "2" && m.upgraded:
		m.ws.send("3")
	case packet == "2":
		m.p.post("3")
	case packet == fmt.Sprint("4", m.got):
		m.got++
	default:
		m.rt.Fatalf("got %q, want message %d", packet, m.got)
	}
}

func (m *upgradeMachine) open(rt *rapid.T) {
	if m.ws != nil {
		rt.Skip("there is one")
	}
	m.ws, m.probed = m.p.dialWS(wsQuery+"&sid="+m.p.sid, ""), false
}

func (m *upgradeMachine) sendProbe(rt *rapid.T) {
	if m.ws == nil || m.upgraded || m.candidateGone() {
		rt.Skip("no candidate")
	}
	m.ws.send("2probe")
	m.ws.expect("3probe")
	m.probed = true
}

// candidateGone notices that the upgrade timed out.
func (m *upgradeMachine) candidateGone() bool {
	synctest.Wait()
	if m.ws == nil || m.upgraded || m.ws.frames.len() == 0 {
		return m.ws == nil
	}
	m.ws.expectClose(noCode)
	m.ws, m.probed = nil, false
	return true
}

func (m *upgradeMachine) complete(rt *rapid.T) {
	if m.ws == nil || m.upgraded || !m.probed || m.candidateGone() {
		rt.Skip("not probed")
	}
	if m.get != nil {
		m.collect(rt)
		if m.get != nil { // held; the server lets it go within 100 ms
			time.Sleep(100 * time.Millisecond)
			m.collect(rt)
		}
		if m.get != nil {
			rt.Fatal("the GET is held although the probe was answered")
		}
	}
	if m.candidateGone() {
		rt.Skip("timed out")
	}
	m.ws.send("5")
	m.upgraded = true
	synctest.Wait()
}

// spoil breaks an upgrade that is under way.
func (m *upgradeMachine) spoil(rt *rapid.T) {
	if m.ws == nil || m.upgraded || m.candidateGone() {
		rt.Skip("no candidate")
	}
	switch rapid.SampledFrom([]string{"close", "message", "second"}).Draw(rt, "how") {
	case "close":
		m.ws.close()
	case "message":
		m.ws.send("4stray")
	case "second":
		m.p.dialWS(wsQuery+"&sid="+m.p.sid, "").expectClose(noCode)
		return
	}
	m.ws.expectEOF()
	m.ws, m.probed = nil, false
	synctest.Wait()
}

func (m *upgradeMachine) check(*rapid.T) {
	synctest.Wait()
	if m.p.peer.closed.len() > 0 {
		c, _ := m.p.peer.closed.pop(0)
		m.rt.Fatalf("the session closed: %s, %v", c.reason, c.err)
	}
	want := "polling"
	if m.upgraded {
		want = "websocket"
	}
	if got := m.p.peer.Transport(); got != want {
		m.rt.Fatalf("transport %q, want %q", got, want)
	}
}

func (m *upgradeMachine) finish() {
	for m.got < m.sent {
		if !m.upgraded && m.get == nil {
			m.poll(m.rt)
		}
		m.collect(m.rt)
		if m.got < m.sent && m.get == nil && m.upgraded {
			m.rt.Fatalf("message %d never came", m.got)
		}
	}
	if m.p.peer.messages.len() > 0 {
		m.rt.Fatal("the server got more than was sent")
	}
	m.p.peer.Abort()
	if m.ws != nil {
		m.ws.expectEOF()
	}
	if m.get != nil {
		m.get.wait()
	}
	synctest.Wait()
}
