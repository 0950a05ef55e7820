package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"aftercare/fhir"

	"github.com/gin-gonic/gin"
)

// readResource reads the JSON body of at most limit bytes.
func readResource(c *call, limit int64) ([]byte, error) {
	return readBody(c, limit, fhirJSON, fhir.IsJSON)
}

// readBody reads a body, and takes the memory to work on it. The error's kind is Unavailable
// where other requests have that.
func readBody(c *call, limit int64, wanted string, fits func(mediaType string) bool) ([]byte, error) {
	if c.Request.ContentLength == 0 {
		return nil, errEmpty
	}
	if err := checkBody(c.Request.Header, wanted, fits); err != nil {
		return nil, err
	}
	body, err := readLimited(c, limit)
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return nil, errEmpty
	}
	return body, c.memory.Work(c.ctx(), body)
}

// readForm reads the form of a POST search; no body is a form without parameters.
func readForm(c *call) (string, error) {
	if c.Request.ContentLength == 0 {
		return "", nil
	}
	if err := checkBody(c.Request.Header, formType, isForm); err != nil {
		return "", err
	}
	body, err := readLimited(c, maxForm)
	return string(body), err
}

var errEmpty = fhir.Errorf(fhir.BadRequest, "required", "", "The request has no body; send the resource as %s.", fhirJSON)

// firstRead is the most that is set aside on the word of a Content-Length alone, in
// bytes: a caller has to send what it announces before it takes more memory.
const firstRead = 64 << 10

func readLimited(c *call, limit int64) ([]byte, error) {
	announced := c.Request.ContentLength // -1 when chunked
	if announced > limit {
		discard(c.Context)
		return nil, tooLarge(limit)
	}
	from := http.MaxBytesReader(c.Writer, c.Request.Body, limit)
	var body bytes.Buffer
	if announced > 0 {
		body.Grow(int(min(announced, firstRead)) + bytes.MinRead)
	}
	_, err := body.ReadFrom(io.LimitReader(from, firstRead))
	if err == nil && body.Len() == firstRead && announced != firstRead {
		err = readOn(c, &body, from, limit)
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		discard(c.Context)
		return nil, tooLarge(limit)
	case fhir.KindOf(err) == fhir.Unavailable:
		discard(c.Context)
		return nil, err
	case err != nil:
		return nil, fhir.Errorf(fhir.BadRequest, "incomplete", "", "The body could not be read to its end: it is shorter than announced, badly chunked, or came too slowly.").Because(err)
	}
	return body.Bytes(), nil
}

// readOn reads what comes after firstRead, once there is room for all of it. A body of
// unknown length may come to the limit, and its buffer to twice that.
func readOn(c *call, body *bytes.Buffer, from io.Reader, limit int64) error {
	announced := c.Request.ContentLength
	room := announced
	if announced < 0 {
		room = 2 * limit
	}
	if err := c.memory.Body(c.ctx(), room); err != nil {
		return err
	}
	if announced > 0 {
		body.Grow(int(announced) - body.Len() + bytes.MinRead)
	}
	return c.inTime(func() error {
		_, err := io.CopyN(body, from, stretch)
		return err
	})
}

// A client that holds memory has to send this many bytes in this time; else it would keep
// them from others for as long as it likes.
const (
	stretch     = 1 << 20
	stretchTime = 10 * time.Second
)

// inTime reads stretch after stretch up to the end of the body.
func (c *call) inTime(read func() error) error {
	connection := http.NewResponseController(c.Writer)
	defer func() { _ = connection.SetReadDeadline(time.Time{}) }() // what comes later has its own limits
	for {
		until := time.Now().Add(stretchTime)
		if limit, ok := c.ctx().Deadline(); ok && limit.Before(until) {
			until = limit
		}
		_ = connection.SetReadDeadline(until) // a test may have no connection
		switch err := read(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
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
