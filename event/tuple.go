package event

// A Pair is the contents of an event with two arguments, for peers that send them so.
type Pair[A, B any] struct {
	First  A
	Second B
}

// A Triple is the contents of an event with three arguments.
type Triple[A, B, C any] struct {
	First  A
	Second B
	Third  C
}

// A tuple is contents that are not one argument.
type tuple interface {
	targets() []any
	values() []any
}

func (p *Pair[A, B]) targets() []any { return []any{&p.First, &p.Second} }
func (p *Pair[A, B]) values() []any  { return []any{p.First, p.Second} }

func (t *Triple[A, B, C]) targets() []any { return []any{&t.First, &t.Second, &t.Third} }
func (t *Triple[A, B, C]) values() []any  { return []any{t.First, t.Second, t.Third} }

// targets returns what the arguments of an event with contents *v are decoded into.
func targets[T any](v *T) []any {
	switch v := any(v).(type) {
	case *struct{}:
		return nil
	case tuple:
		return v.targets()
	}
	return []any{v}
}

// values returns the arguments of an event with contents *v.
func values[T any](v *T) []any {
	switch v := any(v).(type) {
	case *struct{}:
		return nil
	case tuple:
		return v.values()
	}
	return []any{*v}
}
