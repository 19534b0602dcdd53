package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/test/interop/proxy"
)

// ways are the ways in which the stock client can reach the server.
var ways = []struct {
	name       string
	transports []string
	final      string
}{
	{"polling", []string{"polling"}, "polling"},
	{"websocket", []string{"websocket"}, "websocket"},
	{"upgrade", []string{"polling", "websocket"}, "websocket"},
}

// TestStockClients runs the published JavaScript client, its current version and the last of the 3.x line.
func TestStockClients(t *testing.T) {
	npm := kit.NPM(t)
	for _, client := range []string{"socket.io-client", "socket.io-client-v3"} {
		kit.Used(client + " " + packageVersion(t, npm, client))
		for _, way := range ways {
			t.Run(client+"/"+way.name, func(t *testing.T) {
				t.Parallel()
				drive(t, "stock.mjs", client, way.transports, way.final, app.Options{})
			})
		}
	}
}

// TestStockClientRecovers is about connection state recovery, which the 3.x line does not have.
func TestStockClientRecovers(t *testing.T) {
	kit.NPM(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			// A polling client that is cut off between two requests is missed only by the heartbeat.
			drive(t, "recovery.mjs", "socket.io-client", way.transports, way.final,
				app.Options{Recovery: true, PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second})
		})
	}
}

// TestStockClientSpeaksMsgpack runs the same cases with the published msgpack codec on both sides.
func TestStockClientSpeaksMsgpack(t *testing.T) {
	kit.Used("socket.io-msgpack-parser " + packageVersion(t, kit.NPM(t), "socket.io-msgpack-parser"))
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			drive(t, "stock.mjs", "socket.io-client", way.transports, way.final, app.Options{Msgpack: true})
		})
	}
}

func drive(t *testing.T, script, client string, transports []string, final string, o app.Options) {
	a := app.Start(t, o)
	p := proxy.Start(t, a.Addr(), proxy.Options{})
	npm := kit.NPM(t)
	d := kit.Driver{
		Command: []string{kit.Need(t, "node"), script},
		Dir:     filepath.Join(kit.Root(), "node"),
		Config: map[string]any{
			"npm":        npm,
			"client":     client,
			"url":        p.URL(),
			"direct":     a.URL(),
			"transports": transports,
			"final":      final,
			"reference":  kit.OnNode(),
			"parser":     map[bool]string{true: "socket.io-msgpack-parser"}[o.Msgpack],
		},
		Do: func(what string, _ json.RawMessage) (any, error) {
			switch what {
			case "cut":
				p.Cut()
			case "down":
				p.Down()
			case "up":
				p.Up()
			case "restart":
				return nil, a.Restart()
			default:
				return nil, fmt.Errorf("unknown request %q", what)
			}
			return nil, nil
		},
	}
	d.Run(t)
}

func packageVersion(t *testing.T, npm, name string) string {
	data, err := os.ReadFile(filepath.Join(npm, "node_modules", name, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Version string }
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p.Version
}
