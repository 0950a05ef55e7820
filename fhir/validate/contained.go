package validate

import "aftercare/fhir"

// use is one place that refers into its own resource: "#id", or "#" for the container.
type use struct {
	from int // index of the contained resource that it stands in, -1 outside
	text string
}

func (w *walk) use(text string) { w.uses = append(w.uses, use{w.inside, text}) }

// contained checks the rules for contained resources, after all places that may refer to
// them were seen (https://hl7.org/fhir/R4/references.html#contained): each has an id of
// its own, and something refers to it or it refers to its container.
func (w *walk) contained(n *fhir.Node) {
	contained := n.Each("contained")
	if len(contained) == 0 {
		return
	}
	referred := make(map[string]bool, len(w.uses)) // "#id"
	refers := make(map[int]bool)                   // contained resources that refer to their container
	for _, u := range w.uses {
		if u.text == "#" {
			refers[u.from] = true
		} else {
			referred[u.text] = true
		}
	}
	ids := make(map[string]bool, len(contained))
	for i, c := range contained {
		w.enter("contained")
		w.index(i)
		id := c.Str("id")
		switch {
		case c.Kind != fhir.Object:
		case id == "":
			w.add("required", "id", "A contained resource must have an id.")
		case ids[id]:
			w.add("structure", "id", "Two contained resources must not have the same id.")
		case !refers[i] && !referred["#"+id]:
			w.add("invariant", "", "dom-3: A contained resource must be referred to from elsewhere in the resource, or refer to it.")
		}
		ids[id] = true
		w.leave()
	}
}
