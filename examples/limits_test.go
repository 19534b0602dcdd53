package examples

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

// A row of docs/limits.md: the name of an option, and its default with a unit.
var row = regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| ([^|]*?) \\|")

// numbers collects the options that are numbers and durations, by the names that users write.
func numbers(prefix string, v reflect.Value, into map[string]string) {
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		for f.Kind() == reflect.Pointer && f.Type().Elem().PkgPath() == v.Type().PkgPath() && !f.IsNil() {
			f = f.Elem()
		}
		switch {
		case f.Type() == reflect.TypeFor[time.Duration]():
			into[name] = time.Duration(f.Int()).String()
		case f.Type() == reflect.TypeFor[engineio.OverflowPolicy]():
		case f.CanInt():
			into[name] = strconv.FormatInt(f.Int(), 10)
		case f.CanFloat():
			into[name] = strconv.FormatFloat(f.Float(), 'f', -1, 64)
		case f.Kind() == reflect.Struct && strings.HasPrefix(f.Type().PkgPath(), "github.com/sockeye-io/"):
			numbers(name+".", f, into)
		}
	}
}

// plain turns "1,000 bytes", "4 MiB" or "5 min" into what numbers returns.
func plain(t *testing.T, documented string) string {
	t.Helper()
	number, unit, _ := strings.Cut(documented, " ")
	n, err := strconv.Atoi(strings.ReplaceAll(number, ",", ""))
	if err != nil {
		t.Fatalf("%q is no default", documented)
	}
	switch unit {
	case "", "bytes":
		return strconv.Itoa(n)
	case "MiB":
		return strconv.Itoa(n << 20)
	case "s":
		return (time.Duration(n) * time.Second).String()
	case "min":
		return (time.Duration(n) * time.Minute).String()
	}
	t.Fatalf("%q has an unknown unit", documented)
	return ""
}

// TestLimitsAreDocumented compares docs/limits.md with the options that servers have in force.
func TestLimitsAreDocumented(t *testing.T) {
	io := socketio.NewServer(&socketio.Options{
		Engine:   engineio.Options{Deflate: &engineio.Deflate{}},
		Recovery: &socketio.RecoveryOptions{},
	})
	defer io.Close()
	real := map[string]string{}
	// The server has no accessor for its options; those of the engine in there are as they were given.
	numbers("", reflect.ValueOf(io).Elem().FieldByName("opts").Elem(), real)
	numbers("Engine.", reflect.ValueOf(io.Engine().Options()), real)

	text, err := os.ReadFile("../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		name, value := m[1], plain(t, m[2])
		documented[name] = true
		if real[name] != value {
			t.Errorf("%s is documented as %s (%s) and is %q", name, m[2], value, real[name])
		}
	}
	for name, value := range real {
		if !documented[name] {
			t.Errorf("%s, which is %s, is not documented", name, value)
		}
	}
	if len(documented) < 20 {
		t.Error(fmt.Sprint("only ", len(documented), " limits were found"))
	}
}
