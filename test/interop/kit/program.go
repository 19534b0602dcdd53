package kit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// OnNode reports whether the tests run against servers on Node.js, which is how the tests themselves are proven.
// Tests of what only Sockeye has skip then.
func OnNode() bool { return os.Getenv("SOCKEYE_INTEROP_SERVER") == "node" }

// Program is a server in another language: a script that takes its options as JSON in its first argument, listens on
// 127.0.0.1 at the option port (0: any), prints the port, and ends when its standard input does.
type Program struct {
	interpreter, script string
	env                 []string
	options             map[string]any
	port                string
	end                 func()
}

// NewNodeServer prepares a server for Node.js from a script below test/interop. It skips the test when Node.js is
// missing.
func NewNodeServer(t testing.TB, script string, options map[string]any) *Program {
	t.Helper()
	return &Program{
		interpreter: Need(t, "node"), env: []string{"NPM_ROOT=" + NPM(t)},
		script: filepath.Join(Root(), script), options: options,
	}
}

// NewPythonServer prepares a server for Python from a script below test/interop. It skips the test when the packages
// that the tool stands for (see Need) are missing.
func NewPythonServer(t testing.TB, tool, script string, options map[string]any) *Program {
	t.Helper()
	return &Program{interpreter: Need(t, tool), script: filepath.Join(Root(), script), options: options}
}

// Start starts the process, on the same port as before if it ran before.
func (p *Program) Start() error {
	options := map[string]any{"port": 0}
	if p.port != "" {
		options["port"] = json.Number(p.port)
	}
	for k, v := range p.options {
		options[k] = v
	}
	data, err := json.Marshal(options)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.interpreter, p.script, string(data))
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	// Held open for the life of the process, so that the server can't outlive a killed test.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	end := func() {
		_ = cmd.Process.Kill()
		_ = stdin.Close()
		_ = cmd.Wait()
	}
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		end()
		return fmt.Errorf("%s did not start: %w", filepath.Base(p.script), err)
	}
	p.port = strings.TrimSpace(port)
	p.end = end
	return nil
}

// Stop kills the process.
func (p *Program) Stop() {
	if p.end != nil {
		p.end()
		p.end = nil
	}
}

// Addr returns host:port of the server.
func (p *Program) Addr() string { return net.JoinHostPort("127.0.0.1", p.port) }
