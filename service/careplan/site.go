package careplan

import (
	"slices"

	"aftercare/fhir"
)

// site is a bone and a side, each the coding that the definitions use. A zero side is
// "not recorded", a value of its own.
type site struct {
	bone, side coding
	// problem is the outcome code that says why there is no site, "" when there is one.
	problem string
	// structures are the BodyStructures that it was read from.
	structures []Source
}

const (
	targetBodyStructure = "http://hl7.org/fhir/StructureDefinition/procedure-targetBodyStructure"
	lateralitySet       = fhir.Canonical + "/ValueSet/laterality"
)

// siteOf reads the site of an operation from all places where feeds put it: codings in one
// or several bodySite entries, precoordinated codes by ConceptMap, and BodyStructure.
func (e *Engine) siteOf(r *records, n *fhir.Node, eligible *valueSet) site {
	found := codingsAt(n, "bodySite", "coding")
	var s site
	for _, x := range n.Each("extension") {
		if x.Str("url") != targetBodyStructure {
			continue
		}
		ref := x.Str("valueReference", "reference")
		structure := contained(n, ref)
		if src, ok := r.byRef[r.localRef(ref)]; ok {
			structure = src.Node
			s.structures = append(s.structures, src)
		}
		found = append(found, codingsAt(structure, "location", "coding")...)
		found = append(found, codingsAt(structure, "locationQualifier", "coding")...)
	}
	all := e.terms.expand(found)
	bones, sides := pick(all, eligible), pick(all, e.terms.sets[lateralitySet])
	switch {
	case len(all) == 0:
		s.problem = "no-body-site"
	case len(bones) == 0 && onlyIn(all, e.terms.sets[lateralitySet]):
		s.problem = "no-body-site"
	case len(bones) == 0:
		s.problem = "site-not-eligible"
	case len(bones) > 1 || len(sides) > 1:
		s.problem = "site-ambiguous"
	default:
		s.bone = bones[0]
		if len(sides) == 1 {
			s.side = sides[0]
		}
	}
	return s
}

// contradicts reports whether both sites are stated and differ.
func (s site) contradicts(o site) bool {
	differ := func(a, b coding) bool { return a != coding{} && b != coding{} && a != b }
	return differ(s.bone, o.bone) || differ(s.side, o.side)
}

// equals reports that both are the same bone and side.
func (s site) equals(o site) bool {
	return s.problem == "" && o.problem == "" && s.bone == o.bone && s.side == o.side
}

func contained(n *fhir.Node, ref string) *fhir.Node {
	for _, c := range n.Each("contained") {
		if id := c.Str("id"); id != "" && "#"+id == ref {
			return c
		}
	}
	return nil
}

// pick returns the codings that are in the most exact group of a value set that has any.
func pick(codes []coding, set *valueSet) []coding {
	if set == nil {
		return nil
	}
	best := -1
	var found []coding
	for _, c := range codes {
		rank, in := set.rank[c]
		switch {
		case !in || best >= 0 && rank > best:
		case best < 0 || rank < best:
			best, found = rank, []coding{c}
		default:
			found = append(found, c)
		}
	}
	return found
}

func onlyIn(codes []coding, set *valueSet) bool {
	return set != nil && !slices.ContainsFunc(codes, func(c coding) bool {
		_, in := set.rank[c]
		return !in
	})
}

// join makes one site of those of operations that are part of each other: what one lacks
// the other has. ok is false where they differ.
func (s site) join(o site) (site, bool) {
	switch {
	case o.problem == "no-body-site":
		return s, true
	case s.problem == "no-body-site":
		return o, true
	case s.problem != "" || o.problem != "" || s.bone != o.bone:
		return s, false
	case s.side == o.side || o.side == coding{}:
		return s, true
	case s.side == coding{}:
		return o, true
	}
	return s, false
}
