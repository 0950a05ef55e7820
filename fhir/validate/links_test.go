package validate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinks(t *testing.T) {
	n := parse(t, `{
		"resourceType": "CarePlan",
		"implicitRules": "http://r",
		"meta": {"profile": ["http://p1", "http://p2"], "source": "http://s"},
		"text": {"status": "generated", "div": "<div><a href='urn:uuid:1'>a</a></div>"},
		"contained": [{"resourceType": "Patient", "id": "p", "photo": [{"url": "urn:uuid:2"}], "nobody": {"reference": "urn:uuid:3"}}],
		"extension": [{"url": "http://e", "valueUri": "urn:uuid:4"}, {"url": "http://f", "valueReference": {"reference": "urn:uuid:5"}}],
		"identifier": [{"system": "http://i", "value": "urn:uuid:6", "assigner": {"reference": "urn:uuid:7", "display": "urn:uuid:8"}}],
		"_title": {"extension": [{"url": "http://g", "valueUuid": "urn:uuid:9"}]},
		"instantiatesCanonical": ["http://c", 5],
		"subject": {"reference": "Patient/1", "type": "Patient"},
		"activity": [{"reference": {"reference": "Task/1"}}, {"detail": {"code": {"coding": [{"system": "http://k", "code": "urn:uuid:10"}]}}}]
	}`)
	want := []string{
		"uri CarePlan.implicitRules http://r",
		"canonical CarePlan.meta.profile[0] http://p1 StructureDefinition",
		"canonical CarePlan.meta.profile[1] http://p2 StructureDefinition",
		"uri CarePlan.meta.source http://s",
		"narrative CarePlan.text.div <div><a href='urn:uuid:1'>a</a></div>",
		"url CarePlan.contained[0].photo[0].url urn:uuid:2",
		"uri CarePlan.extension[0].url http://e",
		"uri CarePlan.extension[0].valueUri urn:uuid:4",
		"uri CarePlan.extension[1].url http://f",
		"reference CarePlan.extension[1].valueReference.reference urn:uuid:5",
		"uri CarePlan.identifier[0].system http://i",
		"reference CarePlan.identifier[0].assigner.reference urn:uuid:7 Organization",
		"uri CarePlan.title.extension[0].url http://g",
		"uuid CarePlan.title.extension[0].valueUuid urn:uuid:9",
		"canonical CarePlan.instantiatesCanonical[0] http://c ActivityDefinition,Measure,OperationDefinition,PlanDefinition,Questionnaire",
		"reference CarePlan.subject.reference Patient/1 Group,Patient",
		"uri CarePlan.subject.type Patient",
		"reference CarePlan.activity[0].reference.reference Task/1 Appointment,CommunicationRequest,DeviceRequest,MedicationRequest,NutritionOrder,RequestGroup,ServiceRequest,Task,VisionPrescription",
		"uri CarePlan.activity[1].detail.code.coding[0].system http://k",
	}
	names := map[LinkKind]string{LinkReference: "reference", LinkURI: "uri", LinkURL: "url", LinkCanonical: "canonical", LinkOID: "oid", LinkUUID: "uuid", LinkNarrative: "narrative"}
	var got []string
	for _, l := range validator(t).Links(n) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", names[l.Kind], l.Expression, l.Node.Text, strings.Join(l.Targets, ","))))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLinksOfStrangeValues(t *testing.T) {
	for _, text := range []string{`[]`, `null`, `{}`, `{"resourceType":"Nobody"}`, `{"resourceType":"Patient","link":"a","contained":{"resourceType":4},"name":[[{"text":{}}]],"_":1,"":2}`} {
		if links := validator(t).Links(parse(t, text)); len(links) > 0 {
			t.Errorf("%s: %+v", text, links)
		}
	}
	if links := validator(t).Links(nil); links != nil {
		t.Errorf("nothing: %+v", links)
	}
}
