package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/complete"
)

func TestCompletion(t *testing.T) {
	for _, c := range []struct {
		words string // with | between them
		want  string
		files bool
	}{
		{"co", "connect completion", false},
		{"emit|--tr", "--transport", false},
		{"emit|--transport|pol", "polling", false},
		{"emit|--transport=websocket,str", "--transport=websocket,streaming", false},
		{"emit|--transport|=|pol", "polling", false},
		{"emit|-t|websocket,p", "websocket,polling", false},
		{"emit|--color|", "auto always never", false},
		{"--color|never|li", "listen", false},
		{"emit|url|--ack|--js", "--json", false},
		{"emit|url|event|", "", false},
		{"emit|--ca|", "", true},
		{"emit|--auth|@", "", true},
		{"completion|", "bash zsh fish powershell", false},
		{"completion|z", "zsh", false},
		{"connect|--|--tr", "", false},
		{"emit|--nothing=", "", false},
		{"__", "", false},
	} {
		var out, errOut bytes.Buffer
		if code := run(append([]string{complete.Command}, strings.Split(c.words, "|")...), streams{&out, &errOut}); code != exitOK {
			t.Errorf("%s: exit code %d", c.words, code)
		}
		var got []string
		files := false
		for line := range strings.Lines(out.String()) {
			text, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if text == ":files" {
				files = true
			} else {
				got = append(got, text)
			}
		}
		if want := strings.Fields(c.want); !slices.Equal(got, want) || files != c.files {
			t.Errorf("%s: %q %v, want %q %v", c.words, got, files, want, c.files)
		}
	}
	for _, shell := range complete.Shells {
		var out bytes.Buffer
		if code := run([]string{"completion", shell}, streams{&out, &out}); code != exitOK || !strings.Contains(out.String(), complete.Command) {
			t.Errorf("%s: exit code %d, %s", shell, code, out.String())
		}
	}
	var out bytes.Buffer
	if code := run([]string{"completion", "csh"}, streams{&out, &out}); code != exitUsage {
		t.Errorf("csh: exit code %d", code)
	}
}

// A real bash loads the script and completes what a function of readline would ask it to.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash on this machine")
	}
	dir := t.TempDir()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "sockeye")); err != nil {
		t.Skipf("no symbolic links: %v", err)
	}
	script := `source <(sockeye completion bash) || exit 1
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _sockeye
    echo "${COMPREPLY[*]}"
}
complete -p sockeye
ask sockeye con
ask sockeye emit url say --transport pol
ask sockeye emit --color = ne
ask sockeye emit --color =
ask sockeye completion ""
`
	cmd := exec.CommandContext(t.Context(), bash, "--noprofile", "--norc", "-c", script)
	cmd.Env = append(os.Environ(), "SOCKEYE_TEST_MAIN=1", "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	want := `complete -F _sockeye sockeye
connect
polling
never
auto always never
bash zsh fish powershell
`
	if err != nil || string(out) != want {
		t.Errorf("%v, bash says\n%s\nwant\n%s", err, out, want)
	}
}
