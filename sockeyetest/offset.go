package sockeyetest

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A server with connection state recovery adds its position to every event, as a last argument: the microseconds since
// 2025, in base 36, counted on from there by one for each event. On the fake clock, which begins in 2000, it begins with
// offsetMin. No emitted string is taken for one unless it is such a number, within a day of now.
var offsetEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	offsetMin  = 1e13
	offsetBase = 36
)

func isOffset(raw jsontext.Value) bool {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return false
	}
	n, err := strconv.ParseInt(text, offsetBase, 64)
	now := max(time.Since(offsetEpoch).Microseconds(), offsetMin)
	day := 24 * time.Hour.Microseconds()
	return err == nil && n >= offsetMin && now-day < n && n < now+day
}
