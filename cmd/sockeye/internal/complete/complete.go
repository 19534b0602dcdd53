// Package complete completes command lines from the model that kong has of them.
//
// A shell runs the command itself with what has been typed and gets candidates back, so that what is completed is what
// the binary understands, and the part in the shell's language is a few lines (see Script).
package complete

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A Candidate is what a word may become.
type Candidate struct {
	Text string
	Help string
}

// Result is what a word can be completed to.
type Result struct {
	Candidates []Candidate
	// Files says that the word may be the name of a file.
	Files bool
}

// Words completes the last of the words that follow the name of the command. Shells for which = separates words pass it
// as a word of its own.
func Words(app *kong.Application, words []string) Result {
	if len(words) == 0 {
		words = []string{""}
	}
	done, last := words[:len(words)-1], words[len(words)-1]
	node := app.Node
	position := 0
	var flag *kong.Flag // that waits for its value
	literal := false    // behind --
	for _, w := range done {
		switch {
		case flag != nil && w == "=":
		case flag != nil:
			flag = nil
		case literal:
			position++
		case w == "--":
			literal = true
		case strings.HasPrefix(w, "-") && w != "-":
			name, _, hasValue := strings.Cut(w, "=")
			if f := find(node, name); f != nil && !hasValue && !f.IsBool() {
				flag = f
			}
		default:
			if child := command(node, w); child != nil {
				node, position = child, 0
			} else {
				position++
			}
		}
	}
	switch {
	case flag != nil:
		return values(flag.Value, strings.TrimPrefix(last, "="), "")
	case !literal && strings.HasPrefix(last, "-"):
		if name, value, ok := strings.Cut(last, "="); ok {
			if f := find(node, name); f != nil {
				return values(f.Value, value, name+"=")
			}
			return Result{}
		}
		return Result{Candidates: flags(node, last)}
	case len(node.Children) > 0:
		return Result{Candidates: commands(node, last)}
	case position < len(node.Positional):
		return values(node.Positional[position], last, "")
	}
	return Result{}
}

func command(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name || slices.Contains(child.Aliases, name) {
			return child
		}
	}
	return nil
}

func commands(node *kong.Node, prefix string) (all []Candidate) {
	for _, child := range node.Children {
		if !child.Hidden && strings.HasPrefix(child.Name, prefix) {
			all = append(all, Candidate{child.Name, child.Help})
		}
	}
	return all
}

// find returns the flag of a word such as --auth or -n, or the last one of -an.
func find(node *kong.Node, word string) *kong.Flag {
	long, isLong := strings.CutPrefix(word, "--")
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if isLong && (f.Name == long || slices.Contains(f.Aliases, long)) ||
				!isLong && f.Short != 0 && strings.HasSuffix(word, string(f.Short)) {
				return f
			}
		}
	}
	return nil
}

func flags(node *kong.Node, prefix string) (all []Candidate) {
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			if name := "--" + f.Name; strings.HasPrefix(name, prefix) {
				all = append(all, Candidate{name, f.Help})
			}
		}
	}
	return all
}

// values completes a value. Of a list, the last item.
func values(v *kong.Value, typed, before string) Result {
	if v.Enum == "" {
		// What a flag or an argument takes is in its type: free text does not have files in it, except that of @FILE.
		file := v.Tag != nil && (v.Tag.Type == "path" || v.Tag.Type == "existingfile" || v.Tag.PlaceHolder == "FILE" || strings.Contains(v.Help, "@FILE"))
		return Result{Files: file}
	}
	if v.IsSlice() {
		if i := strings.LastIndexByte(typed, ','); i >= 0 {
			before, typed = before+typed[:i+1], typed[i+1:]
		}
	}
	var r Result
	for _, option := range v.EnumSlice() {
		if option != "" && strings.HasPrefix(option, typed) {
			r.Candidates = append(r.Candidates, Candidate{Text: before + option})
		}
	}
	return r
}
