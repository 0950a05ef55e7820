package patch

import "aftercare/fhir"

// result writes the patched resource, after a look at what no patch may change: it must
// still be an object with the resourceType and the id that it had.
func result(before *fhir.Node, after *value) ([]byte, error) {
	if after.kind != fhir.Object {
		return nil, fhir.Errorf(fhir.Unprocessable, "business-rule", "", "The patch replaces the resource by something that is not a JSON object.")
	}
	for _, name := range []string{"resourceType", "id"} {
		was, is := before.Get(name), after.get(name)
		if (was == nil) != (is == nil) || was != nil && !is.equal(was) {
			return nil, fhir.Errorf(fhir.Unprocessable, "business-rule", name, "A patch must not change the %s of a resource.", name)
		}
	}
	if after.height() > fhir.MaxDepth {
		return nil, fhir.Errorf(fhir.Unprocessable, "structure", "", "The patch makes a resource that nests deeper than %d levels.", fhir.MaxDepth)
	}
	return after.appendTo(make([]byte, 0, len(before.Raw)+256)), nil
}

// height is how many levels are below v.
func (v *value) height() int {
	if v.node != nil {
		return height(v.node)
	}
	h := 0
	for i := range v.slots {
		h = max(h, 1+v.slots[i].value.height())
	}
	return h
}

func height(n *fhir.Node) int {
	h := 0
	for i := range n.Members {
		h = max(h, 1+height(n.Members[i].Value))
	}
	for _, item := range n.Items {
		h = max(h, 1+height(item))
	}
	return h
}
