package socketio

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/web"
)

// clientFiles serves the browser client under the path of the server.
type clientFiles struct {
	path  string
	cors  *engineio.CORS
	files map[string]*clientFile
}

// A clientFile is read, and compressed, when it is first asked for.
type clientFile struct {
	name        string
	contentType string

	once    sync.Once
	content []byte
	gzipped []byte
	etag    string
}

func newClientFiles(o *engineio.Options) *clientFiles {
	path := "/" + strings.Trim(o.Path, "/") + "/"
	if path == "//" {
		path = "/"
	}
	c := &clientFiles{path: path, cors: o.CORS, files: make(map[string]*clientFile)}
	for _, name := range web.Names() {
		f := &clientFile{name: name, contentType: "application/javascript; charset=utf-8"}
		switch {
		case strings.HasSuffix(name, ".map"):
			f.contentType = "application/json; charset=utf-8"
		case strings.HasSuffix(name, ".ts"):
			f.contentType = "text/plain; charset=utf-8"
		}
		c.files[name] = f
	}
	return c
}

func (f *clientFile) load() bool {
	f.once.Do(func() {
		content, ok := web.File(f.name)
		if !ok {
			return
		}
		sum := sha256.Sum256(content)
		f.content, f.etag = content, `"`+hex.EncodeToString(sum[:12])+`"`
		var buf bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
		_, _ = zw.Write(content) // to memory
		zw.Close()
		f.gzipped = buf.Bytes()
	})
	return f.content != nil
}

// serve answers a request for one of the files and reports whether it was one.
func (c *clientFiles) serve(w http.ResponseWriter, r *http.Request) bool {
	name, ok := strings.CutPrefix(r.URL.Path, c.path)
	if !ok {
		return false
	}
	f := c.files[name]
	if f == nil || !f.load() {
		return false
	}
	h := w.Header()
	if c.cors.Apply(h, r) {
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "public, max-age=0")
	h.Add("Vary", "Accept-Encoding")
	if matches(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	h.Set("Content-Type", f.contentType)
	body := f.content
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a peer that has left does not matter here
	}
	return true
}

// matches reports whether the value of If-None-Match names the tag.
func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return strings.ReplaceAll(params, " ", "") != "q=0"
		}
	}
	return false
}
