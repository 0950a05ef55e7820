package course

import (
	"fmt"
	"slices"
	"time"

	"aftercare/fhir"
)

// The ValueSets that say what is looked at.
const (
	scalesSet  = fhir.Canonical + "/ValueSet/pain-scales"
	sitesSet   = fhir.Canonical + "/ValueSet/pain-sites"
	windowsSet = fhir.Canonical + "/ValueSet/pain-windows"
	sidesSet   = fhir.Canonical + "/ValueSet/laterality"
	bonesSet   = fhir.Canonical + "/ValueSet/eligible-sites"
)

// Coding is a code of a system; Display is no part of its identity.
type Coding struct{ System, Code, Display string }

func (c Coding) key() Coding { return Coding{System: c.System, Code: c.Code} }

// Rules are what the definitions say of pain. They are read-only and safe for concurrent use.
type Rules struct {
	zone                                 *time.Location
	scales, sites, windows, sides, bones []Coding
	// names are the report names of scales, limits their ranges as numbers.
	names  map[Coding]string
	limits map[Coding][2]float64
	// means are the codes that ConceptMaps translate a code to.
	means map[Coding][]Coding
	words Words
}

// Read reads the ValueSets pain-scales, pain-sites, pain-windows, laterality and eligible-sites,
// the ObservationDefinitions of the scales, the ConceptMaps and the words in charts. The error names
// what is missing, or the ValueSet that does more than list codes.
func Read(definitions []*fhir.Node, zone *time.Location) (*Rules, error) {
	r := &Rules{zone: zone, names: map[Coding]string{}, limits: map[Coding][2]float64{}, means: map[Coding][]Coding{}}
	for url, into := range map[string]*[]Coding{scalesSet: &r.scales, sitesSet: &r.sites, windowsSet: &r.windows, sidesSet: &r.sides, bonesSet: &r.bones} {
		i := slices.IndexFunc(definitions, func(d *fhir.Node) bool { return d.Str("resourceType") == "ValueSet" && d.Str("url") == url })
		if i < 0 {
			return nil, fmt.Errorf("the ValueSet %s is missing", url)
		}
		for _, include := range definitions[i].Each("compose", "include") {
			if include.Get("concept") == nil || include.Get("filter") != nil || include.Get("valueSet") != nil {
				return nil, fmt.Errorf("the ValueSet %s must list its codes", url)
			}
			for _, c := range include.Each("concept") {
				*into = append(*into, Coding{include.Str("system"), c.Str("code"), c.Str("display")})
			}
		}
	}
	words, err := readWords(definitions)
	if err != nil {
		return nil, err
	}
	r.words = words
	for _, d := range definitions {
		switch d.Str("resourceType") {
		case "ObservationDefinition":
			r.addScale(d)
		case "ConceptMap":
			r.addMap(d)
		}
	}
	return r, nil
}

func (r *Rules) addScale(d *fhir.Node) {
	for _, n := range d.Each("code", "coding") {
		c := codingOf(n).key()
		r.names[c] = d.Str("preferredReportName")
		for _, q := range d.Each("qualifiedInterval") {
			low, ok := float(q.Get("range", "low", "value"))
			high, ok2 := float(q.Get("range", "high", "value"))
			if q.Str("category") == "absolute" && ok && ok2 {
				r.limits[c] = [2]float64{low, high}
			}
		}
	}
}

func (r *Rules) addMap(d *fhir.Node) {
	for _, g := range d.Each("group") {
		for _, e := range g.Each("element") {
			from := Coding{System: g.Str("source"), Code: e.Str("code")}
			for _, t := range e.Each("target") {
				if eq := t.Str("equivalence"); eq != "unmatched" && eq != "disjoint" {
					r.means[from] = append(r.means[from], Coding{System: g.Str("target"), Code: t.Str("code")})
				}
			}
		}
	}
}

// Scales are the codes whose Observations are reports of pain.
func (r *Rules) Scales() []Coding { return r.scales }

func codingOf(n *fhir.Node) Coding { return Coding{n.Str("system"), n.Str("code"), n.Str("display")} }

func in(set []Coding, c Coding) (Coding, bool) {
	i := slices.IndexFunc(set, func(o Coding) bool { return o.key() == c.key() })
	if i < 0 {
		return Coding{}, false
	}
	return set[i], true
}

// expand are codings and what ConceptMaps translate them to.
func (r *Rules) expand(found []Coding) []Coding {
	out := slices.Clone(found)
	for i := 0; i < len(out); i++ {
		for _, c := range r.means[out[i].key()] {
			if _, known := in(out, c); !known {
				out = append(out, c)
			}
		}
	}
	return out
}

// among are the codes of a set that are in codings or in what those mean, each once.
func (r *Rules) among(codings, set []Coding) []Coding {
	var out []Coding
	for _, c := range r.expand(codings) {
		if own, ok := in(set, c); ok {
			if _, twice := in(out, own); !twice {
				out = append(out, own)
			}
		}
	}
	return out
}
