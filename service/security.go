package service

import (
	"maps"
	"slices"
)

// security is what the CapabilityStatement says of tokens
// (https://hl7.org/fhir/smart-app-launch/1.0.0/conformance/index.html#smart-on-fhir-oauth-authorization-endpoints).
type security struct {
	Extension []extension `json:"extension"`
	Service   []concept   `json:"service"`
	Text      string      `json:"description"`
}

type extension struct {
	Extension []extension `json:"extension,omitempty"`
	URL       string      `json:"url"`
	Value     string      `json:"valueUri,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding"`
}

type coding struct {
	System string `json:"system"`
	Code   string `json:"code"`
}

// security is nil where no token is needed.
func (s *Service) security() *security {
	if len(s.oauth) == 0 {
		return nil
	}
	uris := extension{URL: "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"}
	for _, name := range slices.Sorted(maps.Keys(s.oauth)) {
		uris.Extension = append(uris.Extension, extension{URL: name, Value: s.oauth[name]})
	}
	return &security{
		Extension: []extension{uris},
		Service:   []concept{{Coding: []coding{{"http://terminology.hl7.org/CodeSystem/restful-security-service", "SMART-on-FHIR"}}}},
		Text:      "A bearer token is needed; " + s.baseURL + "/.well-known/smart-configuration says where to get one.",
	}
}
