package nats

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxToken is how long the part of a subject may be that stands for a name; longer names are hashed.
const maxToken = 96

// token returns the part of a subject that stands for a name: different ones for different names.
func token(name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		if !harmless(name[i]) {
			plain = false
			break
		}
	}
	if plain && name != "" && len(name) <= maxToken {
		return name
	}
	if name == "" {
		return "%"
	}
	t := make([]byte, 0, len(name)+16)
	for i := 0; i < len(name) && len(t) <= maxToken; i++ {
		if c := name[i]; harmless(c) {
			t = append(t, c)
		} else {
			t = append(t, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	if len(t) > maxToken {
		sum := sha256.Sum256([]byte(name))
		return "%%" + hex.EncodeToString(sum[:])
	}
	return string(t)
}

const hexDigits = "0123456789ABCDEF"

func harmless(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
}

// validPrefix reports whether subjects may begin with it.
func validPrefix(prefix string) bool {
	for t := range strings.SplitSeq(prefix, ".") {
		if t == "" || strings.ContainsAny(t, "*> \t\r\n") || t[0] == '$' {
			return false
		}
	}
	return true
}

// isID reports whether a room may be that of a socket by its id. Nobody subscribes to those.
func isID(room string) bool {
	if len(room) != 20 {
		return false
	}
	for i := 0; i < len(room); i++ {
		if !harmless(room[i]) {
			return false
		}
	}
	return true
}
