package validate

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"aftercare/fhir"
	fhirpath "aftercare/fhir/path"
	"aftercare/fhir/terminology"
)

// Profiles are the warnings that StructureDefinitions of resources give: the constraints of
// severity "warning" of an element (https://hl7.org/fhir/R4/elementdefinition.html). It is
// read-only after NewProfiles and safe for concurrent use.
type Profiles struct{ byType map[string][]*profile }

// profile is one StructureDefinition. It is about the resources of its type whose code is in
// the ValueSet that the element code is bound to, whether or not they name it in meta.profile.
type profile struct {
	codes map[[2]string]bool // system and code
	rules []warning
}

// warning is a rule about each value of an element.
type warning struct {
	element []string // below the resource; none is the resource itself
	// codes are the codings, system and code, of which one must be in the code of the value for
	// it to be in the slice that the rule is for; none is every value.
	codes       [][2]string
	place, text string
	condition   *fhirpath.Expression
}

// NewProfiles reads the StructureDefinitions of profiled resources among the definitions. Those
// without a warning, or whose element code has no required binding, are left out. The error
// names the definition whose expression or ValueSet cannot be used.
func NewProfiles(definitions []*fhir.Node) (*Profiles, error) {
	terms := terminology.Terms{Lookup: func(typ, url, _ string) (*fhir.Node, error) {
		for _, d := range definitions {
			if d.Str("resourceType") == typ && d.Str("url") == url {
				return d, nil
			}
		}
		return nil, nil
	}}
	p := &Profiles{byType: map[string][]*profile{}}
	for _, d := range definitions {
		if d.Str("resourceType") != "StructureDefinition" || d.Str("kind") != "resource" || d.Str("derivation") != "constraint" {
			continue
		}
		one, err := newProfile(d, terms)
		if err != nil {
			return nil, fmt.Errorf("StructureDefinition %q: %w", d.Str("id"), err)
		}
		if one != nil {
			typ := d.Str("type")
			p.byType[typ] = append(p.byType[typ], one)
		}
	}
	return p, nil
}

func newProfile(d *fhir.Node, terms terminology.Terms) (*profile, error) {
	p := &profile{codes: map[[2]string]bool{}}
	for _, e := range d.Each("differential", "element") {
		at := e.Str("path")
		if set := e.Str("binding", "valueSet"); at == d.Str("type")+".code" && e.Str("binding", "strength") == "required" {
			codes, err := terms.Expand(set)
			if err != nil {
				return nil, fmt.Errorf("the ValueSet %s: %w", set, err)
			}
			for _, c := range codes {
				p.codes[[2]string{c.System, c.Value}] = true
			}
		}
		for _, c := range e.Each("constraint") {
			if c.Str("severity") != "warning" {
				continue
			}
			condition, err := fhirpath.Compile(c.Str("expression"))
			if err != nil {
				return nil, fmt.Errorf("the constraint %s: %w", c.Str("key"), err)
			}
			w := warning{place: at, text: c.Str("human"), condition: condition, element: strings.Split(at, ".")[1:]}
			if e.Get("sliceName") != nil {
				if w.codes = sliceCodes(d, e.Str("id")); w.codes == nil {
					return nil, fmt.Errorf("the constraint %s: its slice has no pattern for its code", c.Str("key"))
				}
			}
			p.rules = append(p.rules, w)
		}
	}
	if len(p.codes) == 0 || len(p.rules) == 0 {
		return nil, nil
	}
	return p, nil
}

// About reports whether resources of a type may be warned about.
func (p *Profiles) About(typ string) bool { return len(p.byType[typ]) > 0 }

// sliceCodes are the codings that tell a slice from the others: the pattern of its element code.
func sliceCodes(d *fhir.Node, id string) (codes [][2]string) {
	for _, e := range d.Each("differential", "element") {
		if e.Str("id") != id+".code" {
			continue
		}
		for _, c := range e.Each("patternCodeableConcept", "coding") {
			codes = append(codes, [2]string{c.Str("system"), c.Str("code")})
		}
	}
	return codes
}

// Check lists the warnings that a resource gives, each once. A condition that cannot be answered,
// such as one that compares a day with a time on it, gives none.
func (p *Profiles) Check(n *fhir.Node) []fhir.Issue {
	var issues []fhir.Issue
	for _, one := range p.byType[n.Str("resourceType")] {
		if !coded(n, func(c [2]string) bool { return one.codes[c] }) {
			continue
		}
		resource := sync.OnceValue(func() fhirpath.Variables { return fhirpath.Bind(map[string][]*fhir.Node{"resource": {n}}) })
		for _, w := range one.rules {
			if w.broken(n, resource) {
				issues = append(issues, fhir.Issue{Severity: "warning", Code: "business-rule", Text: w.text, Expression: []string{w.place}})
			}
		}
	}
	return issues
}

// broken reports whether a value breaks the rule. bound gives the variables of expressions that look at
// the whole resource.
func (w *warning) broken(n *fhir.Node, bound func() fhirpath.Variables) bool {
	values := n.Each(w.element...)
	if w.codes != nil {
		values = slices.DeleteFunc(values, func(v *fhir.Node) bool {
			return !coded(v, func(c [2]string) bool { return slices.Contains(w.codes, c) })
		})
	}
	if len(values) == 0 {
		return false
	}
	var vars fhirpath.Variables
	if strings.Contains(w.condition.String(), "%resource") {
		vars = bound()
	}
	return slices.ContainsFunc(values, func(v *fhir.Node) bool {
		truth, err := w.condition.Truth(v, vars)
		return err == nil && truth == fhirpath.False
	})
}

// coded reports whether one of the codings of n.code, system and code, fits.
func coded(n *fhir.Node, fits func([2]string) bool) bool {
	return slices.ContainsFunc(n.Each("code", "coding"), func(c *fhir.Node) bool {
		return fits([2]string{c.Str("system"), c.Str("code")})
	})
}
