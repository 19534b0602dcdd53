package connect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// names are those of events that were seen or sent, for completion. A server decides about them, so that their number
// and length are bounded, and none that a terminal would act on is offered.
type names struct {
	mu  sync.Mutex
	all []string // the last used at the end
}

const (
	maxNames      = 256
	maxNameLength = 64
)

func (n *names) add(name string) {
	if len(name) > maxNameLength || name == "" || show.Clean(name) != name {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.all, name); i >= 0 {
		n.all = slices.Delete(n.all, i, i+1)
	} else if len(n.all) == maxNames {
		n.all = slices.Delete(n.all, 0, 1)
	}
	n.all = append(n.all, name)
}

// beginning returns those that begin with what was typed, in the form in which they are typed, in order.
func (n *names) beginning(typed string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []string
	for _, name := range n.all {
		if form := show.Name(name); strings.HasPrefix(form, typed) || strings.HasPrefix(name, typed) {
			found = append(found, form)
		}
	}
	slices.Sort(found)
	return found
}

// Complete returns what the end of a line can be completed to, and where in the line that begins.
func (s *Session) Complete(line string) (from int, candidates []string) {
	words := fields(line)
	last := words[len(words)-1]
	typed := line[last:]
	name := strings.TrimSpace(line[words[0]:])
	if i := strings.IndexFunc(name, unicode.IsSpace); i >= 0 {
		name = name[:i]
	}
	switch {
	case len(words) == 1 && strings.HasPrefix(typed, "/"):
		for _, c := range commands {
			if strings.HasPrefix(c.name, typed) {
				candidates = append(candidates, c.name)
			}
		}
	case len(words) == 1,
		len(words) == 2 && slices.Contains([]string{"/ack", "/binary", "/wait"}, name),
		name == "/listen":
		candidates = s.names.beginning(typed)
	case len(words) == 2 && (name == "/ns" || name == "/leave"):
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, sock := range s.joined {
			if strings.HasPrefix(sock.Namespace(), typed) && show.Plain(strings.TrimLeft(sock.Namespace(), "/")+"x") {
				candidates = append(candidates, sock.Namespace())
			}
		}
	case len(words) == 3 && name == "/binary":
		candidates = files(typed)
	}
	return last, candidates
}

// fields returns where the words of an unfinished line begin; the last may be empty. Quotes hold a word together.
func fields(line string) []int {
	starts := []int{}
	quoted, inside := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			if !inside {
				starts, inside = append(starts, i), true
			}
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			inside = false
		case !inside:
			starts, inside = append(starts, i), true
		}
	}
	if !inside {
		starts = append(starts, len(line))
	}
	return starts
}

// files lists the files that begin with what was typed. Names that would have to be quoted are left out.
func files(typed string) []string {
	dir, base := filepath.Split(typed)
	entries, err := os.ReadDir(filepath.Clean(expand(dir + ".")))
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, base) && show.Plain("x"+name) && (base != "" || !strings.HasPrefix(name, ".")) {
			if e.IsDir() {
				name += "/"
			}
			found = append(found, dir+name)
		}
	}
	return found
}

// common returns what all candidates begin with.
func common(candidates []string) string {
	prefix := candidates[0]
	for _, c := range candidates[1:] {
		for !strings.HasPrefix(c, prefix) {
			r := []rune(prefix)
			prefix = string(r[:len(r)-1])
		}
	}
	return prefix
}
