package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// File is one file of web/dist.
type File struct {
	Name    string
	Content []byte
}

// banner stays in every bundle, minified ones too.
const banner = "/* Sockeye, a Socket.IO client. MIT licence. */"

// bundles lists what is built: the classic script defines the global io, the module exports it.
var bundles = []struct {
	name   string
	entry  string
	format api.Format
	minify bool
}{
	{"socket.io.js", "global.ts", api.FormatIIFE, false},
	{"socket.io.min.js", "global.ts", api.FormatIIFE, true},
	{"socket.io.esm.js", "index.ts", api.FormatESModule, false},
	{"socket.io.esm.min.js", "index.ts", api.FormatESModule, true},
}

// Build makes the bundles and their source maps from web/src, in memory. The result depends on nothing
// but the sources and the version of esbuild.
func Build(web string) ([]File, error) {
	var files []File
	for _, b := range bundles {
		opts := api.BuildOptions{
			AbsWorkingDir:     web,
			EntryPoints:       []string{"src/" + b.entry},
			Outfile:           filepath.Join(web, "dist", b.name),
			Bundle:            true,
			Format:            b.format,
			Platform:          api.PlatformBrowser,
			Target:            api.ES2021,
			Charset:           api.CharsetUTF8,
			Sourcemap:         api.SourceMapLinked,
			LegalComments:     api.LegalCommentsNone,
			Banner:            map[string]string{"js": banner},
			MinifyWhitespace:  b.minify,
			MinifyIdentifiers: b.minify,
			MinifySyntax:      b.minify,
		}
		if b.minify {
			// Members that start with an underscore are nobody's business but ours; the one name of that
			// form that goes over the wire is written as a quoted key, which esbuild leaves alone.
			opts.MangleProps = "^_[a-z]"
		}
		result := api.Build(opts)
		if len(result.Errors) > 0 {
			var errs []error
			for _, m := range api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage}) {
				errs = append(errs, errors.New(m))
			}
			return nil, fmt.Errorf("%s: %w", b.name, errors.Join(errs...))
		}
		for _, f := range result.OutputFiles {
			files = append(files, File{Name: filepath.Base(f.Path), Content: f.Contents})
		}
	}
	return files, nil
}

// gzipped is the size of data on the wire from a server that compresses well.
func gzipped(data []byte) int {
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(data); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Len()
}
