//go:build linux

package load

import "time"

// warmConnects are opened and closed before memory and processor time are read, so that what a server does once (code
// paged in, tables grown) is not counted with the clients.
const warmConnects = 200

func (r *run) connect() error {
	warm, err := newSwarm(r.target)
	if err != nil {
		return err
	}
	_, err = warm.connectAll(min(warmConnects, r.cfg.Clients), r.cfg.Parallel, r.cfg.Patience)
	warm.close()
	if err != nil {
		return err
	}
	before, err := r.memory(100 * time.Millisecond)
	if err != nil {
		return err
	}

	s, err := newSwarm(r.target)
	if err != nil {
		return err
	}
	defer s.close()
	s.onReady = func(c *client) { r.latency.add(s.now - c.started) }
	cpu, err := r.server.CPU()
	if err != nil {
		return err
	}
	start := s.clock()
	if r.result.Lost, err = s.connectAll(r.cfg.Clients, r.cfg.Parallel, r.cfg.Patience); err != nil {
		return err
	}
	r.result.Elapsed = s.clock() - start
	cpuEnd, err := r.server.CPU()
	if err != nil {
		return err
	}
	r.result.CPU = cpuEnd - cpu
	r.result.Ops = uint64(s.ready)
	r.result.P50, r.result.P99 = r.latency.quantile(0.50), r.latency.quantile(0.99)

	if r.cfg.Settle > 0 && s.ready > 0 {
		s.run(r.cfg.Settle)
		rss, err := r.server.RSS()
		if err != nil {
			return err
		}
		r.result.RSS = float64(rss-before) / float64(s.ready)
		if r.cfg.Collect {
			rss, err = r.memory(0)
			if err != nil {
				return err
			}
			r.result.RSSCollected = float64(rss-before) / float64(s.ready)
		}
		r.result.Lost += r.cfg.Clients - s.ready - r.result.Lost // ended since
	}
	r.fail(s.failure)
	return nil
}

// memory returns the server's resident memory, after a collection if it knows how to do one.
func (r *run) memory(wait time.Duration) (int64, error) {
	time.Sleep(wait)
	if !r.cfg.Collect {
		return r.server.RSS()
	}
	return r.server.Collected()
}
