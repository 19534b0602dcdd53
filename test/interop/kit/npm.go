package kit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Root returns the folder test/interop in the checkout, wherever the calling test runs.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

var npmOnce = sync.OnceValues(InstallNPM)

// NPM returns the folder that holds node_modules with the packages of test/interop/package.json, installing them on
// the first call, into the user's cache so that a fresh checkout does not install again. It skips the test when
// Node.js is missing or the packages can't be fetched.
func NPM(t testing.TB) string {
	t.Helper()
	Need(t, "node")
	Need(t, "npm")
	dir, err := npmOnce()
	if err != nil {
		Skip(t, "npm packages are not installed: %v", err)
	}
	return dir
}

// InstallNPM installs the packages if they are not there yet and returns the folder that holds node_modules.
func InstallNPM() (string, error) {
	lock, err := os.ReadFile(filepath.Join(Root(), "package-lock.json"))
	if err != nil {
		return "", err
	}
	manifest, err := os.ReadFile(filepath.Join(Root(), "package.json"))
	if err != nil {
		return "", err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	sum := sha256.Sum256(append(append([]byte{}, manifest...), lock...))
	dir := filepath.Join(base, "sockeye", "interop-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// `go test ./...` runs packages side by side, each in its own process: only one of them installs.
	unlock, err := lockFile(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	done := filepath.Join(dir, ".installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	for name, data := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
		"--fetch-retry-mintimeout=1000", "--fetch-timeout=30000")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, npmError(out))
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// npmError picks the code and the explanation out of what npm printed.
func npmError(out []byte) string {
	var found []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if text, ok := strings.CutPrefix(line, "npm error "); ok && len(found) < 4 {
			found = append(found, strings.TrimSpace(text))
		}
	}
	return strings.Join(found, "; ")
}

func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
