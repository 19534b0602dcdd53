package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// sizeGoal is the most that the minified module may weigh, compressed.
const sizeGoal = 8000

func TestDistIsBuiltFromSource(t *testing.T) {
	dist := filepath.Join(webDir(), "dist")
	files, err := Build(webDir())
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"socket.io.d.ts": true}
	for _, f := range files {
		known[f.Name] = true
		committed, err := os.ReadFile(filepath.Join(dist, f.Name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(committed, f.Content) {
			t.Errorf("web/dist/%s differs from what web/src gives: go run ./web/bundle", f.Name)
		}
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !known[e.Name()] {
			t.Errorf("web/dist/%s is not made from anything", e.Name())
		}
	}
}

func TestBundleIsSmall(t *testing.T) {
	files, err := Build(webDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name == "socket.io.esm.min.js" && gzipped(f.Content) >= sizeGoal {
			t.Errorf("%s is %d bytes gzipped, the goal is less than %d", f.Name, gzipped(f.Content), sizeGoal)
		}
	}
}

func TestPlaceholderKeepsItsName(t *testing.T) {
	files, err := Build(webDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		// Minifying renames what begins with an underscore; this goes over the wire.
		if filepath.Ext(f.Name) == ".js" && !bytes.Contains(f.Content, []byte("_placeholder")) {
			t.Errorf("%s has no _placeholder", f.Name)
		}
	}
}

// TestTypes and TestClient need Node and the packages of web/package.json: npm ci, in web.

func TestTypes(t *testing.T) {
	needPackage(t, "typescript")
	run(t, nil, "npx", "tsc", "--noEmit")
	run(t, nil, "npx", "tsc", "--noEmit", "-p", "test/types")
	run(t, nil, "node", "types.js", "--check")
}

func TestClient(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the client's own tests take a minute")
	}
	needPackage(t, "socket.io")
	server := filepath.Join(t.TempDir(), "server")
	build := exec.Command("go", "build", "-o", server, "./test/server")
	build.Dir = webDir()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The minified bundle is what pages load, and the one where more can go wrong.
	run(t, []string{"SOCKEYE_SERVER=" + server, "SOCKEYE_BUNDLE=socket.io.esm.min.js"}, "npm", "test", "--silent")
}

func needPackage(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs Node.js")
	}
	if _, err := os.Stat(filepath.Join(webDir(), "node_modules", name)); err != nil {
		t.Skipf("needs the npm package %s: npm ci, in web", name)
	}
}

func run(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = webDir()
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
}
