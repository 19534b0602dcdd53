package clusterdemo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strconv"
	"time"
)

// startRedis starts a Redis of our own, which keeps nothing.
func startRedis(ctx context.Context, dir string) (*process, string, error) {
	path, err := find("redis-server")
	if err != nil {
		return nil, "", errors.New("redis-server is not installed (Debian: apt-get install redis-server); or say where there is a Redis, as --redis redis://HOST:6379")
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, "", err
	}
	p, err := startProcess(exec.Command(path, "--port", strconv.Itoa(ports[0]), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", dir), nil)
	if err != nil {
		return nil, "", err
	}
	addr := local(ports[0])
	if err := awaitAddr(ctx, p, addr); err != nil {
		p.stop()
		return nil, "", fmt.Errorf("redis-server does not start: %w", err)
	}
	return p, "redis://" + addr, nil
}

// awaitAddr waits until a process takes connections.
func awaitAddr(ctx context.Context, p *process, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// find looks for a program, also where Debian keeps daemons and an ordinary user's PATH does not look.
func find(name string) (string, error) {
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", errNotInstalled
}

func withoutPassword(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "at the address that was given"
	}
	return u.Redacted()
}
