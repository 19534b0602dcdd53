//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// A broker can be killed and started again, with what it has kept.
type broker interface {
	start(ctx context.Context) error
	kill()
	dial() (net.Conn, error)
	close()
}

// A MissingError is returned when a program is not installed.
type MissingError struct{ Program, Install string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed (%s)", e.Program, e.Install)
}

// newBroker returns the broker of an adapter, not started. It is nil if there is none.
func newBroker(adapter string, self []string) (broker, error) {
	switch adapter {
	case "embedded":
		return nil, nil
	case "nats":
		return &natsBroker{self: self}, nil
	}
	dir, err := os.MkdirTemp("", "chaos") // short enough for the name of a socket
	if err != nil {
		return nil, err
	}
	if adapter == "postgres" {
		b, err := newPostgres(dir)
		if err != nil {
			return nil, err
		}
		return b, nil
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.Join(&MissingError{"redis-server", "apt-get install redis-server"}, os.RemoveAll(dir))
	}
	return &redisBroker{path: path, dir: dir, keeps: adapter == "redis-streams"}, nil
}

// until waits until a broker answers.
func until(ctx context.Context, p *process, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !ok() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-p.ended:
			return fmt.Errorf("%s has ended: %w", p.cmd.Path, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.cmd.Path, ctx.Err())
		}
	}
	return nil
}

type redisBroker struct {
	path, dir string
	keeps     bool // every entry is on disk before its sender is told
	p         *process
}

func (r *redisBroker) start(ctx context.Context) (err error) {
	args := []string{"--port", "0", "--unixsocket", filepath.Join(r.dir, "s"), "--save", "", "--dir", r.dir, "--logfile", filepath.Join(r.dir, "log")}
	if r.keeps {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	}
	_ = os.Remove(filepath.Join(r.dir, "s")) // that of the one that was killed
	if r.p, err = start(exec.Command(r.path, args...)); err != nil {
		return err
	}
	return until(ctx, r.p, func() bool {
		c, err := r.dial()
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		answer := make([]byte, 5)
		if _, err := c.Write([]byte("PING\r\n")); err != nil {
			return false
		}
		_, err = c.Read(answer)
		return err == nil && string(answer) == "+PONG"
	})
}

func (r *redisBroker) kill()                   { r.p.kill() }
func (r *redisBroker) dial() (net.Conn, error) { return net.Dial("unix", filepath.Join(r.dir, "s")) }

func (r *redisBroker) close() {
	if r.p != nil {
		r.kill()
	}
	_ = os.RemoveAll(r.dir)
}

type natsBroker struct {
	self []string     // how to run this program as a NATS server
	addr atomic.Value // string; another one after each start
	p    *process
}

func (n *natsBroker) start(context.Context) (err error) {
	if n.p, err = start(exec.Command(n.self[0], n.self[1:]...)); err != nil {
		return err
	}
	addr, err := n.p.line()
	n.addr.Store(addr)
	return err
}

func (n *natsBroker) kill()                   { n.p.kill() }
func (n *natsBroker) dial() (net.Conn, error) { return net.Dial("tcp", n.addr.Load().(string)) }

func (n *natsBroker) close() {
	if n.p != nil {
		n.kill()
	}
}

type postgresBroker struct {
	bin, dir string
	as       *syscall.Credential
	p        *process
}

func newPostgres(dir string) (_ *postgresBroker, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // Debian has it in nobody's PATH
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return nil, &MissingError{"PostgreSQL", "apt-get install postgresql"}
	}
	b := &postgresBroker{bin: filepath.Dir(found[0]), dir: dir}
	if os.Getuid() == 0 { // whom it refuses
		for _, name := range []string{"nobody", "postgres"} {
			if u, err := user.Lookup(name); err == nil {
				uid, _ := strconv.ParseUint(u.Uid, 10, 32)
				gid, _ := strconv.ParseUint(u.Gid, 10, 32)
				b.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			}
		}
		if b.as == nil {
			return nil, &MissingError{"a user postgres or nobody, since PostgreSQL does not run as root", "adduser postgres"}
		}
		if err := os.Chown(dir, int(b.as.Uid), int(b.as.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := b.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "test", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return b, nil
}

func (b *postgresBroker) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.bin, name), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.as, Pdeathsig: syscall.SIGQUIT}
	cmd.Dir = b.dir
	return cmd
}

func (b *postgresBroker) start(ctx context.Context) (err error) {
	cmd := b.command("postgres", "-D", filepath.Join(b.dir, "data"), "-k", b.dir, "-c", "listen_addresses=", "-c", "max_connections=100")
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	if b.p, err = start(cmd); err != nil {
		return err
	}
	return until(ctx, b.p, func() bool { return b.command("pg_isready", "-q", "-h", b.dir).Run() == nil })
}

// kill is what PostgreSQL calls immediate: no farewell, nothing finished. A SIGKILL would leave its children behind.
func (b *postgresBroker) kill() { _ = b.p.end(syscall.SIGQUIT) }

func (b *postgresBroker) dial() (net.Conn, error) {
	return net.Dial("unix", filepath.Join(b.dir, ".s.PGSQL.5432"))
}

func (b *postgresBroker) close() {
	if b.p != nil {
		b.kill()
	}
	_ = os.RemoveAll(b.dir)
}
