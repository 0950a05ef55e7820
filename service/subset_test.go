package service

import (
	"testing"

	"aftercare/fhir"
)

func TestAPartDoesNotReplaceTheWhole(t *testing.T) {
	s := open(t)
	put := func(id, meta string) error {
		_, err := s.Update(ctx, Anonymous, "Patient", id, []byte(`{"resourceType":"Patient","id":"`+id+`",`+meta+`"gender":"female"}`), Preconditions{})
		return err
	}
	const tag = `"meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]},`
	if err := put("whole", `"active":true,`); err != nil {
		t.Fatal(err)
	}
	refused(t, put("whole", tag), fhir.Unprocessable, "Patient.meta.tag")
	if err := put("whole", ""); err != nil {
		t.Errorf("without the tag: %v", err)
	}
	if err := put("part", tag); err != nil {
		t.Errorf("what comes as a part at first is stored: %v", err)
	}
	if err := put("part", tag+`"active":true,`); err != nil {
		t.Errorf("a part follows a part: %v", err)
	}
	if _, err := s.Patch(ctx, Anonymous, "Patient", "whole", JSONPatch, []byte(`[{"op":"add","path":"/meta/tag","value":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}]`), Preconditions{}); err != nil {
		t.Errorf("a patch removes nothing: %v", err)
	}
}
