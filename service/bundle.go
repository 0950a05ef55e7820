package service

import (
	"slices"
	"strconv"
	"time"

	"aftercare/fhir"

	"github.com/go-json-experiment/json/jsontext"
)

// bundle writes a Bundle around stored bytes, which are copied and never decoded.
type bundle struct {
	buf     []byte
	links   int
	entries int
}

// newBundle starts a Bundle; a total below 0 is left out.
func newBundle(kind string, total int64) *bundle {
	b := &bundle{buf: make([]byte, 0, 4096)}
	b.buf = append(b.buf, `{"resourceType":"Bundle","type":"`+kind+`"`...)
	if total >= 0 {
		b.buf = append(b.buf, `,"total":`...)
		b.buf = strconv.AppendInt(b.buf, total, 10)
	}
	return b
}

// grow makes room for n more bytes.
func (b *bundle) grow(n int) { b.buf = slices.Grow(b.buf, n) }

// link adds a link; all links come before the first entry.
func (b *bundle) link(relation, url string) {
	if b.links == 0 {
		b.buf = append(b.buf, `,"link":[`...)
	} else {
		b.buf = append(b.buf, ',')
	}
	b.links++
	b.buf = append(b.buf, `{"relation":"`+relation+`","url":`...)
	b.buf = append(appendString(b.buf, url), '}')
}

// entry is one Bundle.entry; empty parts are left out.
type entry struct {
	fullURL  string
	resource []byte
	mode     string // search.mode
	// request
	method, requestURL string
	// response
	status, location, etag string
	lastModified           time.Time
	outcome                []byte
}

// remark is an entry with what there is to say of a search. It is stored nowhere, so its fullUrl is of this
// answer alone (https://hl7.org/fhir/R4/bundle.html#bundle-unique).
func (s *Service) remark(issues []fhir.Issue) entry {
	return entry{fullURL: "urn:uuid:" + s.newID(), resource: fhir.Outcome(issues...), mode: "outcome"}
}

func (b *bundle) entry(e entry) {
	b.closeLinks()
	if b.entries == 0 {
		b.buf = append(b.buf, `,"entry":[{`...)
	} else {
		b.buf = append(b.buf, `,{`...)
	}
	b.entries++
	w := members{buf: b.buf}
	if e.fullURL != "" {
		w.text("fullUrl", e.fullURL)
	}
	if len(e.resource) > 0 {
		w.raw("resource", e.resource)
	}
	if e.mode != "" {
		w.raw("search", []byte(`{"mode":"`+e.mode+`"}`))
	}
	if e.method != "" {
		w.open("request")
		w.text("method", e.method)
		w.text("url", e.requestURL)
		w.close()
	}
	if e.status != "" {
		w.open("response")
		w.text("status", e.status)
		if e.location != "" {
			w.text("location", e.location)
		}
		if e.etag != "" {
			w.text("etag", e.etag)
		}
		if !e.lastModified.IsZero() {
			w.text("lastModified", e.lastModified.UTC().Format(fhir.InstantLayout))
		}
		if len(e.outcome) > 0 {
			w.raw("outcome", e.outcome)
		}
		w.close()
	}
	b.buf = append(w.buf, '}')
}

func (b *bundle) closeLinks() {
	if b.links > 0 && b.entries == 0 {
		b.buf = append(b.buf, ']')
	}
}

func (b *bundle) bytes() []byte {
	b.closeLinks()
	if b.entries > 0 {
		b.buf = append(b.buf, ']')
	}
	return append(b.buf, '}')
}

// members writes the members of a JSON object.
type members struct {
	buf []byte
}

func (w *members) name(name string) {
	if last := w.buf[len(w.buf)-1]; last != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(w.buf, `"`+name+`":`...)
}

func (w *members) text(name, value string) {
	w.name(name)
	w.buf = appendString(w.buf, value)
}

func (w *members) raw(name string, value []byte) {
	w.name(name)
	w.buf = append(w.buf, value...)
}

func (w *members) open(name string) {
	w.name(name)
	w.buf = append(w.buf, '{')
}

func (w *members) close() { w.buf = append(w.buf, '}') }

func appendString(b []byte, s string) []byte {
	b, err := jsontext.AppendQuote(b, s)
	if err != nil { // only for invalid UTF-8, which the parser refused
		panic(err)
	}
	return b
}
