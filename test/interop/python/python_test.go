package python

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// TestPythonClient runs Debian's python3-socketio client over each way it can use to reach the server.
func TestPythonClient(t *testing.T) {
	python := kit.Need(t, "python3-socketio")
	if version, err := exec.Command(python, "-c",
		"from importlib.metadata import version; print(version('python-socketio'))").Output(); err == nil {
		kit.Used("python-socketio " + strings.TrimSpace(string(version)))
	}
	for _, way := range []struct {
		name       string
		transports []string
		final      string
	}{
		{"polling", []string{"polling"}, "polling"},
		{"websocket", []string{"websocket"}, "websocket"},
		{"upgrade", []string{"polling", "websocket"}, "websocket"},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			a := app.Start(t, app.Options{PingInterval: 30 * time.Minute, PingTimeout: 30 * time.Minute})
			d := kit.Driver{
				Command: []string{python, "driver.py"},
				Dir:     filepath.Join(kit.Root(), "python"),
				Config: map[string]any{
					"url":        a.URL(),
					"transports": way.transports,
					"final":      way.final,
					"reference":  kit.OnNode(),
				},
			}
			d.Run(t)
		})
	}
}
