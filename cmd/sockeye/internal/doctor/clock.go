package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// skewLimit is where tokens begin to be refused: libraries allow a minute or less between clocks.
const skewLimit = 30 * time.Second

// examineClock compares the Date of an answer with the time here.
func (x *exam) examineClock(_ context.Context, s *Step) {
	for _, a := range x.dates {
		date, err := http.ParseTime(a.header.Get("Date"))
		if err != nil || a.header.Get("Age") != "" {
			continue // none, or that of when a cache took it
		}
		// Date has whole seconds, rounded down; the answer was written between sent and at.
		middle := a.sent.Add(a.at.Sub(a.sent) / 2)
		skew := date.Add(500 * time.Millisecond).Sub(middle)
		s.evidence("Date: %s, here it was %s", a.header.Get("Date"), middle.UTC().Format(http.TimeFormat))
		off := skew.Abs().Round(time.Second)
		if skew.Abs() <= skewLimit {
			s.say("the clocks agree to %v", max(off, time.Second))
			return
		}
		which := "ahead of"
		if skew < 0 {
			which = "behind"
		}
		s.warning("clock-skew", fmt.Sprintf("The server's clock is %v %s the one here: tokens with a time in them look expired, or not valid yet.", off, which),
			"Synchronise both by NTP.")
		return
	}
	if len(x.dates) == 0 && x.broken != "" {
		s.skip("%s", x.broken)
		return
	}
	s.skip("no answer had a Date")
}
