package examples

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The guides for those who come from elsewhere say in tables, in the column "Sockeye", what does the same here. Names in
// there are checked, since nothing compiles them.

var (
	code     = regexp.MustCompile("`([^`]+)`")
	quoted   = regexp.MustCompile(`"[^"]*"`)
	standard = regexp.MustCompile(`\b(context|errors|http|regexp|signal|slog|time)\.[A-Z]\w*(\.[A-Z]\w*)?|[A-Z]\w*-[\w-]+`) // and headers
	exported = regexp.MustCompile(`(?:^|[^\w-])([A-Z]\w+)`)
)

// declaredInGuides are names of the reader's program.
var declaredInGuides = []string{"Ask", "IdleTimeout", "Jar", "Say"}

// exports returns what the packages export: functions, methods, types, fields, constants and variables.
func exports(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, folder := range folders {
		entries, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if err != nil || len(entries) == 0 {
			t.Fatalf("no Go in %s: %v", folder, err)
		}
		for _, name := range entries {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					all[n.Name.Name] = true
					return false
				case *ast.TypeSpec:
					all[n.Name.Name] = true
				case *ast.Field:
					for _, name := range n.Names {
						all[name.Name] = true
					}
					if ident, ok := n.Type.(*ast.Ident); ok && len(n.Names) == 0 {
						all[ident.Name] = true
					}
				case *ast.ValueSpec:
					for _, name := range n.Names {
						all[name.Name] = true
					}
				}
				return true
			})
		}
	}
	return all
}

func TestGuidesNameWhatThereIs(t *testing.T) {
	known := exports(t, "adapter", "adapter/nats", "adapter/postgres", "adapter/redis", "client", "client/engine", "engineio", "event", "peers", "presence",
		"socketio", "socketio/packet", "sockeyetest")
	guides, err := filepath.Glob("../docs/from-*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		column := -1 // of the table that is being read
		var previous string
		for i, line := range strings.Split(string(text), "\n") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			switch {
			case !strings.HasPrefix(line, "|"):
				column = -1
			case !strings.HasPrefix(previous, "|"):
				column = slices.IndexFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "Sockeye" })
			case column >= 0 && column < len(cells):
				for _, m := range code.FindAllStringSubmatch(cells[column], -1) {
					expr := standard.ReplaceAllString(quoted.ReplaceAllString(m[1], `""`), "")
					for _, name := range exported.FindAllStringSubmatch(expr, -1) {
						checked++
						if !known[name[1]] && !slices.Contains(declaredInGuides, name[1]) {
							t.Errorf("%s:%d: there is no %s", guide, i+1, name[1])
						}
					}
				}
			}
			previous = line
		}
	}
	if checked < 500 {
		t.Errorf("only %d names were found in the tables", checked)
	}
}
