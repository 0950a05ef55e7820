package conformance

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// exchange is one request and what must come back. The exchanges of a sentence are made
// in order, on one server.
type exchange struct {
	name string
	// line is "METHOD /path?query" below the base.
	line    string
	headers []string // "Name: value"
	body    string
	status  int
	// want are, each on its own:
	//
	//	Header-Name: pattern   the header's value matches the whole pattern; - is absent
	//	path = value           the JSON values at the path, joined by commas
	//	+ text                 the body contains the text
	//	- text                 the body does not
	//	empty                  the body is empty
	want []string
	// keep is "name = Header-Name" or "name = path": what is there stands for {name} in the
	// exchanges after this one.
	keep string
}

var headerWish = regexp.MustCompile(`^([A-Z][A-Za-z-]*): (.*)$`)

// run makes the exchanges. "{base}" in a line, a header, a body or a wish is the server's
// base.
func run(t *testing.T, s *server, exchanges []exchange) {
	t.Helper()
	known := []string{"{base}", s.base}
	for _, x := range exchanges {
		t.Run(x.name, func(t *testing.T) {
			fill := strings.NewReplacer(known...)
			headers := make([]string, len(x.headers))
			for i, h := range x.headers {
				headers[i] = fill.Replace(h)
			}
			a := s.send(t, fill.Replace(x.line), fill.Replace(x.body), headers...)
			if a.status != x.status {
				t.Fatalf("%s: status %d, want %d: %.800s", x.line, a.status, x.status, a.body)
			}
			if a.status >= 400 && !strings.HasPrefix(x.line, "HEAD") && a.at("resourceType") != "OperationOutcome" {
				t.Errorf("%s: a refusal is an OperationOutcome, not %.200s", x.line, a.body)
			}
			for _, wish := range x.want {
				if why := a.lacks(fill.Replace(wish)); why != "" {
					t.Errorf("%s: %s\n%.1200s", x.line, why, a.body)
				}
			}
			if name, from, ok := strings.Cut(x.keep, " = "); ok {
				value := a.header.Get(from)
				if value == "" {
					value = a.at(from)
				}
				if value == "" {
					t.Fatalf("%s: there is no %s to keep", x.line, from)
				}
				known = append(known, "{"+name+"}", value)
			}
		})
	}
}

// lacks says in which way the answer does not meet a wish, "" if it does.
func (a answer) lacks(wish string) string {
	if m := headerWish.FindStringSubmatch(wish); m != nil {
		values, given := a.header[http.CanonicalHeaderKey(m[1])]
		got := strings.Join(values, ", ")
		switch {
		case m[2] == "-" && given:
			return m[1] + " is " + got + ", want none"
		case m[2] == "-", regexp.MustCompile(`^(?:`+m[2]+`)$`).MatchString(got) && given:
			return ""
		}
		return m[1] + " is " + got + ", want " + m[2]
	}
	if path, value, ok := strings.Cut(wish, " = "); ok {
		if got := a.at(path); got != value {
			return path + " is " + got + ", want " + value
		}
		return ""
	}
	text := strings.TrimLeft(wish, "+- ")
	switch {
	case wish == "empty" && a.body != "":
		return "the body is not empty"
	case strings.HasPrefix(wish, "+ ") && !strings.Contains(a.body, text):
		return "the body lacks " + text
	case strings.HasPrefix(wish, "- ") && strings.Contains(a.body, text):
		return "the body has " + text
	case wish != "empty" && !strings.HasPrefix(wish, "+ ") && !strings.HasPrefix(wish, "- "):
		return "the wish " + wish + " is not understood"
	}
	return ""
}

// A wish that is not met is found, so that the tables can fail.
func TestWishesCanFail(t *testing.T) {
	a := answer{status: 200, header: map[string][]string{"Etag": {`W/"1"`}}, body: `{"id":"a","entry":[{"id":"b"},{"id":"c"}]}`}
	for wish, met := range map[string]bool{
		`ETag: W/"1"`: true, `ETag: W/"2"`: false, `ETag: W/`: false, "ETag: -": false, "Location: -": true, "Location: .*": false,
		"entry.id = b,c": true, "entry.id = b": false, "none = ": true, `+ "a"`: true, "+ z": false, "- z": true, `- "a"`: false,
		"empty": false, "nonsense": false,
	} {
		if why := a.lacks(wish); (why == "") != met {
			t.Errorf("%s: %q", wish, why)
		}
	}
}
