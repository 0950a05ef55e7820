package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"aftercare/fhir"

	"github.com/gin-gonic/gin"
)

// readResource reads the JSON body of at most limit bytes.
func readResource(g *gin.Context, limit int64) ([]byte, error) {
	return readBody(g, limit, fhirJSON, fhir.IsJSON)
}

func readBody(g *gin.Context, limit int64, wanted string, fits func(mediaType string) bool) ([]byte, error) {
	if g.Request.ContentLength == 0 {
		return nil, errEmpty
	}
	if err := checkBody(g.Request.Header, wanted, fits); err != nil {
		return nil, err
	}
	body, err := readLimited(g, limit)
	if err == nil && len(body) == 0 {
		return nil, errEmpty
	}
	return body, err
}

// readForm reads the form of a POST search; no body is a form without parameters.
func readForm(c *call) (string, error) {
	if c.Request.ContentLength == 0 {
		return "", nil
	}
	if err := checkBody(c.Request.Header, formType, isForm); err != nil {
		return "", err
	}
	body, err := readLimited(c.Context, maxForm)
	return string(body), err
}

var errEmpty = fhir.Errorf(fhir.BadRequest, "required", "", "The request has no body; send the resource as %s.", fhirJSON)

// firstRead is the most that is set aside on the word of a Content-Length alone, in
// bytes: a caller has to send what it announces before it takes more memory.
const firstRead = 64 << 10

func readLimited(g *gin.Context, limit int64) ([]byte, error) {
	announced := g.Request.ContentLength // -1 when chunked
	if announced > limit {
		discard(g)
		return nil, tooLarge(limit)
	}
	var body bytes.Buffer
	if announced > 0 {
		body.Grow(int(min(announced, firstRead)) + bytes.MinRead)
	}
	_, err := body.ReadFrom(http.MaxBytesReader(g.Writer, g.Request.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		discard(g)
		return nil, tooLarge(limit)
	case err != nil:
		return nil, fhir.Errorf(fhir.BadRequest, "incomplete", "", "The body could not be read to its end: it is shorter than announced, badly chunked, or came too slowly.").Because(err)
	}
	return body.Bytes(), nil
}

// discardLimit is how much of a body that is too large is still read, in bytes.
const discardLimit = 64 << 20

// discard reads what a client goes on sending. Most clients look for an answer only when
// they have sent all, and would find a connection that was cut instead of the reason. One
// that asks first, with Expect: 100-continue, sends nothing.
func discard(g *gin.Context) {
	if g.GetHeader("Expect") == "" {
		_, _ = io.CopyN(io.Discard, g.Request.Body, discardLimit)
	}
}

func tooLarge(limit int64) error {
	return fhir.Errorf(fhir.TooLarge, "too-long", "", "The body is larger than the %d bytes that are allowed here.", limit)
}
