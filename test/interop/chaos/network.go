//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// A network says where servers and broker are, and can cut a server off from the broker and the other servers.
type network interface {
	// command returns a command that runs on the machine of a server.
	command(node int, self []string) *exec.Cmd
	// front and back are the addresses of a server's machine for clients, and for the other servers.
	front(node int) string
	back(node int) string
	// broker is the address of the machine that the broker is on.
	broker() string
	// cut takes the connection of a server's machine to those of the others and of the broker away, or gives it back. It
	// reports whether it can.
	cut(node int, off bool) (bool, error)
	close()
}

// loopback is a network of addresses of this machine, in which lines can be cut and machines can't.
type loopback struct{ a, b int }

func newLoopback() *loopback { return &loopback{1 + rand.IntN(250), rand.IntN(250)} }

func (l *loopback) command(_ int, self []string) *exec.Cmd { return exec.Command(self[0], self[1:]...) }
func (l *loopback) front(node int) string                  { return fmt.Sprintf("127.%d.%d.%d", l.a, l.b, 10+node) }
func (l *loopback) back(node int) string                   { return l.front(node) }
func (l *loopback) broker() string                         { return "127.0.0.1" }
func (l *loopback) cut(int, bool) (bool, error)            { return false, nil }
func (l *loopback) close()                                 {}

// namespaces is a network in which each server has a machine with two interfaces, one towards clients and one towards
// the broker and the other servers, whose cable can be pulled. Each network has two bridges in the network namespace of
// this process, which must be one of its own (see [Isolate]).
type namespaces struct {
	k     int
	hosts []*process // which keep the namespaces of the servers
}

var networks atomic.Int32

func newNamespaces(nodes int) (_ *namespaces, err error) {
	n := &namespaces{k: int(networks.Add(1))}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	for _, side := range []string{"f", "b"} {
		if err := n.ip("link", "add", n.bridge(side), "type", "bridge"); err != nil {
			return nil, err
		}
		if err := n.ip("addr", "add", n.address(side, 1)+"/24", "dev", n.bridge(side)); err != nil {
			return nil, err
		}
		if err := n.ip("link", "set", n.bridge(side), "up"); err != nil {
			return nil, err
		}
	}
	for i := range nodes {
		host := exec.Command("sleep", "infinity")
		host.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		p, err := start(host)
		if err != nil {
			return nil, err
		}
		n.hosts = append(n.hosts, p)
		if err := n.inside(i, "link", "set", "lo", "up"); err != nil {
			return nil, err
		}
		for _, side := range []string{"f", "b"} {
			cable := n.cable(side, i)
			for _, args := range [][]string{
				{"link", "add", cable, "type", "veth", "peer", "name", side, "netns", strconv.Itoa(p.cmd.Process.Pid)},
				{"link", "set", "dev", cable, "master", n.bridge(side)},
				{"link", "set", "dev", cable, "up"},
			} {
				if err := n.ip(args...); err != nil {
					return nil, err
				}
			}
			if err := n.inside(i, "addr", "add", n.address(side, 10+i)+"/24", "dev", side); err != nil {
				return nil, err
			}
			if err := n.inside(i, "link", "set", "dev", side, "up"); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

func (n *namespaces) bridge(side string) string { return fmt.Sprintf("%s%d", side, n.k) }
func (n *namespaces) cable(side string, node int) string {
	return fmt.Sprintf("%s%d-%d", side, n.k, node)
}

func (n *namespaces) address(side string, host int) string {
	net := 1
	if side == "b" {
		net = 2
	}
	return fmt.Sprintf("10.%d.%d.%d", n.k, net, host)
}

func (n *namespaces) ip(args ...string) error { return run("ip", args...) }

// inside runs ip on a server's machine.
func (n *namespaces) inside(node int, args ...string) error {
	pid := strconv.Itoa(n.hosts[node].cmd.Process.Pid)
	return run("nsenter", append([]string{"-t", pid, "-n", "ip"}, args...)...)
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func (n *namespaces) command(node int, self []string) *exec.Cmd {
	pid := strconv.Itoa(n.hosts[node].cmd.Process.Pid)
	return exec.Command("nsenter", append([]string{"-t", pid, "-n", "--"}, self...)...) // which becomes the program
}

func (n *namespaces) front(node int) string { return n.address("f", 10+node) }
func (n *namespaces) back(node int) string  { return n.address("b", 10+node) }
func (n *namespaces) broker() string        { return n.address("b", 1) }

func (n *namespaces) cut(node int, off bool) (bool, error) {
	state := "up"
	if off {
		state = "down"
	}
	return true, n.ip("link", "set", n.cable("b", node), state)
}

func (n *namespaces) close() {
	for _, p := range n.hosts {
		p.kill()
	}
	for _, side := range []string{"f", "b"} {
		_ = n.ip("link", "del", n.bridge(side)) // gone already, perhaps
	}
}

// isolated is the name of the variable that says that a process has a network namespace of its own.
const isolated = "SOCKEYE_CHAOS_ISOLATED"

// Isolated reports whether this process has a network namespace of its own, in which machines can be simulated.
func Isolated() bool { return os.Getenv(isolated) != "" }

// Isolate runs the program again with the same arguments, in a network namespace of its own, and returns its exit code.
// It returns an error where it can't, which is wherever the user is not root.
func Isolate() (code int, err error) {
	if os.Getuid() != 0 {
		return 0, errors.New("only root can make network namespaces")
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), isolated+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), err
}

// setUp makes the loopback interface of the namespace work.
func setUp() error {
	for _, name := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil {
			return &MissingError{name, "apt-get install iproute2 util-linux"}
		}
	}
	return run("ip", "link", "set", "lo", "up")
}
