package kit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report")
	t.Setenv(ReportVar, report)
	record(Entry{Test: "TestX", Skipped: "for want of a thing"})
	Used("node")
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"test":"TestX","skipped":"for want of a thing"}` + "\n" + `{"used":"node"}` + "\n"
	if string(data) != want {
		t.Errorf("the report is %s, want %s", data, want)
	}
}

// TestNeedFindsAndMisses uses a path of its own, so that it does not matter what this machine has.
func TestNeedFindsAndMisses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "some-tool"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if p, err := command("some-tool")(); err != nil || p != filepath.Join(dir, "some-tool") {
		t.Errorf("found %q, %v", p, err)
	}
	if _, err := command("no-such-tool-anywhere")(); err == nil || !strings.Contains(err.Error(), "no-such-tool-anywhere") {
		t.Errorf("error is %v", err)
	}
}
