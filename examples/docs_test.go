// Package examples checks what the documentation shows.
package examples

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/pires/go-proxyproto" // for docs/server.md
)

// The Go in README.md and docs/ is compiled and vetted. A block that begins with a package clause is a whole program.
// Any other is a fragment, of declarations or of statements, and may use without further ado the packages in known and
// the variables in given. The tests in docs/testing.md are run.

var known = map[string]string{
	"client":      "github.com/sockeye-io/sockeye/client",
	"context":     "context",
	"embedded":    "github.com/sockeye-io/sockeye/adapter/nats/embedded",
	"engine":      "github.com/sockeye-io/sockeye/client/engine",
	"engineio":    "github.com/sockeye-io/sockeye/engineio",
	"errors":      "errors",
	"event":       "github.com/sockeye-io/sockeye/event",
	"expvar":      "expvar",
	"fmt":         "fmt",
	"goredis":     "github.com/redis/go-redis/v9",
	"http":        "net/http",
	"httputil":    "net/http/httputil",
	"json":        "encoding/json",
	"log":         "log",
	"net":         "net",
	"netip":       "net/netip",
	"nats":        "github.com/sockeye-io/sockeye/adapter/nats",
	"os":          "os",
	"peers":       "github.com/sockeye-io/sockeye/peers",
	"proxyproto":  "github.com/pires/go-proxyproto",
	"packet":      "github.com/sockeye-io/sockeye/socketio/packet",
	"presence":    "github.com/sockeye-io/sockeye/presence",
	"redis":       "github.com/sockeye-io/sockeye/adapter/redis",
	"regexp":      "regexp",
	"signal":      "os/signal",
	"slog":        "log/slog",
	"socketio":    "github.com/sockeye-io/sockeye/socketio",
	"sockeyetest": "github.com/sockeye-io/sockeye/sockeyetest",
	"strings":     "strings",
	"synctest":    "testing/synctest",
	"testing":     "testing",
	"time":        "time",
	"tls":         "crypto/tls",
	"url":         "net/url",
	"x509":        "crypto/x509",
}

const given = `package fragment

import (
	"context"
	"net/http"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
)

var (
	ctx  context.Context
	io   *socketio.Server   // a server
	s    *socketio.Socket   // one of its sockets
	c    *client.Client     // a client
	sock *client.Socket     // one of its sockets
	m    *socketio.Message  // an event
	mux  *http.ServeMux
)
`

// A block is a fenced block of Go in a document.
type block struct {
	file string
	line int // of its first line
	text string
}

var fence = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(files, "../README.md", "README.md")
}

func blocks(t *testing.T) []block {
	t.Helper()
	var all []block
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range fence.FindAllSubmatchIndex(text, -1) {
			all = append(all, block{file, bytes.Count(text[:at[2]], []byte("\n")) + 1, string(text[at[2]:at[3]])})
		}
	}
	return all
}

func (b block) name() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// isTest reports whether the block is a test that can be run.
func (b block) isTest() bool {
	return filepath.Base(b.file) == "testing.md" && strings.Contains(b.text, "func Test")
}

// source makes a file of the block. Errors of the compiler point into the document.
func (b block) source() (text string, fragment bool, err error) {
	from, err := filepath.Abs(b.file)
	if err != nil {
		return "", false, err
	}
	body := fmt.Sprintf("//line %s:%d\n%s", from, b.line, b.text)
	if strings.HasPrefix(b.text, "package ") {
		return body, false, nil
	}
	head := "package fragment\n"
	file, err := parser.ParseFile(token.NewFileSet(), "", head+body, parser.SkipObjectResolution)
	if err != nil {
		body = "func _() {\n" + body + "}\n"
		file, err = parser.ParseFile(token.NewFileSet(), "", head+body, parser.SkipObjectResolution)
	}
	if err != nil {
		return "", true, err
	}
	used := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && known[x.Name] != "" {
				used[x.Name] = true
			}
		}
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(used)) {
		head += fmt.Sprintf("import %s %q\n", name, known[name])
	}
	return head + body, true, nil
}

func TestDocumentsCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a module of its own")
	}
	all := blocks(t)
	if len(all) < 10 {
		t.Fatalf("only %d blocks of Go were found", len(all))
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	write("go.mod", strings.ReplaceAll(string(mod), " => ..", " => "+root))
	write("go.sum", string(sum))
	var tests []string // packages
	for i, b := range all {
		text, fragment, err := b.source()
		if err != nil {
			t.Errorf("%s is no Go: %v", b.name(), err)
			continue
		}
		folder, file := fmt.Sprintf("block%d", i), "block.go"
		if b.isTest() {
			file = "block_test.go"
			tests = append(tests, "./"+folder)
		}
		write(filepath.Join(folder, file), text)
		if fragment {
			write(filepath.Join(folder, "given.go"), given)
		}
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	run("vet", "./...")
	if len(tests) < 10 {
		t.Errorf("only %d tests were found", len(tests))
	}
	run(append([]string{"test", "-vet=off"}, tests...)...)
}

var (
	link    = regexp.MustCompile(`\]\(([^)#: ]*)(?:#([^) ]*))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	noSlug  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns what a link may name behind the # of a document.
func anchors(text string) map[string]bool {
	all := map[string]bool{"": true}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		all[strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}

func TestDocumentsLink(t *testing.T) {
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		prose := fenced.ReplaceAllString(string(text), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			target := prose
			if m[1] != "" {
				path := filepath.Join(filepath.Dir(file), m[1])
				if info, err := os.Stat(path); err == nil && info.IsDir() {
					continue
				}
				linked, err := os.ReadFile(path)
				if err != nil {
					t.Errorf("%s links to %s, which is not there", file, m[1])
					continue
				}
				target = fenced.ReplaceAllString(string(linked), "")
			}
			if !anchors(target)[m[2]] {
				t.Errorf("%s links to %s#%s, and there is no such heading", file, m[1], m[2])
			}
		}
	}
}
