// Package doctor examines a Socket.IO server from the outside and says what works, what doesn't, and what to change. It
// looks at the raw exchange: requests by net/http, frames by gobwas/ws, nothing that would retry or fall back by itself.
//
// Run goes from the name to the application, one file for each step; a step that can't be judged because of an earlier
// one says so. The Report that comes out is a value: the terminal and the JSON output both render it.
package doctor
