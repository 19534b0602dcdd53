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

// NodeServer is a server written for Node.js: a script that takes its options as JSON in its first argument, listens
// on 127.0.0.1 at the option port (0: any), prints the port, and ends when its standard input does.
type NodeServer struct {
	path, npm, script string
	options           map[string]any
	port              string
	end               func()
}

// NewNodeServer prepares a server from a script below test/interop. It skips the test when Node.js is missing.
func NewNodeServer(t testing.TB, script string, options map[string]any) *NodeServer {
	t.Helper()
	return &NodeServer{path: Need(t, "node"), npm: NPM(t), script: filepath.Join(Root(), script), options: options}
}

// Start starts the process, on the same port as before if it ran before.
func (n *NodeServer) Start() error {
	options := map[string]any{"port": 0}
	if n.port != "" {
		options["port"] = json.Number(n.port)
	}
	for k, v := range n.options {
		options[k] = v
	}
	data, err := json.Marshal(options)
	if err != nil {
		return err
	}
	cmd := exec.Command(n.path, n.script, string(data))
	cmd.Env = append(os.Environ(), "NPM_ROOT="+n.npm)
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
		return fmt.Errorf("the Node server did not start: %w", err)
	}
	n.port = strings.TrimSpace(port)
	n.end = end
	return nil
}

// Stop kills the process.
func (n *NodeServer) Stop() {
	if n.end != nil {
		n.end()
		n.end = nil
	}
}

// Addr returns host:port of the server.
func (n *NodeServer) Addr() string { return net.JoinHostPort("127.0.0.1", n.port) }
