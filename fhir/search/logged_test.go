package search

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// What the log is asked is what it has an index of, and nothing leads from it to resources or back.
func TestTheLogIsSearchedAlone(t *testing.T) {
	r := registry(t)
	for query, want := range map[string]string{
		"AuditEvent?patient=1,Patient/2&date=ge2026-01-01":   "patient=Patient/1 or Patient/2 & date=ge 2026-01-01T00:00:00Z..2026-01-02T00:00:00Z",
		"AuditEvent?agent=Practitioner/1&outcome:not=0":      "agent=Practitioner/1 & outcome:not=*|0",
		"AuditEvent?agent:identifier=https://idp|app":        "agent:identifier=https://idp|app",
		"AuditEvent?entity:identifier=req-1":                 "entity:identifier=*|req-1",
		"AuditEvent?agent:Practitioner=1":                    "agent=Practitioner/1",
		"AuditEvent?patient.identifier=http://nhs|1&_id=7,8": "patient=Patient.identifier=http://nhs|1 & _id=7 or 8",
		"AuditEvent?patient:Patient.identifier=http://nhs|1": "patient=Patient.identifier=http://nhs|1",
	} {
		q, _, err := parse(t, r, query, options(t))
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		var got []string
		for _, c := range q.Clauses {
			got = append(got, showClause(c))
		}
		if said := strings.Join(got, " & "); said != want {
			t.Errorf("%s: got %s, want %s", query, said, want)
		}
	}
	for query, place := range map[string]string{
		"AuditEvent?altid=s3cret":                                   "http.altid",
		"AuditEvent?address=s3cret":                                 "http.address",
		"AuditEvent?agent-name=s3cret":                              "http.agent-name",
		"AuditEvent?_profile=s3cret":                                "http._profile",
		"AuditEvent?_content=s3cret":                                "http._content",
		"AuditEvent?_text=s3cret":                                   "http._text",
		"AuditEvent?outcome:missing=true":                           "http.outcome",
		"AuditEvent?date:missing=true":                              "http.date",
		"AuditEvent?type:in=http://s3cret":                          "http.type",
		"AuditEvent?type:text=s3cret":                               "http.type",
		"AuditEvent?patient:identifier=s3cret":                      "http.patient",
		"AuditEvent?source:identifier=s3cret":                       "http.source",
		"AuditEvent?patient.name=s3cret":                            "http.patient",
		"AuditEvent?patient.identifier:of-type=a|b|c":               "http.patient",
		"AuditEvent?patient.organization.identifier=s3cret":         "http.patient",
		"AuditEvent?entity.identifier=s3cret":                       "http.entity",
		"AuditEvent?agent:Patient.identifier=s3cret":                "http.agent",
		"AuditEvent?_has:Provenance:target:agent=s3cret":            "http._has",
		"AuditEvent?_has=s3cret":                                    "http._has",
		"AuditEvent?_list=s3cret":                                   "http._list",
		"AuditEvent?_filter=outcome%20eq%20s3cret":                  "http._filter",
		"AuditEvent?_query=s3cret":                                  "http._query",
		"AuditEvent?_include=AuditEvent:patient":                    "http._include",
		"AuditEvent?_include=*":                                     "http._include",
		"AuditEvent?_revinclude=Provenance:target":                  "http._revinclude",
		"AuditEvent?_include:iterate=Patient:organization":          "http._include",
		"AuditEvent?_sort=patient":                                  "http._sort",
		"AuditEvent?_sort=date,_lastUpdated":                        "http._sort",
		"Patient?_revinclude=AuditEvent:patient":                    "http._revinclude",
		"Patient?_include:iterate=AuditEvent:agent":                 "http._include",
		"Patient?_has:AuditEvent:patient:action=D":                  "http._has",
		"Patient?_has:Provenance:target:target:AuditEvent.action=D": "http._has",
		"Provenance?target:AuditEvent.action=D":                     "http.target",
		"Provenance?target._has:AuditEvent:entity:action=D":         "http.target",
	} {
		q, _, err := parse(t, r, query, options(t))
		var e *fhir.Error
		if !errors.As(err, &e) || e.Kind != fhir.BadRequest || len(e.Issues) != 1 || e.Issues[0].Code != "not-supported" || !slices.Equal(e.Issues[0].Expression, []string{place}) {
			t.Errorf("%s: %+v %v", query, q, err)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error repeats the value: %v", err)
		}
	}
	if _, err := NewRegistry(node(t, `{"resourceType":"SearchParameter","url":"http://x/a","code":"site-name","type":"token","base":["AuditEvent"],"expression":"AuditEvent.source.site"}`)); err == nil {
		t.Error("a parameter that the log has no index of is accepted")
	}
	for _, include := range []string{"Patient?_revinclude=*", "Patient?_include:iterate=*"} {
		q, _, err := parse(t, r, include, options(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range q.Include[0].Params {
			if p.Type == "AuditEvent" {
				t.Errorf("%s leads to %s", include, p.Key())
			}
		}
	}
}
