// Package web holds Sockeye's browser client, built and embedded, so that a server can hand it to its
// pages with no file beside the binary.
//
// The TypeScript source is in src, the builder in bundle, the result, which is committed, in dist.
package web

import (
	"embed"
	"slices"
)

//go:embed dist
var dist embed.FS

// names is the whole list of what can be asked for. Nothing else is ever looked up, so no name, however
// odd, can reach another file.
var names = []string{
	"socket.io.js",
	"socket.io.js.map",
	"socket.io.min.js",
	"socket.io.min.js.map",
	"socket.io.esm.js",
	"socket.io.esm.js.map",
	"socket.io.esm.min.js",
	"socket.io.esm.min.js.map",
	"socket.io.d.ts",
}

// Names returns the names File knows: the classic script (socket.io.js, which defines the global io), the
// ES module (socket.io.esm.js), each with a minified form and a source map, and the TypeScript
// declarations (socket.io.d.ts).
func Names() []string {
	return slices.Clone(names)
}

// File returns the content of one file of the browser client and whether there is such a file. The name
// is a plain file name out of Names, compared exactly. The content is a copy that the caller may keep.
func File(name string) (content []byte, ok bool) {
	if !slices.Contains(names, name) {
		return nil, false
	}
	content, err := dist.ReadFile("dist/" + name)
	return content, err == nil
}
