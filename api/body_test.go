package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const smallLimit = 2000

func withLimits(o *Options) { o.MaxBody, o.MaxBundle = smallLimit, 2*smallLimit }

// padded is the patient at exactly n bytes.
func padded(n int) string { return patient + strings.Repeat(" ", n-len(patient)) }

func TestBodyLimits(t *testing.T) {
	s := start(t, setup{options: withLimits})
	bundle := `{"resourceType":"Bundle","type":"batch"}`
	for _, c := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"resource at the limit", "/Patient", padded(smallLimit), 201, ""},
		{"resource one byte over", "/Patient", padded(smallLimit + 1), 413, "too-long"},
		{"bundle over a resource's limit", "", bundle + strings.Repeat(" ", smallLimit), 200, ""},
		{"bundle over its own", "", bundle + strings.Repeat(" ", 2*smallLimit), 413, "too-long"},
		{"cut off", "/Patient", patient[:40], 400, "structure"},
		{"no JSON", "/Patient", "hello", 400, "structure"},
		{"not a Bundle", "", patient, 400, "structure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.do(t, http.MethodPost, s.base+c.path, c.body).want(t, c.status, c.code)
		})
		t.Run(c.name+", chunked", func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+c.path, io.MultiReader(strings.NewReader(c.body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", fhirJSON)
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			got, _ := io.ReadAll(res.Body)
			a := answer{res.StatusCode, res.Header, string(got)}
			a.check(t, http.MethodPost)
			a.want(t, c.status, c.code)
		})
	}
	t.Run("no body", func(t *testing.T) {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			path := map[string]string{http.MethodPost: "/Patient", http.MethodPut: "/Patient/p1"}[method]
			s.do(t, method, s.base+path, "", "Content-Type", fhirJSON).want(t, 400, "required")
			s.do(t, method, s.base+path, "").want(t, 400, "required")
		}
	})
}

// raw writes bytes to the server, closes its sending half and reads the answer.
func raw(t *testing.T, s *server, request string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{res.StatusCode, res.Header, string(body)}
	a.check(t, http.MethodPost)
	return a
}

func TestLyingBodies(t *testing.T) {
	s := start(t, setup{options: withLimits})
	head := "POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nConnection: close\r\n"
	t.Run("announces too much and sends nothing", func(t *testing.T) {
		raw(t, s, head+"Content-Length: 99999999999\r\n\r\n").want(t, 413, "too-long")
	})
	t.Run("sends less than it announces", func(t *testing.T) {
		raw(t, s, head+"Content-Length: 500\r\n\r\n"+patient).want(t, 400, "incomplete")
	})
	t.Run("announces less than it sends", func(t *testing.T) {
		raw(t, s, head+"Content-Length: 40\r\n\r\n"+patient).want(t, 400, "structure")
	})
	t.Run("chunked without an end", func(t *testing.T) {
		raw(t, s, head+fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(patient), patient)).want(t, 400, "incomplete")
	})
	t.Run("chunked nonsense", func(t *testing.T) {
		raw(t, s, head+"Transfer-Encoding: chunked\r\n\r\nzz\r\n").want(t, 400, "incomplete")
	})
	t.Run("empty chunked body", func(t *testing.T) {
		raw(t, s, head+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").want(t, 400, "required")
	})
}

// A client that sends all before it looks for an answer still gets one.
func TestTooLargeIsToldToClientsThatSendFirst(t *testing.T) {
	s := start(t, setup{options: withLimits})
	const size = 16 << 20
	for name, head := range map[string]string{
		"announced": fmt.Sprintf("Content-Length: %d\r\n\r\n", size),
		"chunked":   fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			request := "POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: " + fhirJSON + "\r\n" + head + strings.Repeat(" ", size) + "\r\n0\r\n\r\n"
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			if body, _ := io.ReadAll(res.Body); res.StatusCode != 413 || !strings.Contains(string(body), "too-long") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
}
