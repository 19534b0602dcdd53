package chat

import "time"

// bucket is a budget that refills with time: burst at once, then rate a second.
type bucket struct {
	burst, rate, left float64
	at                time.Time
}

func newBucket(burst, rate float64) bucket {
	return bucket{burst: burst, rate: rate, left: burst, at: time.Now()}
}

// take uses one unit; false means that the budget is spent.
func (b *bucket) take() bool {
	now := time.Now()
	b.left = min(b.burst, b.left+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
