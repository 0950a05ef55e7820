package careplan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
)

// Compile reads definitions: PlanDefinitions, the ActivityDefinitions that they name, and
// the CodeSystems, ValueSets and ConceptMaps; other types are passed over. zone is the
// care site's: it says which local date an instant has. The error joins every reason why
// the definitions cannot be used, each with the url and the place: what is not understood
// is refused, never ignored. off are the codes of CodeSystem/policy that the site has switched
// off: what is there only by them is left out.
func Compile(definitions []*fhir.Node, zone *time.Location, off ...string) (*Engine, error) {
	small := make([]*fhir.Node, len(definitions))
	for i, d := range definitions {
		small[i] = compacted(d)
	}
	definitions, err := withoutPolicies(small, off)
	if err != nil {
		return nil, err
	}
	c := &compiler{plans: map[string]*fhir.Node{}, activities: map[string]*activity{}, inputs: map[string]bool{}, systems: map[string]bool{}}
	c.terms = readTerminology(definitions, c.fail)
	for _, code := range outcomes {
		c.checkOutcome(code, outcomeSystem, "concept")
	}
	for _, d := range definitions {
		if d.Str("status") != "active" {
			continue
		}
		switch kind := d.Str("resourceType"); {
		case kind != "PlanDefinition" && kind != "ActivityDefinition":
		case d.Str("url") == "":
			c.fail(d, kind+"/"+d.Str("id")+".url", "is missing")
		case kind == "PlanDefinition":
			c.plans[d.Str("url")] = d
		default:
			c.activities[d.Str("url")] = c.activity(d)
		}
	}
	if c.terms.sets[lateralitySet] == nil {
		c.failAt(lateralitySet, "ValueSet", "is missing: sides could not be told apart")
	}
	nested := c.nested()
	e := &Engine{zone: zone, terms: c.terms, systems: c.systems, activities: map[string]bool{}, off: off, words: c.terms.painWords()}
	for url := range c.activities {
		e.activities[url] = true
	}
	for _, d := range definitions {
		if d.Str("resourceType") == "CareTeam" && d.Str("status") == "active" {
			if e.team != nil {
				c.failAt("CareTeam/"+d.Str("id"), "status", "there is another active CareTeam among the definitions; teams can be made like one")
			}
			e.team = c.team(d)
		}
		url := d.Str("url")
		switch {
		case c.plans[url] != d || nested[url]:
		case isRules(d):
			e.pain = append(e.pain, c.painRules(d))
		case d.Each("action", "trigger") != nil:
			e.protocols = append(e.protocols, c.protocol(d))
		}
	}
	c.checkPain(e.pain)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	delete(c.inputs, "Patient")
	for t := range c.inputs {
		e.inputs = append(e.inputs, t)
	}
	slices.Sort(e.inputs)
	return e, nil
}

type compiler struct {
	terms      *terminology
	plans      map[string]*fhir.Node
	activities map[string]*activity
	inputs     map[string]bool
	systems    map[string]bool
	errs       []error
}

func (c *compiler) fail(n *fhir.Node, place, format string, args ...any) {
	c.failAt(n.Str("url"), place, format, args...)
}

func (c *compiler) failAt(url, place, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: %s: %s", url, place, fmt.Sprintf(format, args...)))
}

func (c *compiler) checkOutcome(code, url, place string) {
	if o := c.terms.outcome(code); o.text == "" || o.display == "" || o.severity == "" || o.issueType == "" {
		c.failAt(url, place, "outcome %q lacks a display, definition, severity or issue-type in %s", code, outcomeSystem)
	}
}

// nested are the urls of the PlanDefinitions that others use.
func (c *compiler) nested() map[string]bool {
	found := map[string]bool{}
	var walk func(n *fhir.Node)
	walk = func(n *fhir.Node) {
		for _, a := range n.Each("action") {
			url, _, _ := strings.Cut(a.Str("definitionCanonical"), "|")
			found[url] = true
			walk(a)
		}
	}
	for _, p := range c.plans {
		walk(p)
	}
	return found
}

func canonical(d *fhir.Node) string {
	if v := d.Str("version"); v != "" {
		return d.Str("url") + "|" + v
	}
	return d.Str("url")
}

// protocol compiles the actions of a PlanDefinition that selects pathways.
func (c *compiler) protocol(d *fhir.Node) *protocol {
	p := &protocol{url: d.Str("url"), canonical: canonical(d), usage: d.Str("usage"), topics: d.Each("topic")}
	byID := map[string]*selector{}
	for i, a := range d.Each("action") {
		place := fmt.Sprintf("action[%d]", i)
		c.members(d, place, a)
		l := c.level(d, place, a, nil)
		if len(l.triggers) == 0 {
			c.fail(d, place, "needs a trigger: it selects a pathway")
			continue
		}
		s := c.selector(d, place, a, l, p)
		p.selectors = append(p.selectors, s)
		byID[a.Str("id")] = s
		if a.Get("definitionCanonical") == nil {
			continue
		}
		for _, t := range l.triggers {
			for _, f := range t.filters {
				if f.path == "bodySite" {
					p.sites = f.set
				}
			}
		}
	}
	for i, a := range d.Each("action") {
		id := extensionValue(a, sameDayExtension, "valueString")
		if id == "" || byID[a.Str("id")] == nil {
			continue
		}
		if s := byID[id]; s == nil || s.pathway == nil {
			c.fail(d, fmt.Sprintf("action[%d].extension", i), "no action with a plan has the id %q", id)
		}
		byID[a.Str("id")].together = byID[id]
	}
	if p.sites == nil {
		c.fail(d, "action.trigger", "no filter on bodySite with a ValueSet: the site of a plan would not be known")
	}
	return p
}

