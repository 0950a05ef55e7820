package api

import (
	"context"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"
)

type requestIDKey struct{}

// RequestID is the id of the request that ctx belongs to, "" outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identify takes the caller's X-Request-Id or makes one, and sets the headers that every
// response has. FHIR data is no-store: none of a patient's data stays behind in the
// cache of a browser or proxy on a shared workstation. A client that keeps its own copy
// can still send the ETag and get 304. What is sent is no page: a browser that shows it runs nothing
// of it, and in no frame.
func (a *api) identify(g *gin.Context) {
	id := g.GetHeader("X-Request-Id")
	if !requestIDPattern.MatchString(id) {
		id = a.newID()
	}
	h := g.Writer.Header()
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if strings.HasPrefix(a.base, "https:") {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	g.Request = g.Request.WithContext(context.WithValue(g.Request.Context(), requestIDKey{}, id))
	g.Next()
}
