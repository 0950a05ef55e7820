package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// The media types (https://hl7.org/fhir/R4/http.html#mime-type). Answers always have
// contentType; fhir.IsJSON tells what is taken on the way in.
const (
	fhirJSON    = "application/fhir+json"
	contentType = fhirJSON + "; charset=utf-8"
	formType    = "application/x-www-form-urlencoded"
)

func isForm(mediaType string) bool { return mediaType == formType }

var errNotAcceptable = fhir.Errorf(fhir.NotAcceptable, "not-supported", "",
	"This server answers in %s (FHIR version 4.0) only; send Accept: %[1]s, or _format=json.", fhirJSON)

// acceptable refuses a request that cannot take FHIR JSON. _format, where given,
// overrides Accept (https://hl7.org/fhir/R4/http.html#parameters).
func acceptable(h http.Header, pairs []search.Pair) error {
	overridden := false
	for _, p := range pairs {
		if p.Name != "_format" || p.Value == "" {
			continue
		}
		if !fhir.IsJSONFormat(p.Value) {
			return errNotAcceptable
		}
		overridden = true
	}
	if !overridden && !accepts(h.Values("Accept")) {
		return errNotAcceptable
	}
	return nil
}

// accepts reports whether Accept headers allow FHIR JSON. As RFC 9110 section 12.5.1
// says, the most specific range that fits decides. The general JSON types, which do not
// quite name what is sent, count where they are named in full.
func accepts(headers []string) bool {
	fits := map[string]float64{} // range to its weight
	some := false
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(item) == "" {
				continue
			}
			some = true
			mediaType, parameters, err := mime.ParseMediaType(item)
			if err != nil || !fhir.IsR4(parameters) {
				continue
			}
			weight := 1.0
			if q, given := parameters["q"]; given {
				if weight, err = strconv.ParseFloat(q, 64); err != nil {
					continue
				}
			}
			if mediaType == "*" { // sent by old Java clients
				mediaType = "*/*"
			}
			fits[mediaType] = max(fits[mediaType], weight)
		}
	}
	if !some || fits["application/json"] > 0 || fits["text/json"] > 0 {
		return true
	}
	for _, r := range []string{fhirJSON, "application/*", "*/*"} {
		if weight, given := fits[r]; given {
			return weight > 0
		}
	}
	return false
}

// checkBody refuses a body that is not declared to be uncompressed UTF-8 of a media type
// that fits; wanted names those types for the sender.
func checkBody(h http.Header, wanted string, fits func(mediaType string) bool) error {
	refuse := func(why string) error {
		return fhir.Errorf(fhir.UnsupportedMedia, "not-supported", "", "%s; send the body as %s in UTF-8.", why, wanted)
	}
	for _, encoding := range h.Values("Content-Encoding") {
		if !strings.EqualFold(strings.TrimSpace(encoding), "identity") {
			return refuse("The body has a Content-Encoding, and this server does not decompress bodies")
		}
	}
	declared := h.Get("Content-Type")
	if declared == "" {
		return refuse("The body has no Content-Type")
	}
	mediaType, parameters, err := mime.ParseMediaType(declared)
	switch {
	case err != nil:
		return refuse("The Content-Type cannot be read")
	case !fits(mediaType):
		return refuse("The body's Content-Type is not one that is understood here")
	case !fhir.IsR4(parameters):
		return refuse("The Content-Type names a FHIR version that is not 4.0")
	}
	if charset, given := parameters["charset"]; given && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return refuse("The Content-Type names a charset that is not UTF-8")
	}
	return nil
}
