package api

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// gzipMin is the size from which on a body is compressed, in bytes: below it, the
// compressed one is hardly smaller than what the network sends anyway.
const gzipMin = 1 << 10

// gzipKey marks a request whose answer may be compressed.
const gzipKey = "gzip"

// negotiateEncoding notes whether the caller takes gzip (RFC 9110 section 12.5.3). Health
// and metrics are outside of it. A FHIR answer has no secret that a web page could guess
// by the size of the compressed whole, as BREACH does with tokens in forms.
func negotiateEncoding(g *gin.Context) {
	g.Writer.Header().Add("Vary", "Accept-Encoding")
	g.Set(gzipKey, takesGzip(g.Request.Header))
}

func takesGzip(h http.Header) bool {
	others := false
	for item := range strings.SplitSeq(list(h, "Accept-Encoding"), ",") {
		coding, parameters, _ := strings.Cut(item, ";")
		name, weight, _ := strings.Cut(parameters, "=")
		wanted := true
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
			wanted = err == nil && q > 0
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return wanted
		case "*":
			others = wanted
		}
	}
	return others
}

// gzipWriters are used again: each takes much memory. The fastest level makes Bundles some
// eight times smaller; the default takes almost three times as long for ten times.
var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil { // the level is one that there is: cannot happen
		panic(err)
	}
	return w
}}

// compress gives the body as gzip where it is large enough and the caller takes it.
func compress(g *gin.Context, body []byte) []byte {
	if len(body) < gzipMin || !g.GetBool(gzipKey) {
		return body
	}
	var out bytes.Buffer
	out.Grow(len(body)/4 + 64)
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&out)
	_, _ = w.Write(body) // into memory: cannot fail
	_ = w.Close()
	g.Writer.Header().Set("Content-Encoding", "gzip")
	return out.Bytes()
}
