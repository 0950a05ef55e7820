package resilience

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
)

// client sends requests to whichever address is the service's at the moment.
type client struct {
	address func() string // such as http://127.0.0.1:1234
	http    *http.Client
	heard   func(line string, a answer) // told each answer, if not nil
}

func newClient(t testing.TB, address func() string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{address: address, http: &http.Client{Transport: transport, Timeout: 2 * time.Minute}}
}

func (p *program) client(t testing.TB) *client {
	return newClient(t, func() string { return p.address.Load().(string) })
}

// answer is a response, read whole. status is 0 if there was none, or if it broke off.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// send makes one request. line is a method and a path such as "GET /fhir/Patient"; headers are
// lines "Name: value".
func (c *client) send(line, body string, headers ...string) answer {
	method, path, _ := strings.Cut(line, " ")
	r, err := http.NewRequest(method, c.address()+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{err: err}
	}
	a := answer{response.StatusCode, response.Header, got, nil}
	if c.heard != nil {
		c.heard(line, a)
	}
	return a
}

// must is send that ends the test if the status is another.
func (c *client) must(t testing.TB, status int, line, body string, headers ...string) answer {
	t.Helper()
	a := c.send(line, body, headers...)
	if a.status != status {
		t.Fatalf("%s: status %d, want %d: %v %.500s", line, a.status, status, a.err, a.body)
	}
	return a
}

// outcome is what an answer to a write says.
type outcome int

const (
	unknown outcome = iota // there was no answer, or it says that nobody knows
	stored                 // on disk
	refused                // nothing of it is stored
)

func (a answer) outcome() outcome {
	switch {
	case a.status >= 200 && a.status < 300:
		return stored
	case a.status == 0, a.status == http.StatusBadGateway, a.issue() == "incomplete":
		return unknown
	}
	return refused
}

// at is the first value at a path of members such as "meta.versionId".
func (a answer) at(path string) string {
	for _, v := range a.all(path) {
		return v
	}
	return ""
}

func (a answer) all(path string) (values []string) {
	n, err := fhir.Parse(a.body)
	if err != nil {
		return nil
	}
	for _, v := range n.Each(strings.Split(path, ".")...) {
		values = append(values, v.Text)
	}
	return values
}

// issue is the code of the first issue of an OperationOutcome.
func (a answer) issue() string {
	if a.at("resourceType") != "OperationOutcome" {
		return ""
	}
	return a.at("issue.code")
}

// version is what the ETag says, 0 if there is none.
func (a answer) version() int {
	return etag(a.header.Get("ETag"))
}

func etag(s string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(s, `W/"`), `"`))
	if err != nil {
		return 0
	}
	return n
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
