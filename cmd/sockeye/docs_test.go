package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The documentation's pictures and figures are made here:
//
//	SOCKEYE_DOCS=1 go test -run TestDocs -count 1 -timeout 20m .
//
// writes docs/images/*.png and the tables of docs/transports.md.
const docs = "../../docs"

func wantDocs(t *testing.T) {
	if os.Getenv("SOCKEYE_DOCS") == "" {
		t.Skip("writes to docs/ only with SOCKEYE_DOCS=1")
	}
}

// screenOf makes a tab look like a device in a theme.
func screenOf(width, height int64, theme string) action {
	return chromedp.Steps(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		return err
	}))
}

// shoot writes what the tab shows.
func (p *tab) shoot(name string) {
	p.t.Helper()
	shot, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	// Encoded again: Chromium's are twice as long.
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		p.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img); err != nil {
		p.t.Fatal(err)
	}
	if out.Len() > len(shot) {
		out = *bytes.NewBuffer(shot)
	}
	file := filepath.Join(docs, "images", name+".png")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func TestDocsPictures(t *testing.T) {
	wantDocs(t)
	b := browser(t)
	base := startDemo(t, nil)

	for _, theme := range []string{"light", "dark"} {
		home := openTab(t, b, "home "+theme, base, screenOf(1280, 860, theme))
		home.until("connected", connected)
		home.until("some round trips", `Number(document.getElementById("events").textContent) >= 0`)
		time.Sleep(6 * time.Second) // for the plot to have something in it
		home.shoot("home-" + theme)
		chromedp.Cancel(home.ctx)
	}

	type guest struct {
		name  string
		lines []string
	}
	for _, theme := range []string{"light", "dark"} {
		const room = "#river"
		base := startDemo(t, nil) // without the guests of the other theme
		enter := func(name string, before ...action) *tab {
			p := openTab(t, b, name, base+"/assets/mark.svg", before...)
			p.run(fmt.Sprintf(`sessionStorage.setItem("chat:name", JSON.stringify(%q))`, name))
			p.do(chromedp.Navigate(base + "/chat" + room))
			p.until("connected", connected)
			return p
		}
		me := enter("Sockeye", screenOf(1280, 800, theme))
		var others []*tab
		for _, g := range []guest{
			{"Chinook", []string{"Has anybody tried it from the train?", "I mean with the tunnel in the middle."}},
			{"Coho", []string{"This morning. What I wrote in the tunnel went out on the other side, once, and in order."}},
			{"Pink", []string{"The office proxy here drops Upgrade headers. I only noticed because the corner says Streaming instead of WebSocket.", "Emoji survive too 🐟"}},
		} {
			p := enter(g.name)
			for _, line := range g.lines {
				p.say(line)
				me.sees(line)
			}
			others = append(others, p)
		}
		me.say("Then the lab is worth a look: it has a switch for exactly that proxy.")
		others[0].typeInto("text", "Which")
		me.sees("is typing")
		me.shoot("chat-" + theme)
		if theme == "light" {
			phone := openTab(t, b, "chat phone", base+"/chat"+room, screenOf(390, 760, theme))
			phone.until("connected", connected)
			phone.sees("the lab is worth a look")
			phone.shoot("chat-phone")
			chromedp.Cancel(phone.ctx)
		}
		for _, p := range append(others, me) {
			chromedp.Cancel(p.ctx)
		}
	}

	for _, theme := range []string{"light", "dark"} {
		lab := openTab(t, b, "lab "+theme, base+"/lab", screenOf(1280, 1040, theme))
		lab.turn("delay", "20")
		lab.until("twenty seconds of plot", every("short long streaming sse websocket", delivering+" && l.measuredMs > 9500"))
		time.Sleep(9 * time.Second)
		lab.shoot("lab-" + theme)
		if theme == "light" {
			lab.turn("blockUpgrade", "on")
			lab.until("figures without WebSocket", every("long streaming sse", delivering+" && l.measuredMs > 9500"))
			lab.until("the client's choice", `["Long-polling", "Streaming"].includes(document.getElementById("picked").textContent)`)
			lab.shoot("lab-upgrade-blocked")
		}
		chromedp.Cancel(lab.ctx)
	}
	phone := openTab(t, b, "lab phone", base+"/lab", screenOf(390, 1180, "dark"))
	phone.until("figures", every("short long streaming sse websocket", delivering+" && l.measuredMs > 9500"))
	phone.run(`document.querySelector(".findings").scrollIntoView()`)
	phone.shoot("lab-phone")
}

