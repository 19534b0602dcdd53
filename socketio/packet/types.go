package packet

import (
	"encoding"
	stdjson "encoding/json"
	"io"
	"reflect"
	"sync"

	"github.com/go-json-experiment/json"
)

// A class says what has to be done about values of a Go type besides what the json package does by itself. Hooks that
// look at every value of a tree are slow, and most types need none.
type class uint8

const (
	plain   class = iota // nothing: no value of the type can hold an attachment
	dynamic              // a value may hold anything: there is an interface in it
	special              // there is a type in it that the hooks handle
)

// A leaf says what the hooks do with a value of a type itself, not with what it contains.
type leaf uint8

const (
	ordinary   leaf = iota // nothing
	bytesLeaf              // it is an attachment
	numberLeaf             // it is a json.Number, which the json package takes for a string
	readerLeaf             // it is an io.Reader, which is an error
)

type typeInfo struct {
	class class
	leaf  leaf
}

// types knows the types that were met in one direction.
type types struct {
	methods []reflect.Type // interfaces by which a type says itself how it is written (or read)
	streams []reflect.Type // the same for types whose methods may in turn write (or read) anything
	readers bool
	known   sync.Map // reflect.Type to typeInfo; bounded by the number of types in the program
}

var encodedTypes = types{
	methods: []reflect.Type{
		reflect.TypeFor[json.Marshaler](),
		reflect.TypeFor[encoding.TextAppender](),
		reflect.TypeFor[encoding.TextMarshaler](),
	},
	streams: []reflect.Type{reflect.TypeFor[json.MarshalerTo]()},
	readers: true,
}

var decodedTypes = types{
	methods: []reflect.Type{
		reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextUnmarshaler](),
	},
	streams: []reflect.Type{reflect.TypeFor[json.UnmarshalerFrom]()},
}

var (
	numberType = reflect.TypeFor[stdjson.Number]()
	readerType = reflect.TypeFor[io.Reader]()
)

func (ts *types) info(t reflect.Type) typeInfo {
	if info, ok := ts.known.Load(t); ok {
		return info.(typeInfo)
	}
	info := typeInfo{leaf: ts.leaf(t), class: ts.class(t, map[reflect.Type]bool{})}
	ts.known.Store(t, info)
	return info
}

// implements reports whether t, or a pointer to it, has the methods of any of the interfaces.
func implements(t reflect.Type, interfaces ...reflect.Type) bool {
	for _, i := range interfaces {
		if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

func (ts *types) leaf(t reflect.Type) leaf {
	switch {
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer:
		return ordinary // what it refers to counts
	case implements(t, ts.methods...) || implements(t, ts.streams...):
		return ordinary
	case t == numberType:
		return numberLeaf
	case ts.readers && implements(t, readerType):
		return readerLeaf
	case t.Kind() == reflect.Slice && t.Elem() == reflect.TypeFor[byte]():
		return bytesLeaf
	}
	return ordinary
}

// class returns the class of t. Seen holds the types that were looked at on the way.
func (ts *types) class(t reflect.Type, seen map[reflect.Type]bool) class {
	if seen[t] {
		return plain // it counts where it was met first
	}
	seen[t] = true
	switch {
	case t.Kind() == reflect.Interface:
		return dynamic
	case t.Kind() == reflect.Pointer:
		return ts.class(t.Elem(), seen)
	case ts.leaf(t) != ordinary || implements(t, ts.streams...):
		return special
	case implements(t, ts.methods...):
		return plain
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return ts.class(t.Elem(), seen)
	case reflect.Struct:
		result := plain
		for i := range t.NumField() {
			field := t.Field(i)
			if (field.IsExported() || field.Anonymous) && field.Tag.Get("json") != "-" {
				result = max(result, ts.class(field.Type, seen))
			}
		}
		return result
	}
	return plain
}
