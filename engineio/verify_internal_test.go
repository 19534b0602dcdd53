package engineio

import (
	"net/url"
	"reflect"
	"testing"
)

// parseQuery is url.ParseQuery, only cheaper.
func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{"", "EIO=4&transport=polling&sid=abc", "a&&b=&=c&a=1=2", "x=%41&y=+", "a;b", "t=%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		want, _ := url.ParseQuery(raw)
		if got := parseQuery(raw); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", raw, got, want)
		}
	})
}
