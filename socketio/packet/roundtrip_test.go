package packet

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// anyValue generates what decoding into any can yield, binary included.
func anyValue() *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just(any(nil)), rapid.Bool().AsAny(), rapid.String().AsAny(),
		rapid.Float64Range(-1e300, 1e300).AsAny(), rapid.Int32().AsAny(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), notNil).AsAny(),
	)
	value := leaf
	for range 3 {
		value = rapid.OneOf(leaf, rapid.SliceOfN(value, 0, 4).AsAny(),
			rapid.MapOfN(rapid.String(), value, 0, 4).AsAny())
	}
	return value
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// asDecoded returns v with the types that decoding yields.
func asDecoded(v any) any {
	switch v := v.(type) {
	case int32:
		return float64(v)
	case []any:
		list := []any{}
		for _, x := range v {
			list = append(list, asDecoded(x))
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for name, x := range v {
			m[name] = asDecoded(x)
		}
		return m
	}
	return v
}

type holder struct {
	Any   any
	Blob  []byte
	Named namedBytes
	Blobs map[string][]byte
	Text  string
	N     int64
	List  []holder `json:",omitempty"`
}

func drawHolder(t *rapid.T, depth int) holder {
	h := holder{
		Any:   anyValue().Draw(t, "any"),
		Blob:  rapid.SliceOf(rapid.Byte()).Draw(t, "blob"),
		Named: rapid.SliceOf(rapid.Byte()).Draw(t, "named"),
		Blobs: rapid.MapOfN(rapid.String(), rapid.SliceOf(rapid.Byte()), 0, 3).Draw(t, "blobs"),
		Text:  rapid.String().Draw(t, "text"),
		N:     rapid.Int64().Draw(t, "n"),
	}
	if depth > 0 && rapid.Bool().Draw(t, "more") {
		h.List = []holder{drawHolder(t, depth-1), drawHolder(t, depth-1)}
	}
	return h
}

func (h holder) asDecoded() holder {
	h.Any = asDecoded(h.Any)
	for i := range h.List {
		h.List[i] = h.List[i].asDecoded()
	}
	return h
}

var manyAttachments = &Limits{MaxAttachments: 1 << 20}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			Namespace: rapid.SampledFrom([]string{"", "/", "/chat", "/a/b", "/é"}).Draw(t, "namespace"),
			HasID:     rapid.Bool().Draw(t, "has id"),
		}
		if h.HasID {
			h.ID = rapid.Uint64().Draw(t, "id")
		}
		name := rapid.String().Filter(func(s string) bool { return !Reserved(s) }).Draw(t, "name")
		args := rapid.SliceOfN(anyValue(), 0, 4).Draw(t, "args")
		typed := drawHolder(t, 2)
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "prefix")

		text, attachments, err := AppendEvent(prefix, h, name, append([]any{typed}, args...))
		if err != nil {
			t.Fatal(err)
		}
		frames := []any{string(text[len(prefix):])}
		for _, b := range attachments {
			frames = append(frames, b)
		}
		p, complete, err := decode(manyAttachments, frames...)
		if err != nil || !complete {
			t.Fatalf("%q: %v, %v", text, complete, err)
		}
		if p.Type != Event || p.Event != name || p.HasID != h.HasID || p.ID != h.ID {
			t.Fatalf("got %+v", p)
		}
		if p.Namespace != h.Namespace && !(p.Namespace == "/" && h.Namespace == "") {
			t.Fatalf("namespace %q", p.Namespace)
		}
		values, err := SplitArgs(p.Data, nil)
		if err != nil || len(values) != len(args)+2 {
			t.Fatalf("%d values: %v", len(values), err)
		}
		var gotTyped holder
		if err := Unmarshal(values[1], p.Attachments, &gotTyped); err != nil {
			t.Fatalf("%s: %v", values[1], err)
		}
		if want := typed.asDecoded(); !reflect.DeepEqual(gotTyped, want) {
			t.Fatalf("got %#v\nwant %#v", gotTyped, want)
		}
		for i, arg := range args {
			var got any
			if err := Unmarshal(values[i+2], p.Attachments, &got); err != nil {
				t.Fatal(err)
			}
			if want := asDecoded(arg); !reflect.DeepEqual(got, want) {
				t.Fatalf("got %#v, want %#v", got, want)
			}
		}
	})
}
