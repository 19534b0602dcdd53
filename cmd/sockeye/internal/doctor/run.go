package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// exam is an examination in progress.
type exam struct {
	opts      Options
	base      *url.URL // scheme, host, the user's query and credentials
	path      string
	namespace string
	guessed   []string // paths that the URL suggests
	secrets   *secrets
	report    *Report

	viaProxy   string // the proxy of the environment, if requests go through it
	addresses  []string
	unverified bool       // the certificate is not checked by requests
	first      *answer    // to the request that found the path
	open       *handshake // the first that came
	streaming  bool       // the server offers it
	broken     string     // why nothing after the current step can be examined
	polling    state
	websocket  state
	lost       bool      // a request reached a server that doesn't know its session
	joins      []joining // answers to CONNECT
	joinErrors []string
	dates      []*answer // with a Date header
	trips      []time.Duration
	wsTrips    []time.Duration
	cookies    []*http.Cookie
	stickyBy   []string // cookies that sticky sessions need
}

// state is what is known about a transport.
type state struct {
	tried, works, upgrades bool
}

// Run examines the Socket.IO server at rawURL. The error is for a URL or options that make no sense; everything that is
// found, unreachable hosts included, is in the report. When ctx ends, the steps that are left are skipped.
func Run(ctx context.Context, rawURL string, opts *Options) (*Report, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	x := &exam{opts: o, unverified: o.Insecure, secrets: &secrets{}, report: &Report{Started: time.Now(), Verdict: OK}}
	x.secrets.addHeader(o.Header)
	x.secrets.addJSON(o.Auth)
	if err := x.parse(rawURL); err != nil {
		return nil, err
	}
	x.steps(ctx)
	x.report.Path, x.report.Namespace = x.path, x.namespace
	x.report.URL = displayURL(x.base)
	x.summarize()
	x.report.Millis = time.Since(x.report.Started).Milliseconds()
	return x.report, nil
}

// steps runs them in the order in which one depends on the other.
func (x *exam) steps(ctx context.Context) {
	for _, s := range []struct {
		id, title string
		examine   func(context.Context, *Step)
	}{
		{"url", "URL", x.examineURL},
		{"dns", "DNS", x.examineDNS},
		{"tcp", "TCP", x.examineTCP},
		{"tls", "TLS", x.examineTLS},
		{"path", "Path", x.examinePath},
		{"protocol", "Protocol", x.examineProtocol},
		{"polling", "Polling", x.examinePolling},
		{"websocket", "WebSocket", x.examineWebSocket},
		{"connect", "CONNECT", x.examineConnect},
		{"streaming", "Streaming", x.examineStreaming},
		{"sticky", "Sticky sessions", x.examineSticky},
		{"cookies", "Cookies", x.examineCookies},
		{"cors", "Origins", x.examineCORS},
		{"payload", "Payload limit", x.examinePayload},
		{"idle", "Idle timeouts", x.examineIdle},
		{"clock", "Clock", x.examineClock},
		{"latency", "Latency", x.examineLatency},
	} {
		step := &Step{ID: s.id, Title: s.title}
		x.report.Steps = append(x.report.Steps, step)
		begun := time.Now()
		switch {
		case ctx.Err() != nil:
			step.skip("interrupted")
		case x.broken != "" && s.id != "clock":
			step.skip("%s", x.broken)
		default:
			x.opts.Begin(s.title)
			s.examine(ctx, step)
			if ctx.Err() != nil {
				// What a cancelled request has looked like is no finding.
				step.Findings = nil
				step.skip("interrupted")
			}
		}
		step.settle()
		step.Millis = time.Since(begun).Milliseconds()
		x.clean(step)
		x.opts.Step(step)
	}
}

// clean takes what is secret out of everything that a step says, and what is not text.
func (x *exam) clean(s *Step) {
	texts := []*string{&s.Summary}
	for i := range s.Evidence {
		texts = append(texts, &s.Evidence[i])
	}
	for i := range s.Findings {
		f := &s.Findings[i]
		texts = append(texts, &f.Text, &f.Fix, &f.Config)
	}
	for _, text := range texts {
		*text = strings.Map(printable, x.secrets.scrub(*text))
	}
}

// printable keeps what a server says from being obeyed by a terminal.
func printable(r rune) rune {
	if unicode.IsPrint(r) || r == '\n' {
		return r
	}
	return '�'
}

// note keeps what several steps want to know of every response.
func (x *exam) note(h http.Header) {
	for _, c := range (&http.Response{Header: h}).Cookies() {
		x.secrets.add(c.Value)
	}
}

func (s *Step) say(format string, args ...any) { s.Summary = fmt.Sprintf(format, args...) }

func (s *Step) skip(format string, args ...any) {
	s.Verdict, s.Summary = Skipped, fmt.Sprintf(format, args...)
}

func (s *Step) evidence(format string, args ...any) {
	s.Evidence = append(s.Evidence, fmt.Sprintf(format, args...))
}

func (s *Step) find(v Verdict, code, text, fix string) *Finding {
	s.Findings = append(s.Findings, Finding{Code: code, Verdict: v, Text: text, Fix: fix})
	return &s.Findings[len(s.Findings)-1]
}

func (s *Step) problem(code, text, fix string) *Finding { return s.find(Problem, code, text, fix) }
func (s *Step) warning(code, text, fix string) *Finding { return s.find(Warning, code, text, fix) }

// config adds the lines that a fix amounts to.
func (f *Finding) config(lines ...string) *Finding {
	f.Config = strings.Join(lines, "\n")
	return f
}

// consequence marks the finding as caused by what another step is about.
func (f *Finding) consequence(of string) *Finding {
	f.Because = of
	return f
}
