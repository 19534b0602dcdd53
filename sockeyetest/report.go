package sockeyetest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A field is a line of a report, or several, under one name.
type field struct{ name, text string }

// report says what is wrong, and whatever else helps to understand it.
func (b *End) report(problem string, fields []field) string {
	if b.srv.bubble {
		inBubble() // waits, so that the history is complete
	}
	state := b.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.unread) > 0 {
		fields = append(fields, field{"unread", listed(b.unread)})
	}
	fields = append(fields, field{"connection", state}, field{"history", b.log.String()})
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s", b.who(), problem)
	for _, f := range fields {
		for i, line := range strings.Split(f.text, "\n") {
			name := f.name
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&s, "\n    %-12s%s", name, line)
		}
	}
	return s.String()
}

// maxListed is how many unread events a report lists.
const maxListed = 10

func listed(events []Event) string {
	lines := make([]string, 0, maxListed+1)
	for i, e := range events {
		if i == maxListed {
			lines = append(lines, fmt.Sprintf("and %d more", len(events)-i))
			break
		}
		lines = append(lines, cut(e.String(), shortText))
	}
	return strings.Join(lines, "\n")
}

// A transcript is what has happened, the last of it.
type transcript struct {
	began   time.Time
	entries []entry
	dropped int
}

type entry struct {
	at   time.Time
	text string
}

// maxTranscript is how many entries a report shows.
const maxTranscript = 25

func newTranscript() transcript { return transcript{began: time.Now()} }

func (l *transcript) add(text string) {
	if len(l.entries) == maxTranscript {
		l.entries = slices.Delete(l.entries, 0, 1)
		l.dropped++
	}
	l.entries = append(l.entries, entry{time.Now(), text})
}

func (l *transcript) String() string {
	if len(l.entries) == 0 {
		return "nothing has happened yet"
	}
	var lines []string
	if l.dropped > 0 {
		lines = append(lines, fmt.Sprintf("%d entries before", l.dropped))
	}
	for _, e := range l.entries {
		lines = append(lines, fmt.Sprintf("%-9s %s", "+"+e.at.Sub(l.began).Round(time.Millisecond).String(), e.text))
	}
	return strings.Join(lines, "\n")
}
