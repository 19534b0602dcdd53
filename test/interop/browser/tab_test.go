package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/web"
)

// limit ends a test that hangs. Nothing is measured with it.
const limit = 60 * time.Second

var (
	chromiumOnce sync.Once
	chromium     context.Context
	chromiumErr  error
	closers      []func()
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range closers {
		f()
	}
	os.Exit(code)
}

// browser starts the one browser of these tests at the first call.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := kit.Need(t, "chromium")
	chromiumOnce.Do(func() {
		dir, err := os.MkdirTemp("", "sockeye-chromium-") //nolint:usetesting // the browser outlives this test
		if err != nil {
			chromiumErr = err
			return
		}
		opts := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
		opts = append(opts,
			chromedp.ExecPath(path),
			chromedp.UserDataDir(dir),
			chromedp.DisableGPU,
			chromedp.NoFirstRun,
			chromedp.Flag("ignore-certificate-errors", true), // those of the tests are their own
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-sync", true),
			// A tab in the background would have its timers slowed down.
			chromedp.Flag("disable-background-timer-throttling", true),
			chromedp.Flag("disable-backgrounding-occluded-windows", true),
			chromedp.Flag("disable-renderer-backgrounding", true),
		)
		if os.Geteuid() == 0 {
			// Chromium's sandbox does not work for root.
			opts = append(opts, chromedp.NoSandbox)
		}
		alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
		ctx, cancel := chromedp.NewContext(alloc)
		closers = append(closers, func() {
			_ = chromedp.Cancel(ctx)
			cancel()
			cancelAlloc()
			_ = os.RemoveAll(dir)
		})
		chromium, chromiumErr = ctx, chromedp.Do(ctx)
	})
	if chromiumErr != nil {
		t.Fatalf("starting %s: %v", path, chromiumErr)
	}
	return chromium
}

//go:embed page.html
var pageHTML []byte

// pages serves the test page with one of the clients: "sockeye", ours, or "stock", the published one.
func pages(t *testing.T, client string) http.Handler {
	t.Helper()
	var script []byte
	if client == "stock" {
		data, err := os.ReadFile(filepath.Join(kit.NPM(t), "node_modules/socket.io-client/dist/socket.io.js"))
		if err != nil {
			t.Fatal(err)
		}
		script = data
	} else {
		data, ok := web.File("socket.io.min.js")
		if !ok {
			t.Fatal("the browser client is not embedded")
		}
		script = data
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(pageHTML)
	})
	mux.HandleFunc("GET /client.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(script)
	})
	return mux
}

func start(t *testing.T, client string, o app.Options) *app.App {
	t.Helper()
	o.Pages = pages(t, client)
	return app.Start(t, o)
}

// options of the client, as JavaScript knows them.
type options map[string]any

// tab is the test page, open in the browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	name string
}

func open(t *testing.T, base, name string, o options) *tab {
	t.Helper()
	given := options{"reconnectionDelay": 50, "reconnectionDelayMax": 200}
	for k, v := range o {
		given[k] = v
	}
	data, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"name": {name}, "options": {string(data)}}
	ctx, cancel := chromedp.NewContext(browser(t), chromedp.WithNewBrowserContext(), chromedp.WithListener(func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("%s: exception in the page: %s %v", name, e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		}
	}))
	p := &tab{t, ctx, name}
	t.Cleanup(cancel)
	// A tab's first action makes it and must not have a deadline: that would be the tab's.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate(base + "/page?" + query.Encode()))
	return p
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// eval returns what an expression, or the promise it makes, comes to, as JSON.
func (p *tab) eval(script string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		"(async () => JSON.stringify((await ("+script+")) ?? null))()",
		chromedp.EvalAwaitPromise,
	))
	if err != nil {
		p.t.Fatalf("%s: %s: %v\n%s", p.name, script, err, p.state())
	}
	return s
}

// run executes statements.
func (p *tab) run(script string) {
	p.t.Helper()
	p.eval("(() => {" + script + "})()")
}

func (p *tab) want(script, want string) {
	p.t.Helper()
	if got := p.eval(script); got != want {
		p.t.Fatalf("%s: %s is %s, want %s\n%s", p.name, script, got, want, p.state())
	}
}

// until waits until the expression is true in the page, which looks for itself.
func (p *tab) until(what, script string) {
	p.t.Helper()
	const wait = `new Promise((resolve) => {
		const end = Date.now() + 40000;
		const look = () => {
			let ok = false;
			try { ok = %s; } catch {}
			if (ok || Date.now() > end) resolve(!!ok); else setTimeout(look, 10);
		};
		look();
	})`
	if p.eval(fmt.Sprintf(wait, script)) != "true" {
		p.t.Fatalf("%s: waited in vain: %s\n%s", p.name, what, p.state())
	}
}

// connected waits for a connection over the transport; "" takes any.
func (p *tab) connected(transport string) {
	p.t.Helper()
	p.until("connected over "+transport, fmt.Sprintf(`transport() && (%[1]q === "" || transport() === %[1]q)`, transport))
}

// works checks that the connection carries text and binary both ways, and more than a few packets.
func (p *tab) works() {
	p.t.Helper()
	p.want(`ask("echo", "tëxt")`, `"tëxt"`)
	p.want(`ask("size", new Uint8Array(5000))`, `5000`)
	p.run(`seen.items.length = seen.echoes.length = 0; socket.emit("burst", 40); socket.emit("echo", new Uint8Array([7, 0, 255]))`)
	p.until("the burst and the echo", `seen.items.length === 40 && seen.echoes.length === 1`)
	p.want(`seen.items.every((v, i) => v === i)`, `true`)
	p.want(`seen.echoes[0]`, `[7,0,255]`)
}

// state describes the page for a failure.
func (p *tab) state() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`JSON.stringify({connected: socket.connected, transport: transport(), seen, history: socket.io.transports}, null, 1)`))
	if err != nil {
		return err.Error()
	}
	return s
}
