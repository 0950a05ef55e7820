package service

import (
	"errors"
	"fmt"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/fhir/validate"
	"aftercare/service/careplan"
	"aftercare/service/course"
)

// knowledge is what a Service knows before it has seen its store: the definitions, and what they
// come to. It does not change, and several Services may have the same.
type knowledge struct {
	registry   *search.Registry
	validator  *validate.Validator
	scales     *validate.Scales
	profiles   *validate.Profiles
	pain       *course.Rules
	protocols  *careplan.Engine
	zone       *time.Location
	checkTypes bool // that references are to allowed types
	// ofCases are the search parameters that tie what derivations read to its patient; ofReports
	// the one of reports of pain, nil where they are not interpreted, and reportCodes their codes.
	ofCases     []*search.Parameter
	ofReports   *search.Parameter
	reportCodes map[careplan.ReportCode]bool
	// ofAnchors are the search parameters that tie what reports of pain are held against to its
	// patient.
	ofAnchors []*search.Parameter
	// definitions are those of a served type, which the service puts into its store;
	// provided names them, by "Type/id": callers cannot change them.
	definitions []*fhir.Node
	provided    map[string]bool
}

// learn checks and compiles the definitions of the options.
func learn(o Options) (*knowledge, error) {
	if o.Zone == nil {
		return nil, errors.New("service: Zone is required")
	}
	switch o.References {
	case "", "types", "exist", "off":
	default:
		return nil, fmt.Errorf("service: reference policy %q is not types, exist or off", o.References)
	}
	k := &knowledge{zone: o.Zone, checkTypes: o.References != "off", provided: map[string]bool{}}
	var err error
	if k.registry, err = Registry(o.Definitions); err != nil {
		return nil, err
	}
	if k.validator, err = validate.New(validate.WithReferenceTypes(k.checkTypes)); err != nil {
		return nil, fmt.Errorf("validation tables: %w", err)
	}
	if k.scales, err = validate.NewScales(o.Definitions); err != nil {
		return nil, fmt.Errorf("measurement scales: %w", err)
	}
	if k.profiles, err = validate.NewProfiles(o.Definitions); err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	if k.pain, err = course.Read(o.Definitions, o.Zone); err != nil {
		return nil, fmt.Errorf("course of pain: %w", err)
	}
	if k.protocols, err = careplan.Compile(o.Definitions, o.Zone, o.PoliciesOff...); err != nil {
		return nil, fmt.Errorf("protocols: %w", err)
	}
	k.ofCases = k.caseParameters()
	k.ofReports, k.reportCodes = k.reportParameters()
	k.ofAnchors = k.anchorParameters()
	for _, n := range o.Definitions {
		typ, id := n.Str("resourceType"), n.Str("id")
		if _, ok := fhir.Served(typ); ok && id != "" {
			k.definitions = append(k.definitions, n)
			k.provided[typ+"/"+id] = true
		}
	}
	return k, nil
}