// selector compiles an action that says what follows an operation.
func (c *compiler) selector(d *fhir.Node, place string, a *fhir.Node, l *level, p *protocol) *selector {
	s := &selector{level: l, effect: extensionValue(a, effectExtension, "valueCode")}
	for _, code := range a.Each("code", "coding") {
		s.codes = append(s.codes, codingOf(code).key())
	}
	if a.Get("definitionCanonical") != nil {
		s.pathway = c.pathway(d, place, a, l)
		p.pathways = append(p.pathways, s.pathway)
	} else {
		s.outcome = extensionValue(a, outcomeExtension, "valueCode")
		c.checkOutcome(s.outcome, d.Str("url"), place)
	}
	switch s.effect {
	case "":
	case effectEnds, effectExchanges, effectRevises:
		if (s.effect == effectEnds) != (s.pathway == nil) {
			c.fail(d, place+".definitionCanonical", "belongs to an action that makes a plan, and %q is the effect of this one", s.effect)
		}
	default:
		c.fail(d, place+".extension", "%q is not an effect on an anchor", s.effect)
	}
	for i, input := range a.Each("input") {
		if s.effect == effectEnds {
			p.endings = append(p.endings, c.ending(d, fmt.Sprintf("%s.input[%d]", place, i), input))
		}
	}
	return s
}

// ending reads an input of an action that ends an anchor.
func (c *compiler) ending(d *fhir.Node, place string, n *fhir.Node) ending {
	in := ending{kind: n.Str("type")}
	if in.kind != "Device" && in.kind != "DeviceUseStatement" {
		c.fail(d, place+".type", "%q cannot say that an anchor is out; Device and DeviceUseStatement can", in.kind)
	}
	for i, f := range n.Each("codeFilter") {
		one := inputFilter{path: f.Str("path"), codes: map[coding]bool{}}
		for _, code := range f.Each("code") {
			one.codes[codingOf(code).key()] = true
		}
		if one.path == "" || len(one.codes) == 0 {
			c.fail(d, fmt.Sprintf("%s.codeFilter[%d]", place, i), "needs path and code")
		}
		in.filters = append(in.filters, one)
	}
	if len(in.filters) == 0 {
		c.fail(d, place+".codeFilter", "is missing: it would match every %s", in.kind)
	}
	return in
}

func (c *compiler) pathway(d *fhir.Node, place string, a *fhir.Node, l *level) *pathway {
	w := &pathway{level: l, definitions: []string{canonical(d)}}
	nested, ok := c.plan(d, place, a.Str("definitionCanonical"))
	if !ok {
		return w
	}
	w.canonical, w.title = canonical(nested), nested.Str("title")
	x := &expansion{compiler: c, pathway: w, ids: map[string]bool{}}
	x.plan(nested, l, "", nil, []string{d.Str("url")})
	x.link()
	slices.Sort(w.definitions)
	w.definitions = slices.Compact(w.definitions)
	return w
}

// plan finds a PlanDefinition by canonical reference.
func (c *compiler) plan(d *fhir.Node, place, reference string) (*fhir.Node, bool) {
	url, version, pinned := strings.Cut(reference, "|")
	p := c.plans[url]
	switch {
	case p == nil:
		c.fail(d, place+".definitionCanonical", "no active PlanDefinition or ActivityDefinition %s", url)
		return nil, false
	case pinned && p.Str("version") != version:
		c.fail(d, place+".definitionCanonical", "asks for version %s of %s; version %s is loaded", version, url, p.Str("version"))
		return nil, false
	}
	return p, true
}

// understood are the members of PlanDefinition.action that have an effect here, and those
// that only explain.
var understood = []string{
	"id", "extension", "prefix", "title", "_title", "description", "_description", "textEquivalent", "_textEquivalent", "code", "reason", "documentation",
	"goalId", "trigger", "condition", "input", "output", "relatedAction", "type", "definitionCanonical", "definitionUri",
	"dynamicValue", "action",
}

func (c *compiler) members(d *fhir.Node, place string, a *fhir.Node) {
	for _, m := range a.Members {
		if !slices.Contains(understood, m.Name) {
			c.fail(d, place+"."+m.Name, "is not supported")
		}
	}
	for _, input := range a.Each("input") {
		c.inputs[input.Str("type")] = true
	}
	for i, o := range a.Each("output") {
		if t := o.Str("type"); t != "Task" && t != "CommunicationRequest" {
			c.fail(d, fmt.Sprintf("%s.output[%d]", place, i), "only Task and CommunicationRequest are supported")
		}
	}
}
