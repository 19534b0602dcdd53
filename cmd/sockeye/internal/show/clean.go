// Package show writes what came over the network for people and for programs, so that nothing in it can act on a
// terminal.
package show

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean replaces what a terminal would act on, or what makes text look like other text, by \u escapes: control
// characters, the escape of ANSI sequences among them, marks that turn the direction of writing, and bytes that are no
// UTF-8.
func Clean(s string) string { return clean(s, false) }

// CleanLines is Clean for text of several lines: it leaves line feeds and tabs.
func CleanLines(s string) string { return clean(s, true) }

func clean(s string, lines bool) string {
	safe := func(r rune) bool { return !unsafe(r) || lines && (r == '\n' || r == '\t') }
	i := 0
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !safe(r) {
			break
		}
		i += n
	}
	if i == len(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+16), s[:i]...)
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case safe(r):
			b = append(b, s[i:i+n]...)
		default:
			b = appendEscape(b, r)
		}
		i += n
	}
	return string(b)
}

// unsafe finds control and format characters. The joiners are left, for emoji and some scripts need them.
func unsafe(r rune) bool {
	switch {
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r < 0x300 && r != 0xad:
		return false
	case r == '\u200c' || r == '\u200d':
		return false
	}
	return r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r)
}

func appendEscape(b []byte, r rune) []byte {
	if hi, lo := utf16.EncodeRune(r); hi != unicode.ReplacementChar {
		return fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// AppendString appends s as a string of JSON, cleaned.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case unsafe(r):
			b = appendEscape(b, r)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(b, '"')
}

// Name returns the name of an event or a namespace: as it is if it is a plain word, and otherwise as a string of JSON.
func Name(s string) string {
	if Plain(s) {
		return s
	}
	return string(AppendString(nil, s))
}

// Plain reports whether s can be typed as a word, without quotes: no spaces and nothing that JSON begins with.
func Plain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return unsafe(r) || unicode.IsSpace(r) || r == utf8.RuneError }) &&
		!strings.ContainsAny(s[:1], `"'{[/#`)
}

// Namespace returns the name of a namespace: as it is, or as a string of JSON if there is something in it that would be
// taken for something else.
func Namespace(s string) string {
	if Plain("x" + s) {
		return s
	}
	return string(AppendString(nil, s))
}