func TestDocsFigures(t *testing.T) {
	wantDocs(t)
	p := openTab(t, browser(t), "lab", startDemo(t, nil)+"/lab", screenOf(1280, 900, "light"))
	order := []string{"short", "long", "streaming", "sse", "websocket"}
	all := strings.Join(order, " ")
	p.until("figures in every lane", every(all, delivering))

	var out strings.Builder
	millis := func(v *float64) string {
		if v == nil {
			return "–"
		}
		if *v < 9.95 {
			return fmt.Sprintf("%.1f ms", *v)
		}
		return fmt.Sprintf("%.0f ms", *v)
	}
	cost := func(c *struct{ Up, Down float64 }) string {
		if c == nil {
			return "–"
		}
		return fmt.Sprintf("**%.0f** (%.0f + %.0f)", c.Up+c.Down, c.Down, c.Up)
	}
	for _, s := range []struct {
		title                   string
		flow, up, size, latency string
	}{
		{"10 messages a second, 32 bytes, no distance", "10", "2", "32", "0"},
		{"The same with 20 ms added each way", "10", "2", "32", "20"},
		{"Bursts: 40 messages 1 ms apart every two seconds, 20 ms each way", "burst", "2", "32", "20"},
		{"50 messages a second, 20 ms each way", "50", "2", "32", "20"},
		{"10 messages a second of 1,024 bytes, no distance", "10", "2", "1024", "0"},
	} {
		p.turn("flow", s.flow)
		p.turn("up", s.up)
		p.turn("size", s.size)
		p.turn("delay", s.latency)
		p.run(`lab.resetFigures()`)
		p.until("ten seconds of "+s.title, every(all, delivering+" && l.measuredMs > 9700"))
		lanes := p.lanes()
		fmt.Fprintf(&out, "### %s\n\n", s.title)
		out.WriteString("| transport | latency p50 | p99 | requests/s | server → browser, bytes a message (down + up) | browser → server, bytes a message (down + up) | browser → server p50 |\n")
		out.WriteString("|---|---:|---:|---:|---:|---:|---:|\n")
		for _, id := range order {
			l := lanes[id]
			fmt.Fprintf(&out, "| %s | %s | %s | %.2g | %s | %s | %s |\n", l.Label, millis(l.P50), millis(l.P99), l.Requests, cost(l.Down), cost(l.Up), millis(l.UpP50))
		}
		out.WriteString("\n")
	}

	out.WriteString("### What gets through\n\n| network | " + strings.Join([]string{"Short polling", "Long-polling", "Streaming", "Server-Sent Events", "WebSocket", "the client chooses"}, " | ") + " |\n|---|---|---|---|---|---|---|\n")
	p.turn("delay", "0")
	p.turn("size", "32")
	p.turn("flow", "10")
	for _, n := range []struct {
		title          string
		block, buffer  string
		alive, waiting string
	}{
		{"open", "off", "off", all, ""},
		{"Upgrade blocked", "on", "off", "short long streaming sse", "websocket"},
		{"responses buffered", "off", "on", "short long websocket", "streaming sse"},
		{"both", "on", "on", "short long", "streaming sse websocket"},
	} {
		p.turn("blockUpgrade", n.block)
		p.turn("buffer", n.buffer)
		p.until(n.title, every(n.alive, delivering))
		if n.waiting != "" {
			p.until("the refusals of "+n.title, every(n.waiting, "l.rate === 0 && l.measuredMs > 6000"))
		}
		p.until("the choice", `!["…", "–"].includes(document.getElementById("picked").textContent)`)
		var picked string
		if err := json.Unmarshal([]byte(p.eval(`document.getElementById("picked").textContent`)), &picked); err != nil {
			t.Fatal(err)
		}
		lanes := p.lanes()
		fmt.Fprintf(&out, "| %s |", n.title)
		for _, id := range order {
			mark := "nothing"
			if lanes[id].Rate > 0 {
				mark = "yes"
			}
			fmt.Fprintf(&out, " %s |", mark)
		}
		fmt.Fprintf(&out, " %s |\n", cmp.Or(picked, "–"))
	}
	replaceFigures(t, filepath.Join(docs, "transports.md"), out.String())
}

// replaceFigures puts text between the two marks of a Markdown file.
func replaceFigures(t *testing.T, file, text string) {
	t.Helper()
	const from, to = "<!-- figures: written by TestDocsFigures -->\n", "<!-- end of figures -->"
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(old), from)
	_, tail, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks around its figures", file)
	}
	if err := os.WriteFile(file, []byte(head+from+"\n"+text+"\n"+to+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
