// Package pgtest starts a PostgreSQL for a test.
package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// A Server is a PostgreSQL of the test's own, on a socket in its directory and on no port.
type Server struct {
	// DSN is how to connect to it.
	DSN string
	// Dir is where its socket is; the user is called test and the database postgres.
	Dir string

	t   testing.TB
	bin string
	as  *syscall.SysProcAttr
	cmd *exec.Cmd
}

// Start makes and starts a PostgreSQL, which is stopped and deleted at the end of the test. Where there is none it calls
// skip with the reason, which must not return.
func Start(t testing.TB, skip func(reason string)) *Server {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // Debian has it in nobody's PATH
	if path, err := exec.LookPath("postgres"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		skip("PostgreSQL is not installed (apt-get install postgresql)")
	}
	dir, err := os.MkdirTemp("", "pg") //nolint:usetesting // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{
		t: t, bin: filepath.Dir(found[0]), as: &syscall.SysProcAttr{},
		Dir: dir, DSN: "host=" + dir + " user=test dbname=postgres",
	}
	if os.Getuid() == 0 {
		if s.as.Credential = unprivileged(); s.as.Credential == nil {
			skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
		}
		if err := os.Chown(dir, int(s.as.Credential.Uid), int(s.as.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	initdb := s.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "test", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// unprivileged returns whom PostgreSQL runs as when the test is run by root, whom it refuses.
func unprivileged() *syscall.Credential {
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.SysProcAttr = s.as
	cmd.Dir = s.Dir
	return cmd
}

// Start starts the server again, after Stop.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = s.command("postgres", "-D", filepath.Join(s.Dir, "data"), "-k", s.Dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 6000 { // a minute, and more
		if s.command("pg_isready", "-q", "-h", s.Dir).Run() == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("PostgreSQL does not answer")
}

// Stop ends the server without giving its clients time for anything.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}
