package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Printer writes a report for people, step by step.
type Printer struct {
	W       io.Writer
	Color   bool
	Verbose bool // the evidence of steps that are fine, too
	Width   int  // to wrap at; zero means 100

	skipped string // why the step before was skipped
}

var colors = map[Verdict]string{OK: "\x1b[32m", Warning: "\x1b[33m", Problem: "\x1b[31m", Skipped: "\x1b[2m"}

func (p *Printer) paint(color, text string) string {
	if !p.Color {
		return text
	}
	return color + text + "\x1b[0m"
}

// indent is where the text of a step begins: behind the verdict and the title.
const indent = 28

// Step writes one step. Of several in a row that are skipped for the same reason, it writes the first.
func (p *Printer) Step(s *Step) error {
	if s.Verdict == Skipped && s.Summary == p.skipped && !p.Verbose {
		return nil
	}
	p.skipped = ""
	if s.Verdict == Skipped {
		p.skipped = s.Summary
	}
	var b strings.Builder
	head := fmt.Sprintf("  %-9s", s.Verdict)
	fmt.Fprintf(&b, "%s%s", p.paint(colors[s.Verdict], head), p.paint("\x1b[1m", fmt.Sprintf("%-*s", indent-11, s.Title)))
	summary := s.Summary
	if s.Verdict == Skipped {
		summary = p.paint("\x1b[2m", summary)
	}
	b.WriteString(p.wrap(summary, indent) + "\n")
	if s.Verdict == Warning || s.Verdict == Problem || p.Verbose {
		for _, e := range s.Evidence {
			b.WriteString(p.item("·", e, "\x1b[2m"))
		}
	}
	for i, f := range s.Findings {
		if f.Text != s.Summary || i > 0 && f.Text == s.Findings[0].Text {
			b.WriteString(p.item("!", f.Text, colors[f.Verdict]))
		}
		if f.Fix != "" {
			b.WriteString(p.item("→", f.Fix, "\x1b[36m"))
		}
		for line := range strings.SplitSeq(f.Config, "\n") {
			if line != "" {
				b.WriteString(strings.Repeat(" ", indent+4) + line + "\n")
			}
		}
	}
	_, err := io.WriteString(p.W, b.String())
	return err
}

func (p *Printer) item(mark, text, color string) string {
	return strings.Repeat(" ", indent) + p.paint(color, mark) + " " + p.wrap(text, indent+2) + "\n"
}

// Summary writes the end.
func (p *Printer) Summary(r *Report) error {
	works := "nothing"
	if len(r.Summary.Works) > 0 {
		works = strings.Join(r.Summary.Works, ", ")
	}
	text := "\n" + p.paint("\x1b[1m", "What works: ") + p.wrap(works+".", 12) + "\n"
	if r.Summary.First != "" {
		text += p.paint("\x1b[1m", "What to change first: ") + p.wrap(fmt.Sprintf("%s (%s)", r.Summary.First, r.Step(r.Summary.FirstStep).Title), 22) + "\n"
	} else {
		text += p.paint("\x1b[1m", "What to change first: ") + "nothing.\n"
	}
	_, err := io.WriteString(p.W, text)
	return err
}

// wrap breaks text at spaces, later lines indented.
func (p *Printer) wrap(text string, indent int) string {
	width := p.Width
	if width == 0 {
		width = 100
	}
	var b strings.Builder
	used := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case indent+used+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
