package service

import (
	"encoding/json"
	"slices"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// ofSearches are the parameters that are part of no type, with their types of value
// (https://hl7.org/fhir/R4/search.html#all). _type is for searches of several types.
var ofSearches = [][2]string{{"_filter", "special"}, {"_has", "string"}, {"_list", "string"}, {"_type", "string"}}

// includes are the values that _include and _revinclude may have in searches of a type.
func (s *Service) includes(typ string) (include, reverse []string) {
	if ofLog(typ) {
		return nil, nil
	}
	for _, t := range fhir.StoredTypes() {
		for _, p := range s.registry.Parameters(t.Name) {
			if p.Kind != search.Reference {
				continue
			}
			value := t.Name + ":" + p.Code
			if t.Name == typ {
				include = append(include, value)
			}
			if len(p.Targets) == 0 || slices.Contains(p.Targets, typ) {
				reverse = append(reverse, value)
			}
		}
	}
	if include != nil {
		include = append(include, typ+":*", "*")
	}
	return include, append(reverse, "*")
}

// logLimits is what the CapabilityStatement says of types that the log is shown as.
const logLimits = "The auditor's log. Its records have one version each. They are searched alone: a search or a history of the whole system, a patient's compartment, $everything, includes and chains leave them out; patient.identifier is the one chain. The order is _sort=-date or date. The modifier :not is for tokens, :identifier for agent and entity."

// Capabilities is the CapabilityStatement (https://hl7.org/fhir/R4/capabilitystatement.html),
// made from the table of served types and the search registry that requests run on. The caller
// must not change it.
func (s *Service) Capabilities() []byte { return s.capabilities() }

func (s *Service) describeItself() []byte {
	type code struct {
		Code string `json:"code"`
	}
	type parameter struct {
		Name       string `json:"name"`
		Definition string `json:"definition,omitempty"`
		Type       string `json:"type"`
	}
	type operation struct {
		Name       string `json:"name"`
		Definition string `json:"definition"`
		Limits     string `json:"documentation,omitempty"`
	}
	type resource struct {
		Type              string      `json:"type"`
		Documentation     string      `json:"documentation,omitempty"`
		Interaction       []code      `json:"interaction"`
		Versioning        string      `json:"versioning"`
		ReadHistory       bool        `json:"readHistory"`
		UpdateCreate      bool        `json:"updateCreate"`
		ConditionalCreate bool        `json:"conditionalCreate"`
		ConditionalRead   string      `json:"conditionalRead"`
		ConditionalUpdate bool        `json:"conditionalUpdate"`
		ConditionalDelete string      `json:"conditionalDelete"`
		ReferencePolicy   []string    `json:"referencePolicy"`
		SearchInclude     []string    `json:"searchInclude,omitempty"`
		SearchRevInclude  []string    `json:"searchRevInclude,omitempty"`
		SearchParam       []parameter `json:"searchParam"`
		Operation         []operation `json:"operation,omitempty"`
	}
	type rest struct {
		Mode        string      `json:"mode"`
		Security    *security   `json:"security,omitempty"`
		Resource    []resource  `json:"resource"`
		Interaction []code      `json:"interaction"`
		SearchParam []parameter `json:"searchParam"`
		Operation   []operation `json:"operation,omitempty"`
	}
	type software struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	type implementation struct {
		Description string `json:"description"`
		URL         string `json:"url"`
	}
	codes := func(names ...string) (out []code) {
		for _, n := range names {
			out = append(out, code{n})
		}
		return out
	}
	server := rest{Mode: "server", Security: s.security(), Interaction: codes("transaction", "batch", "search-system", "history-system")}
	everywhere := map[string]int{} // in how many types a parameter is
	var last []parameter
	for _, t := range fhir.ServedTypes() {
		r := resource{
			Type: t.Name, Versioning: "versioned", ReadHistory: true,
			ConditionalRead: "full-support", ConditionalDelete: "not-supported", ReferencePolicy: []string{"literal", "local"},
		}
		r.Interaction = codes("read", "vread", "history-instance", "history-type", "search-type")
		if t.Logged {
			r.Documentation, r.Interaction = logLimits, codes("read", "vread", "history-instance", "search-type")
		}
		if !t.ReadOnly {
			r.Interaction = append(r.Interaction, codes("create", "update", "patch", "delete")...)
			r.UpdateCreate, r.ConditionalCreate, r.ConditionalUpdate, r.ConditionalDelete = true, true, true, "single"
		}
		for _, p := range s.registry.Parameters(t.Name) {
			r.SearchParam = append(r.SearchParam, parameter{p.Code, p.Definition, p.Kind.Name()})
		}
		r.SearchInclude, r.SearchRevInclude = s.includes(t.Name)
		if !t.Logged { // which are searched alone
			for _, p := range r.SearchParam {
				everywhere[p.Name]++
			}
			last = r.SearchParam
		}
		for _, o := range operations {
			if o.OfferedFor(t.Name) && (o.OnType || o.OnInstance) && !(o.Changes && t.ReadOnly) && (!o.Proves || s.proves()) {
				r.Operation = append(r.Operation, operation{o.Name, o.Definition, o.Limits})
			}
		}
		server.Resource = append(server.Resource, r)
	}
	for _, p := range last {
		if everywhere[p.Name] == len(fhir.StoredTypes()) {
			server.SearchParam = append(server.SearchParam, p)
		}
	}
	for _, p := range ofSearches {
		server.SearchParam = append(server.SearchParam, parameter{Name: p[0], Type: p[1]})
	}
	for _, o := range operations {
		if o.OnSystem {
			server.Operation = append(server.Operation, operation{o.Name, o.Definition, o.Limits})
		}
	}
	body, err := json.Marshal(struct {
		ResourceType   string         `json:"resourceType"`
		Status         string         `json:"status"`
		Date           string         `json:"date"`
		Kind           string         `json:"kind"`
		Software       software       `json:"software"`
		Implementation implementation `json:"implementation"`
		FHIRVersion    string         `json:"fhirVersion"`
		Format         []string       `json:"format"`
		PatchFormat    []string       `json:"patchFormat"`
		Rest           []rest         `json:"rest"`
	}{
		ResourceType: "CapabilityStatement", Status: "active", Date: s.started.UTC().Format(time.RFC3339), Kind: "instance",
		Software:       software{"Aftercare", s.software},
		Implementation: implementation{"Aftercare plans and pain observations after osseointegration surgery", s.baseURL},
		FHIRVersion:    fhir.Version, Format: []string{"application/fhir+json", "json"},
		PatchFormat: []string{"application/json-patch+json", "application/fhir+json"}, Rest: []rest{server},
	})
	if err != nil { // plain data: cannot happen
		panic(err)
	}
	return body
}
