// Command bundle builds the browser client: it reads the TypeScript in web/src and writes web/dist. It
// needs neither Node nor the network beyond Go modules:
//
//	go run ./web/bundle
//
// Run it after every change in web/src and commit the result; the test in this folder fails otherwise.
// The declarations (socket.io.d.ts) come from the TypeScript compiler: npm run types, in web.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

func main() {
	web := webDir()
	files, err := Build(web)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dist := filepath.Join(web, "dist")
	if err := os.MkdirAll(dist, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dist, f.Name), f.Content, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if filepath.Ext(f.Name) == ".js" {
			fmt.Printf("%-24s %6d bytes, %5d gzipped\n", f.Name, len(f.Content), gzipped(f.Content))
		}
	}
}

// webDir finds the web folder from this source file, so that the command works from any directory.
func webDir() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("bundle: built without source positions")
	}
	return filepath.Dir(filepath.Dir(file))
}
