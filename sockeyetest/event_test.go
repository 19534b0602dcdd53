package sockeyetest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/event"
)

func TestEqual(t *testing.T) {
	type person struct {
		Name  string `json:"name"`
		Age   int    `json:"age,omitempty"`
		Photo []byte `json:"photo,omitempty"`
	}
	for _, equal := range [][2]Event{
		{E("a"), E("a")},
		{E("a", 1), E("a", 1.0)},
		{E("a", 1), E("a", json.Number("10e-1"))},
		{E("a", uint64(1<<63)), E("a", json.Number("9223372036854775808"))},
		{E("a", person{Name: "Ada"}), E("a", map[string]string{"name": "Ada"})},
		{E("a", person{Photo: []byte{1, 2}}), E("a", map[string]any{"name": "", "photo": []byte{1, 2}})},
		{E("a", []int{1, 2}), E("a", []any{1.0, 2})},
		{E("a", nil), E("a", (*person)(nil))},
		{E("a", Any), E("a", nil)},
		{E("a", Any), E("a", []byte("x"))},
		{E("a", map[string]any{"id": Any, "n": 1}), E("a", map[string]any{"id": "x7", "n": 1})},
		{E("a", []any{1, Any}), E("a", []any{1, map[string]int{}})},
	} {
		if !equal[0].Equal(equal[1]) || !equal[1].Equal(equal[0]) {
			t.Errorf("%v and %v are not equal", equal[0], equal[1])
		}
	}
	for _, other := range [][2]Event{
		{E("a"), E("b")},
		{E("a", 1), E("a")},
		{E("a", Any), E("a")},
		{E("a", 1, 2), E("a", 2, 1)},
		{E("a", 1), E("a", "1")},
		{E("a", 1), E("a", true)},
		{E("a", 0), E("a", nil)},
		{E("a", ""), E("a", nil)},
		{E("a", false), E("a", nil)},
		{E("a", uint64(1<<63)), E("a", uint64(1<<63+1))}, // the same float64
		{E("a", []byte("x")), E("a", "x")},
		{E("a", []byte("x")), E("a", []byte("y"))},
		{E("a", []byte("x")), E("a", []byte("xy"))},
		{E("a", []int{}), E("a", map[string]int{})},
		{E("a", []int{1}), E("a", []int{1, 2})},
		{E("a", map[string]any{"x": nil}), E("a", map[string]any{})},
		{E("a", json.Number("1e999999999")), E("a", json.Number("1e999999998"))},
		{E("a", make(chan int)), E("a", make(chan int))}, // which can't be sent
	} {
		if other[0].Equal(other[1]) || other[1].Equal(other[0]) {
			t.Errorf("%v and %v are equal", other[0], other[1])
		}
	}
}

// arbitrary makes values as they come in.
func arbitrary() *rapid.Generator[any] {
	return rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(),
			rapid.SliceOfN(rapid.Byte(), 0, 20).AsAny(),
			rapid.SliceOfN(arbitrary(), 0, 3).AsAny(),
			rapid.MapOfN(rapid.String(), arbitrary(), 0, 3).AsAny(),
		)
	})
}

func TestEveryEventEqualsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := E("a", rapid.SliceOfN(arbitrary(), 0, 3).Draw(t, "args")...)
		data, attachments, err := encode(e)
		if err != nil {
			t.Skip(err) // a string that is no UTF-8
		}
		came := received(event.NewMessage("a", data, attachments, nil), false)
		if !came.Equal(e) || !e.Equal(came) || came.String() != e.String() {
			t.Errorf("%v is not %v", came, e)
		}
	})
}

// What differs, shows: a comparison that finds nothing means that both look the same.
func TestDifferencesShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := E("a", arbitrary().Draw(t, "a")), E("a", arbitrary().Draw(t, "b"))
		av, errA := a.values()
		bv, errB := b.values()
		if errA != nil || errB != nil {
			t.Skip()
		}
		if equal, same := len(compare(av, bv)) == 0, a.String() == b.String(); equal && !same {
			t.Errorf("%v and %v are equal", a, b)
		}
	})
}

