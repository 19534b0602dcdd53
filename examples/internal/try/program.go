// Package try starts the example programs as a whole, in a process of their own. What they do is better tested with
// package sockeyetest.
package try

import (
	"bufio"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
)

// wait is how long a test waits for what must come. It is never part of what is asserted.
const wait = 20 * time.Second

// asProgram in the environment makes a test binary behave as the program that it tests.
const asProgram = "SOCKEYE_EXAMPLE"

// Main is TestMain of an example: main is the example's own. The test binary runs it in a process of its own when
// [Start] asks for it, so that the program under test is the whole program, with its flags and signals.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	flag.CommandLine = flag.NewFlagSet(os.Args[0], flag.ExitOnError) // without the flags of tests
	main()
	os.Exit(0)
}

// A Program is an example that runs.
type Program struct {
	// URL is where it says that it listens, without a slash at the end.
	URL string
}

var printedURL = regexp.MustCompile(`https?://\S+`)

// Start runs the program on a free port. When the test ends it is interrupted, as by Ctrl+C, and must end by itself
// without an error.
func Start(t *testing.T, args ...string) *Program {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"--addr", "localhost:0"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	kill := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
	var url string
	for url == "" && err == nil {
		var line string
		line, err = lines.ReadString('\n')
		url = strings.TrimSuffix(printedURL.FindString(line), "/")
	}
	kill.Stop()
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the program did not say where it listens: %v\n%s", err, stderr.String())
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, lines)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // if it has ended already, Wait says how
		kill := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("after the interrupt the program ended with: %v\n%s", err, stderr.String())
		}
		if t.Failed() {
			t.Logf("the program wrote:\n%s", stderr.String())
		}
	})
	return &Program{URL: url}
}

// Get fetches a page, which must be there, and returns its body.
func (p *Program) Get(t *testing.T, path string) string {
	t.Helper()
	res, err := http.Get(p.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s\n%s", path, res.Status, body)
	}
	return string(body)
}

// HasPage checks that the program serves its page, and the client that the page loads.
func (p *Program) HasPage(t *testing.T) {
	t.Helper()
	if page := p.Get(t, "/"); !strings.Contains(page, `src="/socket.io/socket.io.js"`) {
		t.Errorf("the page does not load the client:\n%s", page)
	}
	if client := p.Get(t, "/socket.io/socket.io.js"); len(client) < 1000 {
		t.Errorf("the client has %d bytes", len(client))
	}
}

// Connects connects over each transport, with what auth sends for authentication.
func (p *Program) Connects(t *testing.T, auth any) {
	t.Helper()
	for _, transport := range []string{"websocket", "polling", "streaming"} {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		s, err := client.Dial(ctx, p.URL, &client.Options{
			Transports: []string{transport},
			NoUpgrade:  true,
			Auth:       func(context.Context) (any, error) { return auth, nil },
		})
		if err != nil {
			t.Fatalf("over %s: %v", transport, err)
		}
		if err := s.Client().Close(); err != nil {
			t.Errorf("over %s: %v", transport, err)
		}
	}
}

// Streams checks that a streaming response comes through while it is open.
func (p *Program) Streams(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/socket.io/?EIO=4&transport=streaming", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	open, err := bufio.NewReader(res.Body).ReadString('\x1e')
	if err != nil || !strings.HasPrefix(open, "0{") {
		t.Errorf("the first record of a stream is %q, %v", open, err)
	}
}
