package main

import (
	"io"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// globals are the flags of every command.
type globals struct {
	Color string `enum:"auto,always,never" default:"auto" help:"Whether to use colours: auto (on a terminal, unless NO_COLOR is set), always or never."`
}

// color reports whether what goes to w has colours.
func (g *globals) color(w io.Writer) bool {
	switch g.Color {
	case "always":
		return true
	case "never":
		return false
	}
	return colorful(w)
}

func (g *globals) style(w io.Writer) show.Style { return show.Style{Color: g.color(w)} }

// stdin is where a command reads.
type stdin struct{ io.Reader }
