package chat

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/wire"
	"github.com/sockeye-io/sockeye/socketio"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serveChat(t *testing.T, limits Limits) (url string, c *Chat) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	io := socketio.NewServer(&socketio.Options{Recovery: &socketio.RecoveryOptions{MaxDisconnection: time.Minute}, Logger: log})
	c = New(io.Of("/chat"), limits, log, "lobby")
	server := httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		c.Close()
		server.Close()
	})
	return server.URL + "/socket.io/", c
}

func field(t *testing.T, packet, name string) string {
	t.Helper()
	m := regexp.MustCompile(`"` + name + `":"([^"]*)"`).FindStringSubmatch(packet)
	if m == nil {
		t.Fatalf("no %s in %s", name, packet)
	}
	return m[1]
}

func TestOverTheWire(t *testing.T) {
	url, _ := serveChat(t, Limits{})
	ada := wire.Dial(t, url)
	ada.Send(`0/chat,{"name":"Ada"}`)
	ada.Await(`"welcome"`)
	ada.Send(`2/chat,1["join",{"room":"lobby"}]`)
	ada.Await(`43/chat,1[{"room":"lobby","members":[{`)
	ada.Send(`2/chat,2["say",{"room":"lobby","text":"<script>alert(1)</script>"}]`)
	ada.Await(`43/chat,2[{"id":1,`)

	bob := wire.Dial(t, url)
	bob.Send(`0/chat,{"name":"Bob"}`)
	bob.Await(`40/chat`)
	bob.Send(`2/chat,1["join",{"room":"lobby"}]`)
	if reply := bob.Await(`43/chat,1[`); !strings.Contains(reply, `"text":"<script>alert(1)</script>"`) {
		t.Errorf("the history is missing or was changed: %s", reply)
	}
	ada.Await(`["joined"`)
	bob.Send(`2/chat,["typing",{"room":"lobby","on":true}]`)
	ada.Await(`["typing",{"room":"lobby","user":{`)
	bob.Send(`1/chat,`)
	ada.Await(`["left"`)
}

// Whatever somebody sends, he is answered or ignored, and the others go on.
func TestHostileVisitor(t *testing.T) {
	url, c := serveChat(t, Limits{Burst: 3, Rate: 0.001})
	eve := wire.Dial(t, url)
	eve.Send(`0/chat,{"name":{"first":"Eve"},"key":[1,2,3]}`)
	if name := field(t, eve.Await(`"welcome"`), "name"); !strings.HasPrefix(name, "Guest") {
		t.Errorf("a name that is no text became %q", name)
	}
	for i, args := range []string{``, `,null`, `,"lobby"`, `,[]`, `,{"room":7}`, `,{"room":{"a":1}}`, `,{"room":""}`, `,{"room":"` + strings.Repeat(`é`, 10_000) + `!"},1,2,3`} {
		eve.Send(`2/chat,` + string(rune('1'+i)) + `["join"` + args + `]`)
		reply := eve.Await(`43/chat,` + string(rune('1'+i)))
		if i < 7 && !strings.Contains(reply, `"error":`) {
			t.Errorf("join%s was answered with %s", args, reply)
		}
	}
	eve.Send(`2/chat,20["join",{"room":"lobby"}]`)
	eve.Await(`43/chat,20`)
	eve.Send(`2/chat,21["say",{"room":"lobby","text":"` + strings.Repeat("x", 5000) + `"}]`)
	if reply := eve.Await(`43/chat,21`); !strings.Contains(reply, "bad_text") {
		t.Errorf("a text too long: %s", reply)
	}
	for range 20 {
		eve.Send(`2/chat,22["say",{"room":"lobby","text":"flood"}]`)
	}
	eve.Await("slow_down")
	eve.Send(`2/chat,["nonsense",{"__proto__":{}}]`)

	ada := wire.Dial(t, url)
	ada.Send(`0/chat,{"name":"Ada"}`)
	ada.Await(`40/chat`)
	ada.Send(`2/chat,1["join",{"room":"lobby"}]`)
	if reply := ada.Await(`43/chat,1[`); strings.Count(reply, "flood") != 3 {
		t.Errorf("the flood got through: %s", reply)
	}
	if n := c.People(); n != 2 {
		t.Errorf("%d people, want 2", n)
	}
}

func TestRecovered(t *testing.T) {
	url, _ := serveChat(t, Limits{Grace: time.Minute})
	bob := wire.Dial(t, url)
	bob.Send(`0/chat,{"name":"Bob"}`)
	bob.Await(`40/chat`)
	bob.Send(`2/chat,1["join",{"room":"lobby"}]`)
	bob.Await(`43/chat,1`)

	ada := wire.Dial(t, url)
	ada.Send(`0/chat,{"name":"Ada"}`)
	hello := ada.Await(`40/chat,`)
	sid, pid := field(t, hello, "sid"), field(t, hello, "pid")
	ada.Send(`2/chat,1["join",{"room":"lobby"}]`)
	ada.Await(`43/chat,1`)
	bob.Send(`2/chat,2["say",{"room":"lobby","text":"one"}]`)
	last := ada.Await(`"one"`)
	offset := last[strings.LastIndex(last, `,"`)+2 : len(last)-2]

	ada.Cut()
	bob.Await(`"away":true`)
	bob.Send(`2/chat,3["say",{"room":"lobby","text":"two"}]`)
	bob.Await(`43/chat,3`)

	ada = wire.Dial(t, url)
	ada.Send(`0/chat,{"pid":"` + pid + `","offset":"` + offset + `"}`)
	if got := field(t, ada.Await(`40/chat,`), "sid"); got != sid {
		t.Errorf("came back as %s, was %s", got, sid)
	}
	ada.Await(`"two"`)
	if w := ada.Await(`"welcome"`); !strings.Contains(w, `"resumed":true`) || !strings.Contains(w, `"name":"Ada"`) {
		t.Errorf("welcomed as %s", w)
	}
	if back := bob.Await(`"changed"`); strings.Contains(back, `"away":true`) {
		t.Errorf("still away: %s", back)
	}
	ada.Send(`2/chat,2["say",{"room":"lobby","text":"three"}]`)
	bob.Await(`"three"`)
}

func TestFull(t *testing.T) {
	url, _ := serveChat(t, Limits{Users: 1})
	ada := wire.Dial(t, url)
	ada.Send(`0/chat,`)
	ada.Await(`"welcome"`)
	eve := wire.Dial(t, url)
	eve.Send(`0/chat,`)
	eve.Await(`44/chat,{"message":"The chat is full.`)
}
