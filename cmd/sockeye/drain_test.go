package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
)

func TestHealth(t *testing.T) {
	url := startDemo(t, nil)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		status, body, header := get(t, url+path)
		if status != http.StatusOK || body != want || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %q, Cache-Control %q", path, status, body, header.Get("Cache-Control"))
		}
		if r, err := http.Post(url+path, "", nil); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %v, %v", path, r, err)
		} else {
			r.Body.Close()
		}
	}
	for _, path := range []string{"/healthz", "readyz/x"} {
		var out, errOut bytes.Buffer
		if code := run([]string{"serve", "--addr", "127.0.0.1:0", "--path", path}, streams{&out, &errOut}); code != exitError {
			t.Errorf("--path %s: exit code %d", path, code)
		}
	}
}

// serveProcess starts the real program; url is where it serves.
func serveProcess(t *testing.T, args ...string) (cmd *exec.Cmd, out *screen, url string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "SOCKEYE_TEST_MAIN=1")
	out = newScreen()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // fails if it has been waited for
		http.DefaultClient.CloseIdleConnections()
	})
	return cmd, out, out.waitFor(t, `(http://\S+)`)
}

// open begins a session over long-polling that never fetches anything, and so keeps a server from being empty.
func open(t *testing.T, url string) {
	t.Helper()
	if status, body, _ := get(t, url+"/socket.io/?EIO=4&transport=polling"); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
}

// SIGTERM has the server drained: it says that it isn't ready, serves those who are there, and refuses others.
func TestSIGTERMDrains(t *testing.T) {
	cmd, out, url := serveProcess(t, "--drain", "5s")
	open(t, url)
	s, err := client.Dial(t.Context(), url, &client.Options{Reconnect: client.ReconnectOptions{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Client().Close()
	gone := make(chan client.Reason, 1)
	s.OnDisconnect(func(r client.Reason, _ error) { gone <- r })
	start := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, `Draining`)
	var status int
	var body string
	until(t, "/readyz that refuses", func() bool { // it drains just after it has said so
		status, body, _ = get(t, url+"/readyz")
		return status != http.StatusOK
	})
	if status != http.StatusServiceUnavailable || body != "draining\n" {
		t.Errorf("/readyz: %d, %q", status, body)
	}
	if status, _, _ := get(t, url+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	if status, _, header := get(t, url+"/socket.io/?EIO=4&transport=polling"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("a new client: %d, Retry-After %q", status, header.Get("Retry-After"))
	}
	if r := <-gone; r != client.ReasonTransportClose {
		t.Errorf("the client left for %q", r)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if took := time.Since(start); took < 5*time.Second || took > time.Minute {
		t.Errorf("took %v", took)
	}
}

// Who does not want to wait says so twice.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	cmd, out, url := serveProcess(t, "--drain", "10m")
	open(t, url)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, `Draining`)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if status, is := syscall.WaitStatus(0), false; ok {
		if status, is = exit.Sys().(syscall.WaitStatus); !is || status.Signal() != syscall.SIGTERM {
			t.Errorf("ended by %v", err)
		}
	} else {
		t.Errorf("ended with %v", err)
	}
}

// Ctrl+C, and --drain 0, wait only for as long as somebody at a terminal may like.
func TestNothingToDrain(t *testing.T) {
	for _, c := range []struct {
		cause error
		over  time.Duration
	}{{nil, time.Hour}, {errTerminated, 0}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(c.cause)
		var out bytes.Buffer
		(*demoServer)(nil).drain(ctx, streams{&out, &out}, c.over)
		if out.Len() > 0 {
			t.Errorf("cause %v, over %v: %q", c.cause, c.over, out.String())
		}
	}
}

func TestFrontFlagsOnCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"--proxy-protocol":                "needs --trusted-proxies",
		"--trusted-proxies proxy.example": "neither a network",
		"--drain soon":                    "--drain",
	} {
		var out, errOut bytes.Buffer
		code := run(append([]string{"serve", "--addr", "127.0.0.1:0"}, strings.Fields(args)...), streams{&out, &errOut})
		if all := fmt.Sprint(out.String(), errOut.String()); code == exitOK || !strings.Contains(all, want) {
			t.Errorf("%s: exit code %d, no %q in %s", args, code, want, all)
		}
	}
}
