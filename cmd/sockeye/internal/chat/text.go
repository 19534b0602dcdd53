package chat

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanName makes a name fit to be shown in a list: one line, no control or direction-changing characters, single spaces,
// at most max runes. The result is empty when nothing visible is left.
func cleanName(s string, max int) string {
	s = strings.Join(strings.FieldsFunc(visible(s, max*8), unicode.IsSpace), " ")
	return cut(s, max)
}

// cleanText keeps line breaks, drops what can't be seen or would reorder the lines around it, and trims the ends.
// ok is false when the text is longer than max runes: a message is refused rather than cut behind its author's back.
func cleanText(s string, max int) (text string, ok bool) {
	if len(s) > max*utf8.UTFMax {
		return "", false
	}
	text = strings.TrimSpace(visible(strings.ReplaceAll(s, "\r\n", "\n"), len(s)))
	return text, utf8.RuneCountInString(text) <= max
}

// cleanRoom turns what somebody typed into a room's name: lower-case letters and digits of any script, joined by '-'.
func cleanRoom(s string, max int) string {
	var b strings.Builder
	n, gap := 0, false
	for _, r := range cut(s, max*4) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = n > 0
			continue
		}
		if gap && n+1 < max {
			b.WriteByte('-')
			n++
		}
		gap = false
		if n == max {
			break
		}
		b.WriteRune(unicode.ToLower(r))
		n++
	}
	return strings.TrimSuffix(b.String(), "-")
}

// visible drops invalid UTF-8, control characters except line breaks, and the format characters that can reverse or hide
// the text beside them. The joiners that emoji and some scripts need stay. At most limit bytes are looked at.
func visible(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\u200c' || r == '\u200d':
			return r
		case r == '\t':
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return -1
		}
		return r
	}, s)
}

// cut returns the first max runes of s, without a space at the end.
func cut(s string, max int) string {
	n := 0
	for i := range s {
		if n == max {
			return strings.TrimRightFunc(s[:i], unicode.IsSpace)
		}
		n++
	}
	return s
}
