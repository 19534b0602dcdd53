package app

import (
	"net/http"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// foreign is the application in another language, in a process of its own.
type foreign struct {
	server *kit.Program
	pages  http.Handler
	front  kit.Server // in front of the process if there are pages
}

// tools are the programs that the Python runtimes need, by the names that kit.Need knows.
var tools = map[Runtime]string{
	PythonAIOHTTP:   "python3-aiohttp",
	PythonASGI:      "python3-uvicorn",
	PythonEventlet:  "python3-eventlet",
	PythonThreading: "python3-werkzeug",
}

func newForeign(t testing.TB, o Options) *foreign {
	t.Helper()
	options := map[string]any{
		"pingInterval": o.PingInterval.Milliseconds(),
		"pingTimeout":  o.PingTimeout.Milliseconds(),
		"maxPayload":   o.MaxPayload,
		"transports":   o.Transports,
		"recovery":     o.Recovery,
		"msgpack":      o.Msgpack,
	}
	f := &foreign{pages: o.Pages}
	if tool, ok := tools[o.Runtime]; ok {
		options["server"] = o.Runtime
		f.server = kit.NewPythonServer(t, tool, "app/reference.py", options)
	} else {
		options["package"] = o.Runtime
		f.server = kit.NewNodeServer(t, "app/reference.mjs", options)
	}
	return f
}

func (f *foreign) start() error {
	if err := f.server.Start(); err != nil || f.pages == nil {
		return err
	}
	return f.front.Start(beside(proxyTo(f.server.Addr()), f.pages))
}

func (f *foreign) stop() {
	f.front.Stop()
	f.server.Stop()
}

func (f *foreign) addr() string {
	if f.pages != nil {
		return f.front.Addr
	}
	return f.server.Addr()
}

func (f *foreign) handler() http.Handler { return proxyTo(f.server.Addr()) }
