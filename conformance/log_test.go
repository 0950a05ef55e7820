package conformance

import (
	"net/url"
	"strings"
	"testing"

	"aftercare/fhir"
)

// logSamples are values of each search parameter of AuditEvent that find the read of a Patient by the
// request "sample", and others that do not.
var logSamples = map[string][2][]string{
	"_id":          {{""}, {"99999", "x"}},
	"_lastUpdated": {{"gt2000"}, {"lt2000"}},
	"date":         {{"gt2000", "ge2000&date=lt2999"}, {"lt2000", "2001"}},
	"action":       {{"R", "C,R", "http://hl7.org/fhir/audit-event-action|R"}, {"D", "http://x|R"}},
	"outcome":      {{"0", "http://hl7.org/fhir/audit-event-outcome|0"}, {"4", "8,12"}},
	"type":         {{"rest", "http://terminology.hl7.org/CodeSystem/audit-event-type|rest"}, {"110100", "http://x|rest"}},
	"subtype":      {{"read", "http://hl7.org/fhir/restful-interaction|read"}, {"vread", "http://x|read"}},
	"patient":      {{"hit", "Patient/hit", "none,hit"}, {"none", "https://elsewhere.example/fhir/Patient/hit"}},
	"agent":        {{"Device/aftercare-software", "aftercare-software"}, {"Device/x", "Practitioner/1"}},
	"source":       {{"Device/aftercare-software"}, {"Device/x"}},
	"entity":       {{"Patient/hit", "hit"}, {"Observation/hit", "Patient/none", "none"}},
	"entity-type":  {{"1", "2", "XrequestId"}, {"3"}},
	"entity-role":  {{"1", "http://terminology.hl7.org/CodeSystem/object-role|4"}, {"24"}},
	"policy":       {nil, {"urn:jti:none"}}, // without tokens there are no policies
}

// Each parameter that is listed for the log finds what it should, and nothing else.
func TestEachParameterOfTheLogIsLive(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/hit", `{"resourceType":"Patient","id":"hit","identifier":[{"system":"http://nhs.example","value":"1"}]}`)
		s.must(t, 200, "GET /Patient/hit", "", "X-Request-Id: sample")
		m := readStatement(t, s)
		for typ, r := range m.resources {
			if served, _ := fhir.Served(typ); !served.Logged {
				continue
			}
			const mine = "entity:identifier=sample"
			found := s.send(t, "GET /"+typ+"?"+mine, "")
			id := found.at("entry.resource.id")
			finds := func(query string) bool {
				a := s.send(t, "GET /"+typ+"?"+mine+"&"+query, "")
				if a.status != 200 {
					t.Errorf("%s: %d %.300s", query, a.status, a.body)
				}
				return strings.Contains(a.body, `"fullUrl":"`+s.base+"/"+typ+"/"+id+`"`)
			}
			if id == "" || !finds("patient.identifier="+url.QueryEscape("http://nhs.example|1")) {
				t.Errorf("the request is not found: %s", found.body)
			}
			for name := range m.resources[typ].searchParams {
				if !r.hasOwn(name) {
					continue
				}
				samples, known := logSamples[name]
				if !known {
					t.Errorf("%s lists %s, which is not tried here", typ, name)
				}
				for _, value := range samples[0] {
					if value == "" {
						value = id
					}
					if !finds(name + "=" + strings.ReplaceAll(value, "|", "%7C")) {
						t.Errorf("%s=%s does not find the request", name, value)
					}
				}
				for _, value := range samples[1] {
					if finds(name + "=" + strings.ReplaceAll(value, "|", "%7C")) {
						t.Errorf("%s=%s finds the request", name, value)
					}
				}
			}
			for name := range logSamples {
				if m.resources[typ].searchParams[name] == "" {
					t.Errorf("%s does not list %s", typ, name)
				}
			}
		}
	})
}
