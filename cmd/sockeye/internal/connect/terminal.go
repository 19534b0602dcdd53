package connect

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// maxTyped is how many characters package term takes for a line. It drops the rest without a word.
const maxTyped = 4096

// A Terminal edits lines below what a session writes.
type Terminal struct {
	t       *term.Terminal
	in, out *os.File
	before  *term.State
	stop    func()
}

// OpenTerminal takes a terminal over: keys come one by one and are not echoed until Close.
func OpenTerminal(s *Session, in, out *os.File, style show.Style, h *History) (*Terminal, error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	x := &Terminal{in: in, out: out, before: before}
	x.t = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "> ")
	x.t.History = h
	x.t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return x.complete(s, line, pos)
	}
	resize := func() {
		if width, height, err := term.GetSize(int(out.Fd())); err == nil && width > 0 {
			_ = x.t.SetSize(width, height) // it fails with the terminal, as everything will
			style.Width = width - len("15:04:05.000 ← ")
			s.SetOutput(x.t, style)
		}
	}
	s.SetOutput(x.t, style)
	resize()
	x.stop = onResize(resize)
	x.t.SetBracketedPasteMode(true) // a tab that is pasted is no request for completion
	s.SetPrompt(func(text string) {
		if style.Color {
			text = style.Dim(text)
		}
		x.t.SetPrompt(text)
	})
	return x, nil
}

// Close gives the terminal back. The session writes to it as it is then.
func (x *Terminal) Close(s *Session, style show.Style) {
	x.stop()
	x.t.SetBracketedPasteMode(false)
	s.SetPrompt(func(string) {})
	s.SetOutput(x.out, style)
	_ = term.Restore(int(x.in.Fd()), x.before) // there is nothing else to try
	fmt.Fprint(x.out, "\r\x1b[K")
}

// ReadLine reads a line that is edited.
func (x *Terminal) ReadLine() (string, error) {
	line, err := x.t.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	if err == nil && utf8.RuneCountInString(line) >= maxTyped {
		fmt.Fprintf(x.t, "A line has less than %d characters; this one was cut and is not sent. Put it into a file: sockeye connect … < file\n", maxTyped)
		return "", nil
	}
	return line, err
}

func (x *Terminal) complete(s *Session, line string, pos int) (string, int, bool) {
	from, candidates := s.Complete(line[:pos])
	if len(candidates) == 0 {
		return line, pos, true
	}
	typed := line[from:pos]
	done := common(candidates)
	switch {
	case len(candidates) == 1:
		if !strings.HasSuffix(done, "/") && !strings.HasPrefix(line[pos:], " ") {
			done += " "
		}
	case len(done) <= len(typed):
		const most = 40
		shown := candidates[:min(len(candidates), most)]
		text := strings.Join(shown, "  ")
		if len(candidates) > most {
			text += fmt.Sprintf("  … and %d more", len(candidates)-most)
		}
		fmt.Fprintf(x.t, "%s\n", text)
		return line, pos, true
	}
	return line[:from] + done + line[pos:], from + len(done), true
}
