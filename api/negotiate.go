package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// The media types (https://hl7.org/fhir/R4/http.html#mime-type). Answers have contentType,
// but for operations that are asked for a picture; fhir.IsJSON tells what is taken on the way in.
const (
	fhirJSON    = "application/fhir+json"
	contentType = fhirJSON + "; charset=utf-8"
	formType    = "application/x-www-form-urlencoded"
)

func isForm(mediaType string) bool { return mediaType == formType }

var errNotAcceptable = fhir.Errorf(fhir.NotAcceptable, "not-supported", "",
	"This server answers in %s (FHIR version 4.0) only; send Accept: %[1]s, or _format=json.", fhirJSON)

// negotiate finds the media type of the answer: "" for FHIR JSON, or one of others, which the
// operation that is asked can answer in too. _format, where given, overrides Accept
// (https://hl7.org/fhir/R4/http.html#parameters). What neither allows is refused.
func negotiate(h http.Header, pairs []search.Pair, others []string) (string, error) {
	refused := errNotAcceptable
	if len(others) > 0 {
		refused = fhir.Errorf(fhir.NotAcceptable, "not-supported", "", "This operation answers in %s or %s; send one of them as Accept or _format.", fhirJSON, strings.Join(others, ", "))
	}
	chosen, overridden := "", false
	for _, p := range pairs {
		if p.Name != "_format" || p.Value == "" {
			continue
		}
		if chosen = ofFormat(p.Value, others); chosen == "" && !fhir.IsJSONFormat(p.Value) {
			return "", refused
		}
		overridden = true
	}
	if overridden {
		return chosen, nil
	}
	fits, some := ranges(h.Values("Accept"))
	best := jsonWeight(fits, some)
	for _, typ := range others {
		if weight := weightOf(fits, typ); weight > best {
			chosen, best = typ, weight
		}
	}
	if best <= 0 {
		return "", refused
	}
	return chosen, nil
}

// ofFormat is the media type that a value of _format names, whole or by what it is called, such
// as svg; "" for none of the given ones.
func ofFormat(value string, types []string) string {
	for _, typ := range types {
		_, name, _ := strings.Cut(typ, "/")
		name, _, _ = strings.Cut(name, "+")
		// An unescaped plus sign arrives as a space.
		if strings.EqualFold(value, typ) || strings.EqualFold(value, strings.Replace(typ, "+", " ", 1)) || strings.EqualFold(value, name) {
			return typ
		}
	}
	return ""
}

// ranges are the media ranges of Accept headers with their weights, and whether there are any. Those
// that ask for another version of FHIR, or cannot be read, are left out.
func ranges(headers []string) (fits map[string]float64, some bool) {
	fits = map[string]float64{}
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
	return fits, some
}

// jsonWeight is how much FHIR JSON is wanted. The general JSON types, which do not quite name what
// is sent, count where they are named in full.
func jsonWeight(fits map[string]float64, some bool) float64 {
	if !some {
		return 1
	}
	if general := max(fits["application/json"], fits["text/json"]); general > 0 {
		return max(general, fits[fhirJSON])
	}
	return weightOf(fits, fhirJSON)
}

// weightOf is the weight of a media type: as RFC 9110 section 12.5.1 says, the most specific range
// that fits decides.
func weightOf(fits map[string]float64, mediaType string) float64 {
	general, _, _ := strings.Cut(mediaType, "/")
	for _, r := range []string{mediaType, general + "/*", "*/*"} {
		if weight, given := fits[r]; given {
			return weight
		}
	}
	return 0
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
