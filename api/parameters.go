package api

import (
	"regexp"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service"
)

// maxQuery limits the query string of a URL, maxForm the form of a POST search; in
// bytes.
const (
	maxQuery = 16 << 10
	maxForm  = 64 << 10
)

// readParameters gives the parameters of the URL, then those of a search form
// (https://hl7.org/fhir/R4/http.html#search: both count).
func readParameters(c *call) ([]search.Pair, error) {
	raw := c.Request.URL.RawQuery
	if len(raw) > maxQuery {
		return nil, fhir.Errorf(fhir.BadRequest, "too-long", "",
			"The query string is longer than %d bytes; send a long search with POST to [base]/[type]/_search.", maxQuery)
	}
	pairs, err := search.ParsePairs(raw)
	if err != nil || !c.isSearchForm() {
		return pairs, err
	}
	form, err := readForm(c)
	if err != nil {
		return nil, err
	}
	service.Sent(c.ctx(), withoutTokens(form))
	more, err := search.ParsePairs(form)
	return append(pairs, more...), err
}

var parameterName = regexp.MustCompile(`^_?[a-z][a-zA-Z0-9-]{0,40}$`)

// refuseUnknown refuses a parameter that the interaction does not take. Its place is
// given as R4 gives places in a URL: http.name
// (https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression).
func refuseUnknown(pairs []search.Pair, takes []string) error {
	for _, p := range pairs {
		switch {
		case p.Name == "_format" || p.Name == "_pretty" || slices.Contains(takes, p.Name):
		case parameterName.MatchString(p.Name):
			return fhir.Errorf(fhir.BadRequest, "not-supported", "http."+p.Name,
				"This interaction does not take the parameter %s. Leave it out, or send Prefer: handling=lenient to have it ignored.", p.Name)
		default:
			return fhir.Errorf(fhir.BadRequest, "not-supported", "",
				"This interaction does not take one of the parameters. Leave it out, or send Prefer: handling=lenient to have it ignored.")
		}
	}
	return nil
}

// wantsPretty is isPretty for a request that has failed, whose parameters may be unread.
func wantsPretty(query string) bool {
	pairs, err := search.ParsePairs(query)
	if err != nil {
		return false
	}
	pretty, err := isPretty(pairs)
	return err == nil && pretty
}

func isPretty(pairs []search.Pair) (bool, error) {
	pretty := false
	for _, p := range pairs {
		if p.Name != "_pretty" {
			continue
		}
		switch p.Value {
		case "true":
			pretty = true
		case "false":
			pretty = false
		default:
			return false, fhir.Errorf(fhir.BadRequest, "value", "http._pretty", "_pretty must be true or false.")
		}
	}
	return pretty, nil
}
