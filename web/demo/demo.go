// Package demo holds the pages of the demo that "sockeye serve" shows: the front page, the chat and the transport lab.
//
// They are plain HTML, CSS and JavaScript, embedded as they are; no file comes from another host. Two files that the pages
// ask for are not here: assets/env.js, which exports {path}, the path of the Socket.IO server, and
// assets/socket.io.esm.min.js, the browser client of package web.
package demo

import "embed"

// Files has index.html, chat.html, lab.html and assets/.
//
//go:embed *.html assets
var Files embed.FS
