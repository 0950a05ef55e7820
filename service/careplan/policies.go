package careplan

import (
	"fmt"
	"slices"
	"strings"

	"aftercare/fhir"
)

const (
	policyCodeExtension = fhir.Canonical + "/StructureDefinition/policy-code"
	policySystem        = fhir.Canonical + "/CodeSystem/policy"
)

// withoutPolicies are the definitions less every element that is there by a policy that is off:
// those with an extension policy-code of that policy, or whose value has one. An error names a
// code that is no policy.
func withoutPolicies(definitions []*fhir.Node, off []string) ([]*fhir.Node, error) {
	var known []string
	for _, d := range definitions {
		if d.Str("resourceType") == "CodeSystem" && d.Str("url") == policySystem {
			for _, c := range d.Each("concept") {
				known = append(known, c.Str("code"))
			}
		}
	}
	for _, code := range off {
		if !slices.Contains(known, code) {
			return nil, fmt.Errorf("%s: there is no policy %q to switch off; the policies are %s", policySystem, code, strings.Join(known, ", "))
		}
	}
	if len(off) == 0 {
		return definitions, nil
	}
	var list []*fhir.Node
	for _, d := range definitions {
		if p := pruned(d, off); p != nil {
			list = append(list, p)
		}
	}
	return list, nil
}

// pruned is an element less what is there by policies that are off, nil where nothing is left.
func pruned(n *fhir.Node, off []string) *fhir.Node {
	switch n.Kind {
	case fhir.Object:
		if byPolicy(n, off) {
			return nil
		}
		o := object{}
		for _, m := range n.Members {
			if m.Name != "extension" && byPolicy(n.Get("_"+m.Name), off) {
				continue
			}
			if left := pruned(m.Value, off); left != nil {
				o = append(o, fhir.Member{Name: m.Name, Value: left})
			}
		}
		if len(o) == len(n.Members) && !slices.ContainsFunc(o, func(m fhir.Member) bool { return m.Value != n.Get(m.Name) }) {
			return n
		}
		if len(o) == 0 || len(o) == 1 && o[0].Name == "url" { // an extension without its value says nothing
			return nil
		}
		return o.node()
	case fhir.Array:
		var items []raw
		same := true
		for _, item := range n.Items {
			left := pruned(item, off)
			same = same && left == item
			if left != nil {
				items = append(items, raw{left})
			}
		}
		if same {
			return n
		}
		if len(items) == 0 {
			return nil
		}
		list, err := fhir.Parse(encode(items))
		if err != nil { // written here: cannot happen
			panic(err)
		}
		return list
	}
	return n
}

// byPolicy reports that an element is there by a policy that is off.
func byPolicy(n *fhir.Node, off []string) bool {
	return n != nil && n.Kind == fhir.Object && slices.Contains(off, extensionValue(n, policyCodeExtension, "valueCode"))
}

// labels are the extensions with which a plan says that something is a choice of ours: the text
// of the label, and the code of the policy that its value names, if any.
func labels(label *fhir.Node) []raw {
	list := []raw{{texts("url", policyExtension, "valueString", label.Str("valueString"))}}
	if code := extensionOf(label.Get("_valueString"), policyCodeExtension); code != nil {
		list = append(list, raw{code})
	}
	return list
}

// grounds are the extensions with which a plan says what an element of the definitions rests on:
// facts of the source, and choices of ours.
func grounds(n *fhir.Node) (list []raw) {
	for _, x := range n.Each("extension") {
		switch x.Str("url") {
		case factExtension:
			list = append(list, raw{x})
		case policyExtension:
			list = append(list, labels(x)...)
		}
	}
	return list
}
