package api

import (
	"net/http"
	"strings"

	"aftercare/service"
)

// preference is what the Prefer headers ask for
// (https://hl7.org/fhir/R4/http.html#ops, RFC 7240). What is not known is ignored, as
// the RFC requires.
type preference struct {
	// returns is what a write answers with, "" where nothing known was asked.
	returns service.Prefer
	// lenient lets unknown parameters be ignored rather than refused.
	lenient bool
}

func preferences(h http.Header) preference {
	var p preference
	handling := ""
	for _, value := range h.Values("Prefer") {
		for item := range strings.SplitSeq(value, ",") {
			item, _, _ = strings.Cut(item, ";")
			name, asked, _ := strings.Cut(item, "=")
			asked = strings.Trim(strings.TrimSpace(asked), `"`)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "return":
				if p.returns == "" { // the first counts
					p.returns = returns[strings.ToLower(asked)]
				}
			case "handling":
				if handling == "" {
					handling = strings.ToLower(asked)
				}
			}
		}
	}
	p.lenient = handling == "lenient"
	return p
}

var returns = map[string]service.Prefer{
	"minimal":          preferMinimal,
	"representation":   preferRepresentation,
	"operationoutcome": preferOutcome,
}

const (
	preferMinimal        service.Prefer = "minimal"
	preferRepresentation service.Prefer = "representation"
	preferOutcome        service.Prefer = "OperationOutcome"
)
