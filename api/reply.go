package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/memory"

	"github.com/gin-gonic/gin"
)

// reply sends FHIR JSON as it is, or compressed. HEAD gets the headers of GET, length
// included.
func reply(g *gin.Context, status int, body []byte) { replyAs(g, status, contentType, body) }

// replyAs is reply for any media type.
func replyAs(g *gin.Context, status int, mediaType string, body []byte) {
	body = compress(g, body)
	h := g.Writer.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	g.Status(status)
	if g.Request.Method == http.MethodHead {
		g.Writer.WriteHeaderNow()
		return
	}
	writeInTime(g, body)
}

// writeMost is how long an answer may take to be sent, of any size.
const writeMost = 3 * time.Minute

// writeInTime sends a body. A client that is too slow to take a large one is cut off, as one
// that is too slow to send is: see stretch. An error means that the client has gone.
func writeInTime(g *gin.Context, body []byte) {
	if len(body) <= memory.FreeAnswer {
		_, _ = g.Writer.Write(body)
		return
	}
	connection, end := http.NewResponseController(g.Writer), time.Now().Add(writeMost)
	for part := range slices.Chunk(body, stretch) {
		until := time.Now().Add(stretchTime)
		if end.Before(until) {
			until = end
		}
		_ = connection.SetWriteDeadline(until) // a test may have no connection
		if _, err := g.Writer.Write(part); err != nil {
			return
		}
	}
}

// reply sends FHIR JSON, indented where that was asked for. The error's kind is Unavailable
// where the answers of others, which wait for their readers, have taken the memory.
func (c *call) reply(status int, body []byte) error {
	if err := c.memory.Answered(int64(len(body))); err != nil {
		return err
	}
	return c.send(status, body)
}

// replyAs sends something else than FHIR JSON. A page that shows it must not run what is in it:
// texts of records are.
func (c *call) replyAs(mediaType string, body []byte) error {
	if err := c.memory.Answered(int64(len(body))); err != nil {
		return err
	}
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; font-src data:; sandbox")
	c.Header("X-Content-Type-Options", "nosniff")
	replyAs(c.Context, http.StatusOK, mediaType, body)
	return nil
}

// maxIndent is the most that is indented, in bytes: that is for people to read, and white
// space can make the answer many times as large.
const maxIndent = 1 << 20

// send is reply for what has its memory.
func (c *call) send(status int, body []byte) error {
	if c.pretty && len(body) <= maxIndent {
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
// resource (https://hl7.org/fhir/R4/http.html#ops). A large one is left out where there is no
// memory for it to wait in: what was asked is a preference.
func (a *api) replyWritten(c *call, status int, w service.Written) error {
	c.describe(w.Resource)
	switch {
	case c.prefer.returns == preferMinimal, w.Hidden:
		return c.replyEmpty(status)
	case c.prefer.returns == preferOutcome:
		return c.reply(status, fhir.Outcome(w.Issues...))
	}
	if c.reply(status, w.Resource.Body) != nil { // it is written: then the headers tell of it alone
		return c.replyEmpty(status)
	}
	return nil
}

// locate sets Location to the version that was made or found.
func (a *api) locate(c *call, r *fhir.Resource) {
	c.Header("Location", a.base+"/"+r.Ref()+"/_history/"+strconv.FormatInt(r.Version, 10))
}
