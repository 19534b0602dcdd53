package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is a PostgreSQL of the test's own, on a socket in its directory.
type server struct {
	t   testing.TB
	bin string
	dir string
	as  *syscall.SysProcAttr
	cmd *exec.Cmd
	dsn string
}

// startPostgres makes and starts a PostgreSQL, or skips the test where there is none.
func startPostgres(t testing.TB) *server {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if path, err := exec.LookPath("postgres"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		skip(t, "PostgreSQL is not installed (apt-get install postgresql)")
	}
	dir, err := os.MkdirTemp("", "pg") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{t: t, bin: filepath.Dir(found[0]), dir: dir, as: &syscall.SysProcAttr{}}
	if os.Getuid() == 0 {
		s.as.Credential = unprivileged(t)
		if err := os.Chown(dir, int(s.as.Credential.Uid), int(s.as.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	initdb := s.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "test", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// unprivileged returns whom PostgreSQL runs as when the test is run by root, whom it refuses.
func unprivileged(t testing.TB) *syscall.Credential {
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	skip(t, "PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.SysProcAttr = s.as
	cmd.Dir = s.dir
	return cmd
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "max_connections=200")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.dsn = "host=" + s.dir + " user=test dbname=postgres"
	for range 1000 {
		c, err := pgx.Connect(context.Background(), s.dsn)
		if err == nil {
			_ = c.Close(context.Background())
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("PostgreSQL does not answer")
}

// stop ends the server without giving its clients time for anything.
func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// connect returns a connection of the test's own.
func (s *server) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// open returns a broker, which is closed at the end of the test.
func (s *server) open(t testing.TB, o postgres.Options) *postgres.Broker {
	t.Helper()
	if o.Pool == nil && o.DSN == "" {
		o.DSN = s.dsn
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := postgres.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestConformance(t *testing.T) {
	s := startPostgres(t)
	n := 0
	adaptertest.Run(t, func(t *testing.T, servers int) []adapter.Factory {
		n++
		factories := make([]adapter.Factory, servers)
		for i := range factories {
			factories[i] = s.open(t, postgres.Options{Prefix: fmt.Sprintf(`it's "cluster" %d`, n), Table: `At"tach`}).Adapter()
		}
		return factories
	})
}
