package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// maxChannel is how many bytes PostgreSQL takes as the name of a channel.
const maxChannel = 63

// channelName returns the channel of a namespace: the name that Node uses, unless PostgreSQL can't have it.
func channelName(prefix, namespace string) string {
	name := prefix + "#" + namespace
	if len(name) <= maxChannel && utf8.ValidString(name) && !strings.Contains(name, "\x00") {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "sockeye#" + hex.EncodeToString(sum[:16])
}
