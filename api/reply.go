package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"aftercare/fhir"
	"aftercare/service"

	"github.com/gin-gonic/gin"
)

// reply sends FHIR JSON as it is, or compressed. HEAD gets the headers of GET, length
// included.
func reply(g *gin.Context, status int, body []byte) {
	body = compress(g, body)
	h := g.Writer.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	g.Status(status)
	if g.Request.Method == http.MethodHead {
		g.Writer.WriteHeaderNow()
		return
	}
	_, _ = g.Writer.Write(body) // an error means that the client has gone
}

// reply sends FHIR JSON, indented where that was asked for.
func (c *call) reply(status int, body []byte) error {
	if c.pretty {
		body = indent(body)
	}
	reply(c.Context, status, body)
	return nil
}

// indent lays JSON out over lines; only white space changes.
func indent(body []byte) []byte {
	var indented bytes.Buffer
	if err := json.Indent(&indented, body, "", "  "); err != nil { // what we send is JSON: cannot happen
		return body
	}
	return indented.Bytes()
}

// replyEmpty sends a status and headers alone.
func (c *call) replyEmpty(status int) error {
	c.Status(status)
	c.Writer.WriteHeaderNow()
	return nil
}

// describe sets ETag and Last-Modified (https://hl7.org/fhir/R4/http.html#versioning).
func (c *call) describe(r *fhir.Resource) {
	c.Header("ETag", `W/"`+strconv.FormatInt(r.Version, 10)+`"`)
	c.Header("Last-Modified", r.LastUpdated.UTC().Format(http.TimeFormat))
}

// replyWritten answers a create or update with what Prefer asked for, by default the
// resource (https://hl7.org/fhir/R4/http.html#ops).
func (a *api) replyWritten(c *call, status int, w service.Written) error {
	c.describe(w.Resource)
	switch c.prefer.returns {
	case preferMinimal:
		return c.replyEmpty(status)
	case preferOutcome:
		return c.reply(status, fhir.Outcome(w.Issues...))
	default:
		return c.reply(status, w.Resource.Body)
	}
}

// locate sets Location to the version that was made or found.
func (a *api) locate(c *call, r *fhir.Resource) {
	c.Header("Location", a.base+"/"+r.Ref()+"/_history/"+strconv.FormatInt(r.Version, 10))
}
