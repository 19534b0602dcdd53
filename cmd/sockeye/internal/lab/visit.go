package lab

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// LaneNames are the lanes of a visit in the order of the page. "auto" is the one that is free to choose.
var LaneNames = []string{"short", "long", "streaming", "sse", "websocket", "auto"}

// Pace is the interval of the polls on the lane "short".
const Pace = 500 * time.Millisecond

// The bounds of [Settings].
const (
	MaxRate  = 50
	MaxBurst = 50
	MaxUp    = 10
	MaxSize  = 4096
	MaxDelay = 500
)

// Settings is what the visitor can turn. Values out of bounds are moved to the nearest bound.
type Settings struct {
	Rate         int  `json:"rate"`         // messages a second to each lane, 1 to MaxRate
	Burst        int  `json:"burst"`        // 0: evenly spaced; else as many at once, 1 ms apart, and then a rest
	Up           int  `json:"up"`           // messages a second from the browser on each lane, 0 to MaxUp; the page sends them
	Size         int  `json:"size"`         // bytes of padding in each message, 0 to MaxSize
	Delay        int  `json:"delay"`        // milliseconds added each way, 0 to MaxDelay
	Buffer       bool `json:"buffer"`       // a proxy keeps responses until they are complete
	BlockUpgrade bool `json:"blockUpgrade"` // a proxy removes the Upgrade header
	Paused       bool `json:"paused"`       // no messages
}

func (s Settings) bounded() Settings {
	s.Rate = min(max(s.Rate, 1), MaxRate)
	s.Burst = min(max(s.Burst, 0), MaxBurst)
	s.Up = min(max(s.Up, 0), MaxUp)
	s.Size = min(max(s.Size, 0), MaxSize)
	s.Delay = min(max(s.Delay, 0), MaxDelay)
	return s
}

// tick is one message of the stream.
type tick struct {
	n       uint64
	at      float64
	padding string
}

// visit is one open page.
type visit struct {
	id      string
	lanes   map[string]*lane
	started time.Time
	send    func(tick)

	mu       sync.Mutex
	settings Settings
	changed  chan struct{} // closed and replaced when the settings change
	ups      map[string]*ups
	done     chan struct{}
	closing  sync.Once
	finished sync.WaitGroup
}

// ups is what came from the browser on one lane since the last look.
type ups struct {
	total     int
	latencies []float64
	budget    int // messages still accepted before the next look
}

// targets are the addresses of the servers behind the lanes.
type targets struct{ normal, short string }

func newVisit(id string, t targets, log *slog.Logger, send func(tick)) *visit {
	v := &visit{
		id: id, lanes: map[string]*lane{}, started: time.Now(), send: send,
		settings: Settings{Rate: 10, Up: 1, Size: 32}, changed: make(chan struct{}),
		ups: map[string]*ups{}, done: make(chan struct{}),
	}
	for _, name := range LaneNames {
		target, pace := t.normal, time.Duration(0)
		if name == "short" {
			target, pace = t.short, Pace
		}
		v.lanes[name] = newLane(name, target, pace, v.started, log)
		v.ups[name] = &ups{budget: maxUpsPerLook}
	}
	v.finished.Go(v.run)
	return v
}

// now is the time on the clock of the visit.
func (v *visit) now() float64 { return float64(time.Since(v.started).Microseconds()) / 1000 }

// set applies settings and returns them as they were bounded.
func (v *visit) set(s Settings) Settings {
	s = s.bounded()
	t := Trouble{Delay: time.Duration(s.Delay) * time.Millisecond, Buffer: s.Buffer, BlockUpgrade: s.BlockUpgrade}
	for _, l := range v.lanes {
		l.set(t)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settings = s
	close(v.changed)
	v.changed = make(chan struct{})
	return s
}

func (v *visit) current() (Settings, <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.settings, v.changed
}

// run sends the stream until the visit ends.
func (v *visit) run() {
	var n uint64
	for {
		s, changed := v.current()
		if s.Paused {
			select {
			case <-changed:
				continue
			case <-v.done:
				return
			}
		}
		group := max(s.Burst, 1)
		for range group {
			n++
			t := tick{n: n, padding: padding(s.Size)}
			t.at = v.now()
			v.send(t)
			if group > 1 && !v.rest(time.Millisecond, nil) {
				return
			}
		}
		// A steady stream is sent off the beat, so that it doesn't stay in or out of step with the polls.
		pause := time.Duration(group) * time.Second / time.Duration(s.Rate)
		if group == 1 {
			pause += time.Duration((rand.Float64() - 0.5) * 0.3 * float64(pause))
		}
		if !v.rest(pause, changed) {
			return
		}
	}
}

// padding is text that gzip, which polling applies to long responses, can make little of.
func padding(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	text := make([]byte, size)
	for i := range text {
		text[i] = letters[rand.IntN(len(letters))]
	}
	return string(text)
}

// rest waits; false: the visit ended.
func (v *visit) rest(d time.Duration, changed <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-v.done:
		return false
	}
	return true
}

// maxUpsPerLook bounds what a lane accepts from the browser between two looks.
const maxUpsPerLook = 64

// received notes a message from the browser that was sent at the given time of the visit's clock.
func (v *visit) received(lane string, at float64) {
	latency := v.now() - at
	v.mu.Lock()
	defer v.mu.Unlock()
	u := v.ups[lane]
	if u == nil || u.budget == 0 || !(latency > -1000 && latency < 600_000) {
		return
	}
	u.budget--
	u.total++
	u.latencies = append(u.latencies, max(latency, 0))
}

// close ends the stream and every connection of the lanes.
func (v *visit) close() {
	v.closing.Do(func() { close(v.done) })
	v.finished.Wait()
	for _, l := range v.lanes {
		l.close()
	}
}

// figures is one look at the lanes.
type figures struct {
	At    float64                `json:"at"`
	Lanes map[string]laneFigures `json:"lanes"`
}

type laneFigures struct {
	Traffic map[string]trafficFigures `json:"traffic"` // since the visit began, by kind of request
	Ups     int                       `json:"ups"`     // messages from the browser since the visit began
	Latency []float64                 `json:"latency"` // of those that came since the last look
	Spans   []span                    `json:"spans"`   // requests that ended since the last look, and those that are open
}

type trafficFigures struct {
	Requests int64 `json:"requests"`
	Up       int64 `json:"up"`
	Down     int64 `json:"down"`
}

func (v *visit) look() figures {
	f := figures{At: v.now(), Lanes: map[string]laneFigures{}}
	for name, l := range v.lanes {
		lf := laneFigures{Traffic: map[string]trafficFigures{}, Spans: l.takeSpans()}
		for k := range kinds {
			t := &l.traffic[k]
			lf.Traffic[k.String()] = trafficFigures{t.requests.Load(), t.up.Load(), t.down.Load()}
		}
		v.mu.Lock()
		u := v.ups[name]
		lf.Ups, lf.Latency = u.total, append([]float64{}, u.latencies...) // null is nothing to iterate over
		u.latencies, u.budget = nil, maxUpsPerLook
		v.mu.Unlock()
		f.Lanes[name] = lf
	}
	return f
}
