package service

import (
	"testing"

	"aftercare/fhir"
)

func TestAPartIsNotStored(t *testing.T) {
	s := open(t)
	const tags = `[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]`
	const meta = `"meta":{"tag":` + tags + `},`
	body := func(meta string) []byte {
		return []byte(`{"resourceType":"Patient","id":"whole",` + meta + `"gender":"female"}`)
	}
	put := func(meta string) error {
		_, err := s.Update(ctx, Anonymous, "Patient", "whole", body(meta), Preconditions{})
		return err
	}
	refused(t, put(meta), fhir.Unprocessable, "Patient.meta.tag")
	if err := put(`"active":true,`); err != nil {
		t.Fatal(err)
	}
	refused(t, put(meta), fhir.Unprocessable, "Patient.meta.tag")
	_, err := s.Create(ctx, Anonymous, "Patient", body(meta), "")
	refused(t, err, fhir.Unprocessable, "Patient.meta.tag")
	_, err = s.UpdateWhere(ctx, Anonymous, "Patient", "gender=female", body(meta), Preconditions{})
	refused(t, err, fhir.Unprocessable, "Patient.meta.tag")
	_, err = s.Patch(ctx, Anonymous, "Patient", "whole", JSONPatch, []byte(`[{"op":"add","path":"/meta/tag","value":`+tags+`}]`), Preconditions{})
	refused(t, err, fhir.Unprocessable, "Patient.meta.tag")
	_, err = s.Operate(ctx, Anonymous, called(t, "Patient/whole/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":`+tags+`}}]}`))
	refused(t, err, fhir.Unprocessable, "Patient.meta.tag")
	for _, method := range []string{"POST", "PUT"} {
		url := map[string]string{"POST": "Patient", "PUT": "Patient/whole"}[method]
		_, err = s.Process(ctx, Anonymous, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+string(body(meta))+`,"request":{"method":"`+method+`","url":"`+url+`"}}]}`), "")
		refused(t, err, fhir.Unprocessable, "Bundle.entry[0].resource.meta.tag")
	}

	if err := put(`"meta":{"tag":[{"system":"http://x.example","code":"SUBSETTED"}]},`); err != nil {
		t.Errorf("a tag of another system: %v", err)
	}
	if r, err := s.Read(ctx, Anonymous, "Patient", "whole"); err != nil || r.Version != 2 {
		t.Errorf("%+v %v", r, err)
	}
}
