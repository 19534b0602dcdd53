package packet

import "github.com/go-json-experiment/json/jsontext"

// A Member is a name and a value of a JSON object, as they are written there: Name has its quotes.
type Member struct{ Name, Value jsontext.Value }

// SplitMembers appends the members of the JSON object data to dst, as [SplitArgs] does the elements of an array. A name
// that is there twice is there twice.
func SplitMembers(data jsontext.Value, dst []Member) ([]Member, error) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' {
		return dst, ErrPayload
	}
	s := scanner{data: data, depth: maxEncodeDepth}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return dst, nil
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return dst, ErrPayload
		}
		nameEnd, err := s.value(i)
		if err != nil {
			return dst, err
		}
		start := skipSpace(data, nameEnd)
		if start >= len(data) || data[start] != ':' {
			return dst, ErrPayload
		}
		start = skipSpace(data, start+1)
		end, err := s.value(start)
		if err != nil {
			return dst, err
		}
		dst = append(dst, Member{data[i:nameEnd:nameEnd], data[start:end:end]})
		i = skipSpace(data, end)
		if i >= len(data) {
			return dst, ErrPayload
		}
		switch data[i] {
		case ',':
			i = skipSpace(data, i+1)
		case '}':
			return dst, nil
		default:
			return dst, ErrPayload
		}
	}
}
