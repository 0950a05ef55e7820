package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"aftercare/fhir"

	"github.com/gin-gonic/gin"
)

// failing serves GET /fails, where each request fails with the error, or does what do
// says.
func failing(do func(*call) error) setup {
	return setup{routes: func(a *api, e *gin.Engine) {
		e.Group("/fails", a.around()...).GET("", a.handle(do))
	}}
}

const secret = "Ada Lovelace 943 476 5919"

func TestErrorKinds(t *testing.T) {
	var err error
	s := start(t, failing(func(*call) error { return err }))
	for _, c := range []struct {
		kind   fhir.ErrorKind
		status int
		header string
	}{
		{fhir.BadRequest, 400, ""},
		{fhir.Unauthenticated, 401, "WWW-Authenticate"},
		{fhir.Forbidden, 403, ""},
		{fhir.NotFound, 404, ""},
		{fhir.NotAllowed, 405, "Allow"},
		{fhir.NotAcceptable, 406, ""},
		{fhir.Conflict, 409, ""},
		{fhir.Gone, 410, ""},
		{fhir.PreconditionFailed, 412, ""},
		{fhir.TooLarge, 413, "Connection"},
		{fhir.UnsupportedMedia, 415, ""},
		{fhir.Unprocessable, 422, ""},
		{fhir.TooMany, 429, "Retry-After"},
		{fhir.Unavailable, 503, "Retry-After"},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			err = fmt.Errorf("wrapped: %w", fhir.Errorf(c.kind, "processing", "Patient.name", "Do this.").Because(errors.New(secret)))
			a := s.do(t, http.MethodGet, s.URL+"/fails", "").want(t, c.status, "processing")
			if strings.Contains(a.body, "Ada") || !strings.Contains(a.body, `"expression":["Patient.name"]`) {
				t.Errorf("body: %s", a.body)
			}
			if c.header != "" && a.header.Get(c.header) == "" {
				t.Errorf("no %s", c.header)
			}
			err = &fhir.Error{Kind: c.kind}
			s.do(t, http.MethodGet, s.URL+"/fails", "").want(t, c.status, "")
		})
	}
	if last := fhir.Unavailable; len(unsaid) != int(last) {
		t.Errorf("%d issues for %d kinds", len(unsaid), last)
	}
}

func TestInternalErrorsTellTheRequestIDAlone(t *testing.T) {
	var err error
	s := start(t, failing(func(*call) error { return err }))
	for name, e := range map[string]error{
		"plain error":            errors.New("disk full"),
		"internal error":         fhir.Errorf(fhir.Internal, "exception", "", "disk full"),
		"kind that is not known": fhir.Errorf(fhir.ErrorKind(99), "exception", "", "disk full"),
		"cancelled inside":       context.Canceled,
	} {
		t.Run(name, func(t *testing.T) {
			err = e
			a := s.do(t, http.MethodGet, s.URL+"/fails", "", "X-Request-Id", "ask-about-me").want(t, 500, "exception")
			if !strings.Contains(a.body, "ask-about-me") || strings.Contains(a.body, "disk") {
				t.Errorf("body: %s", a.body)
			}
		})
	}
	if !strings.Contains(s.logs.String(), "disk full") {
		t.Error("the cause is not logged")
	}
	t.Run("deadline", func(t *testing.T) {
		err = fmt.Errorf("query: %w", context.DeadlineExceeded)
		s.do(t, http.MethodGet, s.URL+"/fails", "").want(t, 503, "timeout")
	})
}

func TestPanicIsAnAnswer(t *testing.T) {
	var what any
	s := start(t, failing(func(*call) error { panic(what) }))
	var none map[string]int
	for name, value := range map[string]any{"string": secret, "error": errors.New(secret), "nil map": none} {
		t.Run(name, func(t *testing.T) {
			what = value
			s.do(t, http.MethodGet, s.URL+"/fails", "").want(t, 500, "exception")
		})
	}
	s.do(t, http.MethodGet, s.base+"/metadata", "").want(t, 200, "")
	if logs := s.logs.String(); strings.Contains(logs, "Ada") || !strings.Contains(logs, "panic of type string") || !strings.Contains(logs, "errors_test.go") {
		t.Errorf("logs: %s", logs)
	}
}

func TestRuntimePanicIsNamed(t *testing.T) {
	s := start(t, failing(func(c *call) error { return []error{nil}[len(c.typ)+1] }))
	s.do(t, http.MethodGet, s.URL+"/fails", "").want(t, 500, "exception")
	if !strings.Contains(s.logs.String(), "index out of range") {
		t.Errorf("logs: %s", s.logs)
	}
}

func TestPanicInTheMiddleCutsTheConnection(t *testing.T) {
	s := start(t, failing(func(c *call) error {
		_, _ = c.Writer.WriteString("{")
		c.Writer.Flush()
		panic("late")
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/fails", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err == nil {
		buf := make([]byte, 100)
		for err == nil {
			_, err = res.Body.Read(buf)
		}
		_ = res.Body.Close()
		if err.Error() == "EOF" {
			t.Error("half an answer ended as if it were whole")
		}
	}
	s.handlers.Wait()
	if !strings.Contains(s.logs.String(), `"msg":"request"`) {
		t.Error("the request is not recorded")
	}
}

func TestClientThatLeavesIsNoFault(t *testing.T) {
	entered := make(chan struct{})
	s := start(t, failing(func(c *call) error {
		close(entered)
		<-c.ctx().Done()
		return fmt.Errorf("query: %w", c.ctx().Err())
	}))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/fails", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; cancel() }()
	if res, err := s.Client().Do(req); err == nil {
		_ = res.Body.Close()
		t.Fatal("answered")
	}
	s.handlers.Wait()
	lines := s.logs.lines(t)
	if len(lines) != 1 || lines[0]["status"] != 499.0 || lines[0]["level"] != "INFO" {
		t.Errorf("log: %v", lines)
	}
}