func TestCompare(t *testing.T) {
	long := strings.Repeat("a", 100)
	for _, test := range []struct {
		want, got any
		lines     string
	}{
		{long + "xyz", long + "XYZ", `argument 0: differs from byte 100 on: expected …"` + long[:30] + `xyz", received …"` + long[:30] + `XYZ"`},
		{long, "a", `argument 0: differs from byte 1 on: expected "` + long[:31] + `"…, received "a"`},
		{[]byte("0123456789"), []byte("01234x"), `argument 0: differs from byte 5 on: expected <10 bytes: …33 34 35 36 37 38 39>, received <6 bytes: …33 34 78>`},
		{[]byte{}, []byte{1}, `argument 0: differs from byte 0 on: expected <0 bytes>, received <1 bytes: 01>`},
		{map[string]any{"a b": 1, "c": map[string]int{"d": 2}}, map[string]any{"c": map[string]int{"d": 3, "e": 4}},
			`argument 0["a b"] is missing: expected 1` + "\n" + `argument 0.c.d: expected 2, received 3` + "\n" + `argument 0.c.e is too much: received 4`},
		{map[string]int{}, []int{}, `argument 0: expected {}, received []`},
		{true, "true", `argument 0: expected true, received "true"`},
		{"<b>", "<i>", `argument 0: expected "<b>", received "<i>"`},
		{strings.Repeat("é", 200), 1, `argument 0: expected "` + strings.Repeat("é", 59) + `… (402 bytes), received 1`},
	} {
		want, err := E("", test.want).values()
		if err != nil {
			t.Fatal(err)
		}
		got, err := E("", test.got).values()
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Join(compare(want, got), "\n"); lines != test.lines {
			t.Errorf("it says\n%s\ninstead of\n%s", lines, test.lines)
		}
	}
}

func TestManyDifferencesAreCut(t *testing.T) {
	lines := compare(make([]any, 3), make([]any, 30))
	if fields := difference(lines); strings.Count(fields[0].text, "\n") != maxDifferences || !strings.HasSuffix(fields[0].text, "and 17 more") {
		t.Errorf("%v", fields)
	}
}

func TestBind(t *testing.T) {
	var name string
	var photo []byte
	if err := E("a", "Ada", []byte{1}).Bind(&name, &photo); err != nil || name != "Ada" || len(photo) != 1 {
		t.Error(name, photo, err)
	}
	if err := E("a", make(chan int)).Bind(&name); err == nil {
		t.Error("a channel was sent")
	}
	if err := E("a").Ack(); err != event.ErrNoAck {
		t.Error(err)
	}
}

func TestMatchFindsThePairing(t *testing.T) {
	// The first expectation fits both, the second only what would be given to the first.
	fits := func(want, got int) bool { return want == 0 || got == 0 }
	if missing, surplus := match(2, 2, fits); len(missing)+len(surplus) > 0 {
		t.Error(missing, surplus)
	}
	missing, surplus := match(2, 2, func(want, got int) bool { return got == 1 })
	if fmt.Sprint(missing, surplus) != "[1] [0]" {
		t.Error(missing, surplus)
	}
}

func TestTranscriptKeepsTheLast(t *testing.T) {
	l := newTranscript()
	for i := range maxTranscript + 5 {
		l.add(fmt.Sprint("entry ", i))
	}
	lines := strings.Split(l.String(), "\n")
	if lines[0] != "5 entries before" || len(lines) != maxTranscript+1 || !strings.HasSuffix(lines[1], "entry 5") {
		t.Error(l.String())
	}
}

func TestOffsets(t *testing.T) {
	micros := max(time.Since(offsetEpoch).Microseconds(), offsetMin)
	for text, is := range map[string]bool{
		fmt.Sprintf("%q", strconv.FormatInt(micros, 36)):                             true,
		fmt.Sprintf("%q", strconv.FormatInt(micros+1000, 36)):                        true,
		fmt.Sprintf("%q", strconv.FormatInt(micros+48*time.Hour.Microseconds(), 36)): false,
		fmt.Sprint(micros): false,
		`"somestring"`:     false,
		`"a text"`:         false,
		`""`:               false,
		`null`:             false,
	} {
		if isOffset([]byte(text)) != is {
			t.Errorf("%s: %v", text, !is)
		}
	}
}
