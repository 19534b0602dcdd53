package doctor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// secrets are values that must not appear in a report: a server may echo them in an error, and Go's own errors quote
// the URL.
type secrets struct {
	mu     sync.Mutex
	values []string // longest first, so that a part of another is not replaced in its place
}

// minSecret is the length under which a value is not looked for: one or two characters are found everywhere, and
// replacing them would make evidence unreadable without hiding anything.
const minSecret = 4

func (s *secrets) add(values ...string) {
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

// addHeader keeps the values of headers that carry credentials, and their parts: of "Bearer x", x too. A header that
// somebody adds by hand to get in is one of them unless it is known to be harmless.
func (s *secrets) addHeader(h http.Header) {
	for name, values := range h {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Accept", "Accept-Language", "Accept-Encoding", "User-Agent", "Referer", "Origin", "Content-Type":
			continue
		}
		for _, v := range values {
			s.add(v)
			for _, part := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(" ;,=", r) }) {
				if len(part) >= 6 {
					s.add(part)
				}
			}
		}
	}
}

// addJSON keeps every string and number at any depth of a JSON value.
func (s *secrets) addJSON(raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	var v any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if d.Decode(&v) == nil {
		s.walk(v)
	}
}

func (s *secrets) walk(v any) {
	switch v := v.(type) {
	case string:
		quoted, _ := json.Marshal(v) // a string can't fail
		s.add(v, strings.Trim(string(quoted), `"`))
	case json.Number:
		s.add(v.String())
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

// scrub replaces every secret in the text by its beginning.
func (s *secrets) scrub(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.values {
		if strings.Contains(text, v) {
			text = strings.ReplaceAll(text, v, shorten(v))
		}
	}
	return text
}

// shorten shows enough of a secret to recognise it: two characters of a long one, none of a short one.
func shorten(v string) string {
	n := 0
	if len(v) >= 12 {
		n = 2
	}
	return v[:n] + "…"
}

// describeCookie shows a cookie as it was set, with its value shortened.
func describeCookie(c *http.Cookie) string {
	d := *c
	d.Value = ""
	text := d.String()
	_, attributes, _ := strings.Cut(text, "=")
	return fmt.Sprintf("%s=%s%s (%d characters)", c.Name, shorten(c.Value), attributes, len(c.Value))
}

// displayURL is the URL without password and with shortened query values.
func displayURL(u *url.URL) string {
	d := *u
	d.User = nil
	if d.RawQuery != "" {
		var parts []string
		for key, values := range d.Query() {
			for _, v := range values {
				parts = append(parts, url.QueryEscape(key)+"="+shorten(v))
			}
		}
		slices.Sort(parts)
		d.RawQuery = strings.Join(parts, "&")
	}
	return d.String()
}
