package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fencedBlock finds the fenced blocks of a document. Those of these languages are for a shell, or may be.
var (
	fencedBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	shells      = []string{"", "sh", "bash", "shell", "console"}
)

// shellWords splits a line as a shell does, as far as documents need it: quotes, comments, and the operators between
// commands, which are words of their own.
func shellWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside := false
	end := func() {
		if inside {
			words = append(words, word.String())
		}
		word.Reset()
		inside = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\'' || c == '"':
			inside = true
			for i++; i < len(line) && line[i] != c; i++ {
				if c == '"' && line[i] == '\\' {
					i++
				}
				word.WriteByte(line[i])
			}
			if i == len(line) {
				return nil, errors.New("a quote is not closed")
			}
		case c == '\\' && i+1 < len(line):
			i++
			inside = true
			word.WriteByte(line[i])
		case c == ' ' || c == '\t':
			end()
		case c == '#' && !inside:
			end()
			return words, nil
		case strings.IndexByte("|;&<>()", c) >= 0:
			end()
			if n := len(words); n == 0 || !strings.HasPrefix(words[n-1], "\x00") {
				words = append(words, "\x00")
			}
		default:
			inside = true
			word.WriteByte(c)
		}
	}
	end()
	return words, nil
}

// commandLines finds what is behind "sockeye" in the commands of a line.
func commandLines(line string) (all [][]string, err error) {
	words, err := shellWords(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
	if err != nil {
		return nil, err
	}
	var current []string
	begins, collecting := true, false
	for _, w := range append(words, "\x00") {
		switch {
		case w == "\x00":
			if collecting {
				all = append(all, current)
			}
			begins, collecting, current = true, false, nil
		case collecting:
			current = append(current, w)
		case begins && (w == "sockeye" || strings.HasSuffix(w, "/sockeye")):
			collecting = true
		case w == "run" || w == "go" || strings.Contains(w, "=") || w == "while" || w == "if" || w == "do" || w == "!":
			// "go run ./cmd/sockeye …" and "X=1 sockeye …"
		default:
			begins = false
		}
	}
	return all, nil
}

// Every "sockeye …" in the documents' shell lines, and in the examples of the help, must be one that is understood.
func TestDocumentedCommandLines(t *testing.T) {
	files, err := filepath.Glob(docs + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	type place struct{ name, text string }
	var texts []place
	for _, file := range append(files, "../../README.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range fencedBlock.FindAllStringSubmatch(string(data), -1) {
			if slices.Contains(shells, m[1]) {
				texts = append(texts, place{fmt.Sprintf("%s, block %d", file, i+1), m[2]})
			}
		}
	}
	parser := newParser(&commands{}, streams{io.Discard, io.Discard}, func(int) {})
	for _, node := range append(parser.Model.Children, parser.Model.Node) {
		_, examples, ok := strings.Cut(node.Detail, "Examples:\n")
		if !ok {
			t.Errorf("the help of %q has no examples", node.Name)
		}
		examples, _, _ = strings.Cut(examples, "Exit codes:")
		texts = append(texts, place{"the help of " + node.Name, examples})
	}
	found := 0
	for _, p := range texts {
		for line := range strings.Lines(strings.ReplaceAll(p.text, "\\\n", " ")) {
			if !strings.Contains(line, "sockeye ") || strings.Contains(line, "sockeye: ") {
				continue
			}
			// Behind two spaces and no quote the help has a remark.
			all, err := commandLines(remark.ReplaceAllString(strings.TrimSpace(line), "$1"))
			if err != nil {
				t.Errorf("%s: %s: %v", p.name, strings.TrimSpace(line), err)
			}
			for _, args := range all {
				found++
				ended := false
				parser := newParser(&commands{}, streams{io.Discard, io.Discard}, func(int) { ended = true })
				if _, err := parser.Parse(args); err != nil && !ended {
					t.Errorf("%s: sockeye %q: %v", p.name, args, err)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d command lines were found", found)
	}
}

var remark = regexp.MustCompile(`^(sockeye [^']*?(?:'[^']*'[^']*?)*)\s{2,}\S.*$`)

func TestCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		`sockeye emit a 'b c' "d" # e`:                   `[["emit" "a" "b c" "d"]]`,
		`$ tail -f x | sockeye emit a b - --text`:        `[["emit" "a" "b" "-" "--text"]]`,
		`sockeye listen a|sockeye emit b -`:              `[["listen" "a"] ["emit" "b" "-"]]`,
		`go run ./cmd/sockeye serve && A=1 sockeye help`: `[["serve"] ["help"]]`,
		`source <(sockeye completion bash)`:              `[["completion" "bash"]]`,
		`make sockeye serve`:                             `[]`,
	} {
		got, err := commandLines(line)
		if s := fmt.Sprintf("%q", got); err != nil || s != want {
			t.Errorf("%s: %s %v, want %s", line, s, err, want)
		}
	}
	if got := remark.ReplaceAllString(`sockeye emit x '{"a":  1}' y    remark here`, "$1"); got != `sockeye emit x '{"a":  1}' y` {
		t.Errorf("%q", got)
	}
}
