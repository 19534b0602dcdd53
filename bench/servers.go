//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// program is a server that follows the benchmark's contract, or a client that follows its own: see README.md.
type program struct {
	name  string
	title string
	argv  []string
}

// prepare builds the Go servers into dir and installs the Node one. A server that this machine can't run is left out,
// and why is said on log; ours and the floor are never left out.
func prepare(ctx context.Context, dir string, names []string, log io.Writer) ([]*program, error) {
	var servers []*program
	for _, name := range names {
		s := &program{name: name}
		var err error
		switch name {
		case "floor", "target":
			s.title = map[string]string{"floor": "floor", "target": "Sockeye"}[name]
			s.argv = []string{filepath.Join(dir, name)}
			err = command(ctx, ".", "go", "build", "-o", s.argv[0], "./"+name)
		case "node":
			if err = prepareNode(ctx, s, "socket.io", "server.js"); err != nil {
				fmt.Fprintf(log, "Node is left out: %v\n", err)
				continue
			}
		default:
			err = errors.New("no such server")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

const nodeDir = "peers/node"

func prepareNode(ctx context.Context, s *program, pkg, script string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	version, err := installedNodePackage(pkg)
	if err != nil {
		if err := command(ctx, nodeDir, "npm", "ci", "--silent"); err != nil {
			return err
		}
		if version, err = installedNodePackage(pkg); err != nil {
			return err
		}
	}
	s.title = "Node " + version
	s.argv = []string{"node", "--expose-gc", filepath.Join(nodeDir, script)}
	return nil
}

// installedNodePackage returns the version of a package in node_modules, and an error unless it is the one asked for.
func installedNodePackage(pkg string) (string, error) {
	var want struct{ Dependencies map[string]string }
	var have struct{ Version string }
	for file, v := range map[string]any{"package.json": &want, "node_modules/" + pkg + "/package.json": &have} {
		b, err := os.ReadFile(filepath.Join(nodeDir, file))
		if err == nil {
			err = json.Unmarshal(b, v)
		}
		if err != nil {
			return "", err
		}
	}
	if have.Version != want.Dependencies[pkg] {
		return "", fmt.Errorf("%s %s is installed", pkg, have.Version)
	}
	return have.Version, nil
}

func command(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// instance is a running server.
type instance struct {
	addr   string
	cmd    *exec.Cmd
	output bytes.Buffer
	exited chan struct{}
}

// freeAddr returns a local address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start runs the server on a free port, with more in its environment, and returns when it accepts connections.
func (s *program) start(ctx context.Context, env ...string) (*instance, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	i := &instance{addr: addr, exited: make(chan struct{})}
	argv := slices.Clone(s.argv)
	for n, arg := range argv {
		argv[n] = strings.ReplaceAll(arg, "$PORT", port)
	}
	i.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	i.cmd.Env = append(append(os.Environ(), "PORT="+port), env...)
	i.cmd.Stdout, i.cmd.Stderr = &i.output, &i.output
	if err := i.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = i.cmd.Wait()
		close(i.exited)
	}()
	deadline := time.After(15 * time.Second)
	for {
		if c, err := net.Dial("tcp", i.addr); err == nil {
			c.Close()
			return i, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-i.exited:
			return nil, fmt.Errorf("%s ended at its start:\n%s", s.name, i.output.String())
		case <-deadline:
			i.stop()
			return nil, fmt.Errorf("%s doesn't listen on %s:\n%s", s.name, i.addr, i.output.String())
		}
	}
}

// stop ends the server, politely first.
func (i *instance) stop() {
	_ = i.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-i.exited:
	case <-time.After(2 * time.Second):
		_ = i.cmd.Process.Kill()
		<-i.exited
	}
}
