package postgres

import (
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/adapter/cluster"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"type":3,"data":{"packet":{"type":2,"data":["ev","x"]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"4e882ec5135ffec6","nsp":"/"}`,
		`{"uid":"4e882ec5135ffec6","type":3,"attachmentId":"1"}`, `{"attachmentId":1}`, `{"type":1,"uid":"x"} ` + "\n", `{"attachmentId":`, `[]`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		m, row, err := decode(payload)
		if (err == nil) != (m != nil || row > 0) && m == nil {
			t.Fatalf("%q: %v, %d, %v", payload, m, row, err)
		}
	})
}

func TestMarks(t *testing.T) {
	seen := make(map[string]bool)
	for n := range maxBatch {
		s := appendMarks("{}", n)
		if seen[s] || strings.TrimRight(s, marks) != "{}" || len(s) > 2+maxMarks {
			t.Fatalf("%d: %q", n, s)
		}
		seen[s] = true
		if _, _, err := decode(`{"type":2,"uid":"x"` + s[1:]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOwn checks that a server knows its own notifications, and no others, by how they look.
func TestOwn(t *testing.T) {
	b := &Broker{opts: Options{Prefix: "p"}}
	s, other := newBus(b, "/n"), newBus(b, "/n")
	for _, from := range []*bus{s, other} {
		m := &cluster.Message{Type: cluster.Heartbeat, UID: from.uid, Namespace: "/n"}
		text := string(m.AppendJSON(nil))
		row := `{"uid":"` + from.uid + `","type":3,"attachmentId":"7"}`
		for _, payload := range []string{text, appendMarks(text, 5), row} {
			if got, want := s.sent(payload), from == s; got != want {
				t.Errorf("%s: %v", payload, got)
			}
		}
	}
}
