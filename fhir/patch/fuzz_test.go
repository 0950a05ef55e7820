package patch

import (
	"bytes"
	"testing"

	"aftercare/fhir"
)

// sound checks what every result and every error must be.
func sound(t *testing.T, before *fhir.Node, out []byte, err error) {
	t.Helper()
	if err != nil {
		switch fhir.KindOf(err) {
		case fhir.BadRequest, fhir.Unprocessable, fhir.TooLarge:
		default:
			t.Fatalf("%v", err)
		}
		if out != nil {
			t.Fatal("an error came with a result")
		}
		return
	}
	after, err := fhir.Parse(out)
	if err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if before.Str("resourceType") != after.Str("resourceType") || before.Str("id") != after.Str("id") {
		t.Fatalf("%s became %s", before.Raw, out)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","id":"1","name":[{"given":["a"]}]}`), []byte(`[{"op":"add","path":"/name/0/given/-","value":"b"},{"op":"test","path":"/id","value":"1"}]`))
	f.Add([]byte(`{"a":{"b":[1.0,{}]}}`), []byte(`[{"op":"move","from":"/a/b/0","path":"/c"},{"op":"copy","from":"/a","path":"/a/b/1/x"},{"op":"remove","path":"/a~1"}]`))
	f.Add([]byte(`{ "a" : [ ] }`), []byte(`[{"op":"replace","path":"","value":{"a":null}}]`))
	f.Fuzz(func(t *testing.T, resource, patch []byte) {
		before, err := fhir.Parse(resource)
		if err != nil || before.Kind != fhir.Object {
			return
		}
		was := bytes.Clone(resource)
		out, err := JSON(resource, patch)
		if !bytes.Equal(resource, was) {
			t.Fatal("the input was changed")
		}
		sound(t, before, out, err)
	})
}

func FuzzFHIRPath(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","id":"1","name":[{"given":["a",null],"_given":[null,{"id":"x"}]}]}`),
		[]byte(patchOf(del("Patient.name.given[1]"), add("Patient.name[0]", "given", `"valueString":"b","_valueString":{"id":"y"}`), moved("Patient.name.given", 1, 0))))
	f.Add([]byte(`{"resourceType":"Observation","valueQuantity":{"value":1.0},"contained":[{"resourceType":"Device"}]}`),
		[]byte(patchOf(replace("Observation.value", `"valueString":"b"`), add("Observation.contained[0]", "udiCarrier", `"part":[{"name":"issuer","valueUri":"u"}]`), insert("Observation.contained", 0, `"resource":{"resourceType":"Device"}`))))
	f.Add([]byte(`{"resourceType":"Patient","birthDate":"1930","_birthDate":{"extension":[{"url":"u"}]}}`),
		[]byte(patchOf(del("Patient.birthDate.extension('u')"), replace("Patient.birthDate", `"_valueDate":{"id":"i"}`), add("Patient", "contact", `"part":[{"name":"gender","valueCode":"male"}]`))))
	f.Add([]byte(`{"resourceType":"Patient","name":{"given":"a"},"gender":["x"],"birthDate":{},"_gender":"y","maritalStatus":7}`),
		[]byte(patchOf(add("Patient.maritalStatus", "text", `"valueString":"b"`), del("Patient.name.where(use='x')"))))
	schema := r4Schema(f)
	f.Fuzz(func(t *testing.T, resource, patch []byte) {
		before, err := fhir.Parse(resource)
		if err != nil || before.Kind != fhir.Object {
			return
		}
		parameters, err := fhir.Parse(patch)
		if err != nil {
			return
		}
		was := bytes.Clone(resource)
		out, err := FHIRPath(before, parameters, schema)
		if !bytes.Equal(resource, was) {
			t.Fatal("the input was changed")
		}
		sound(t, before, out, err)
	})
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{
		"Patient.name[0].given", "(Patient.value as FHIR.Quantity).value", "name.where(use = 'a' and (b.exists())).first()", "`div`.extension('u').last()",
		"a.ofType(B)", "%resource.a", "a.where('it\\'s')", "((((", "a[999999999]", "a | b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := parseSelector(text, "Patient")
		if err != nil {
			if k := fhir.KindOf(err); k != fhir.BadRequest && k != fhir.Unprocessable {
				t.Fatal(err)
			}
			return
		}
		for _, s := range steps {
			if s.kind == toWhere && s.criteria == nil || s.kind == toMember && s.name == "" || s.index < 0 {
				t.Fatalf("%q gives the step %+v", text, s)
			}
		}
	})
}
