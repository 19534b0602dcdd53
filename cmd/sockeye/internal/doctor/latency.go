package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// slow is where a round trip begins to be felt in everything.
const slow = 500 * time.Millisecond

// examineLatency measures round trips on connections that are open already.
func (x *exam) examineLatency(ctx context.Context, s *Step) {
	if x.polling.works && !x.lost {
		if one, _, err := x.openSession(ctx); err == nil && one != nil {
			begun := time.Now()
			for range 10 {
				a, err := x.post(ctx, one, "3")
				if err != nil || a.status != 200 {
					break
				}
				x.trips = append(x.trips, a.took)
			}
			if n := len(x.trips); n > 0 {
				s.evidence("POST: %s, %.0f a second one after the other", spread(x.trips), float64(n)/time.Since(begun).Seconds())
			}
			x.end(ctx, one)
		}
	}
	if len(x.wsTrips) > 0 {
		s.evidence("WebSocket: %s", spread(x.wsTrips))
	}
	switch {
	case len(x.wsTrips) > 0 && len(x.trips) > 0:
		s.say("there and back: WebSocket %s, POST %s", ms(median(x.wsTrips)), ms(median(x.trips)))
	case len(x.wsTrips) > 0:
		s.say("there and back: WebSocket %s", ms(median(x.wsTrips)))
	case len(x.trips) > 0:
		s.say("there and back: POST %s", ms(median(x.trips)))
	default:
		s.skip("nothing to measure")
		return
	}
	best := median(append(slices.Clone(x.wsTrips), x.trips...))
	if best > slow {
		s.warning("slow", fmt.Sprintf("A round trip takes %s.", ms(best)), "Is the server busy, or far away? Compare with ping.")
	}
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

func spread(d []time.Duration) string {
	return fmt.Sprintf("%d round trips, median %s, longest %s", len(d), ms(median(d)), ms(slices.Max(d)))
}
