package show

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

// Secrets are values that must not be shown: Go's errors quote URLs, and a server may repeat in an error what it was
// given. The zero value hides nothing. It is safe for concurrent use.
type Secrets struct {
	mu     sync.Mutex
	values []string // longest first, so that a part of another is not replaced in its place
}

// minSecret is the length under which nothing is looked for: short values are found everywhere.
const minSecret = 4

// Add adds values, in the forms that they have in URLs, too.
func (s *Secrets) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		for _, form := range []string{v, url.QueryEscape(v), url.PathEscape(v)} {
			if len(form) >= minSecret && !slices.Contains(s.values, form) {
				s.values = append(s.values, form)
			}
		}
	}
	slices.SortFunc(s.values, func(a, b string) int { return len(b) - len(a) })
}

// AddHeader adds the values of a header and their parts, such as the token behind "Bearer".
func (s *Secrets) AddHeader(h http.Header) {
	for name, values := range h {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Accept", "Accept-Language", "Accept-Encoding", "User-Agent", "Referer", "Origin":
			continue
		}
		for _, v := range values {
			s.Add(v)
			for _, part := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(" ;,=", r) }) {
				if len(part) >= 6 {
					s.Add(part)
				}
			}
		}
	}
}

// AddJSON adds every string in a JSON value.
func (s *Secrets) AddJSON(text []byte) {
	var v any
	if json.Unmarshal(text, &v) == nil {
		s.walk(v)
	}
}

func (s *Secrets) walk(v any) {
	switch v := v.(type) {
	case string:
		s.Add(v)
	case []any:
		for _, e := range v {
			s.walk(e)
		}
	case map[string]any:
		for _, e := range v {
			s.walk(e)
		}
	}
}

// In reports whether a text has a secret in it.
func (s *Secrets) In(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.values, func(v string) bool { return strings.Contains(text, v) })
}

// Hide replaces every secret in a text.
func (s *Secrets) Hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.values {
		text = strings.ReplaceAll(text, v, "…")
	}
	return text
}

// Error returns an error that says the same without secrets and is safe for a terminal, nil for nil.
func (s *Secrets) Error(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(CleanLines(s.Hide(err.Error())))
}
