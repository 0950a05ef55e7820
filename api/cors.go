package api

import (
	"net/http"
	"slices"
	"strings"

	"aftercare/api/auth"

	"github.com/gin-gonic/gin"
)

// What web pages of the allowed origins may ask with, and may see of an answer
// (https://fetch.spec.whatwg.org/#http-cors-protocol).
var (
	corsMethods = strings.Join([]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	}, ", ")
	corsRequest = "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, " +
		"X-Request-Id, " + auth.PurposeHeader + ", " + auth.EmergencyHeader + ", " + provenanceHeader + ", traceparent, tracestate"
	corsResponse = receiptHeader + ", Content-Location, ETag, Last-Modified, Location, Retry-After, Traceresponse, WWW-Authenticate, X-Request-Id"
)

// corsMaxAge is how long a browser may remember the answer to a preflight, in seconds.
const corsMaxAge = "3600"

// cors lets web pages of the allowed origins use the FHIR base, and answers the preflight
// that browsers send first. Without origins it does nothing. Cookies are not part of it:
// a caller is known by its token.
func (a *api) cors(g *gin.Context) {
	if len(a.origins) == 0 {
		return
	}
	h := g.Writer.Header()
	h.Add("Vary", "Origin")
	origin := g.GetHeader("Origin")
	if !slices.Contains(a.origins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if g.Request.Method != http.MethodOptions || g.GetHeader("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", corsResponse)
		return
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsRequest)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	g.Status(http.StatusNoContent)
	g.Writer.WriteHeaderNow()
	g.Abort()
}
