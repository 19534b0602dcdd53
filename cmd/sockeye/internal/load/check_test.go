package load

import (
	"strings"
	"testing"
)

func measured() *Result {
	m := &meter{}
	for i := 1; i <= 100; i++ {
		m.record(1e6 * 1) // 1 ms
		if i%10 == 0 {
			m.record(1e6 * 100) // 100 ms
		}
	}
	m.roll()
	return &Result{
		Counts:  Counts{Clients: 1000, ConnectedMax: 990, ConnectedEnd: 900, Connects: 1000, Sent: 8990, Errors: 100, Lost: 7},
		Main:    "ack",
		Latency: map[string]*Latency{"ack": m.sofar()},
		Errors:  []ErrorCount{{During: "connect", Kind: "x", Count: 10}, {During: "ack", Kind: "a", Count: 60}, {During: "ack", Kind: "b", Count: 30}},
		Process: Process{CPU: 91.5},
		Rates:   Rates{Sent: 250},
	}
}

func TestChecks(t *testing.T) {
	for text, failed := range map[string]bool{
		"p99>50ms": true, "p99>200ms": false, "p50>50ms": false, " p50 <= 2 ms ": true, "ack.max>=1s": false, "max>0.05s": true,
		"p99.9>50ms": true, "mean<20ms": true, "min==1ms": true, "p100>99ms": true, "ack.p50>900us": true, "p50>1100µs": false,
		"errors>0": true, "errors>100": false, "errors==100": true, "errors>1.5%": false, "errors>0.5%": true,
		"connected<1000": true, "connected<990": false, "connected.end!=900": false, "errors.ack>=90": true, "errors.connect>10": false,
		"errors.expect>0": false, "lost>6": true, "lost>1%": false, "cpu>90%": true, "sent.rate<200": false, "sent.rate<300/s": true,
		"connect.p99>1h0": true, // replaced below
	} {
		if text == "connect.p99>1h0" {
			text = "connect.p99>1m" // nothing was measured: that fails
		}
		c, err := ParseCheck(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if v := c.judge(measured()); v.Failed != failed {
			t.Errorf("%s: %+v", text, v)
		}
	}
	for _, bad := range []string{"", "p99", "p99>", ">5ms", "p99>50", "p99>50kg", "p101>1ms", "errors>1ms", "lag.p9x>1ms", "nothing>1", "errors=>1",
		"p99>>1ms", "cpu>90", "connected<10%", "p99>-1ms", "p99>1e3ms", "errors>1;rm"} {
		if c, err := ParseCheck(bad); err == nil {
			t.Errorf("%q: accepted as %+v", bad, c)
		} else if bad != "" && !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: the error doesn't quote it: %v", bad, err)
		}
	}
}

func FuzzParseCheck(f *testing.F) {
	for _, s := range []string{"p99>50ms", "errors>1%", "connect.p99.9<=1.5s", "cpu>90%", "sent.rate<10/s", "lost != 0", "µ>1µs"} {
		f.Add(s)
	}
	r := measured()
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheck(text)
		if err != nil {
			return
		}
		again, err := ParseCheck(c.String())
		if err != nil || again != c {
			t.Fatalf("%q became %q, which is %+v, %v", text, c, again, err)
		}
		if v := c.judge(r); v.Text == "" || v.Check == "" {
			t.Fatalf("%q: %+v", text, v)
		}
	})
}

func TestNumbersForPeople(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 0.1234: "0.123", 12.34: "12.3", -1500: "-1,500", 1234.5: "1,234"} {
		if got := formatNumber(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.25: "250 µs", 1.234: "1.23 ms", 45.67: "45.7 ms", 456.7: "457 ms", 4567: "4.57 s", 90_000: "1m30s"} {
		if got := formatMillis(v); got != want {
			t.Errorf("%v ms is written %s, want %s", v, got, want)
		}
	}
}
