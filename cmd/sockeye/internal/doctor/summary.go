package doctor

// order is that in which causes are looked for: what is behind many symptoms first. Sticky sessions come before the
// transports, which fail without them.
var order = []string{"url", "dns", "tcp", "tls", "path", "protocol", "sticky", "polling", "websocket", "connect", "cors", "idle", "payload", "streaming", "cookies", "clock", "latency"}

// summarize fills in the report's verdict and what to say at the end.
func (x *exam) summarize() {
	r := x.report
	for _, s := range r.Steps {
		if s.Verdict != Skipped && s.Verdict.rank() > r.Verdict.rank() {
			r.Verdict = s.Verdict
		}
	}
	r.Summary.Works = x.works()
	for _, v := range []Verdict{Problem, Warning} {
		for _, id := range order {
			s := r.Step(id)
			if s == nil {
				continue
			}
			for _, f := range s.Findings {
				if f.Verdict != v || f.Because != "" && r.Step(f.Because) != nil && r.Step(f.Because).Verdict == Problem {
					continue
				}
				r.Summary.FirstStep, r.Summary.FirstCode = id, f.Code
				r.Summary.First = f.Fix
				return
			}
		}
	}
}

// works lists what a client can rely on.
func (x *exam) works() []string {
	works := []string{}
	if x.polling.works {
		switch {
		case x.report.Step("sticky").has("sticky-by-cookie"):
			works = append(works, "polling with cookies")
		case x.report.Step("sticky").Verdict == Problem:
		default:
			works = append(works, "polling")
		}
	}
	if x.websocket.works {
		works = append(works, "WebSocket")
	}
	if x.websocket.upgrades {
		works = append(works, "the upgrade from polling")
	}
	if s := x.report.Step("streaming"); s != nil && s.Verdict == OK {
		works = append(works, "streaming")
	}
	if x.joinedOne() {
		works = append(works, "joining "+x.namespace)
	}
	return works
}
