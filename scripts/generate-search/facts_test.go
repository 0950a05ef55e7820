package main

import (
	"slices"
	"strings"
	"testing"
)

// A package cut down to what three parameters need.
var files = map[string]string{
	"Bundle-searchParams.json": `{"entry":[
		{"resource":{"url":"http://x/SearchParameter/status","code":"status","type":"token","base":["Task","Slot"],"expression":"Slot.status | Task.status"}},
		{"resource":{"code":"patient","type":"reference","base":["Flag"],"expression":"Flag.subject.where(resolve() is Patient)","target":["Patient","Group"]}},
		{"resource":{"code":"encounter","type":"reference","base":["Flag","Task"],"expression":"Flag.encounter | Task.encounter","target":["Encounter","EpisodeOfCare"]}},
		{"resource":{"code":"focus","type":"reference","base":["Task"],"expression":"Task.focus","target":["Patient","Task"]}},
		{"resource":{"url":"http://x/SearchParameter/status-note","code":"status-note","type":"composite","base":["Task"],"expression":"Task",
			"component":[{"definition":"http://x/SearchParameter/status","expression":"status"},{"definition":"http://x/SearchParameter/note","expression":"value.as(DateTime)"}]}},
		{"resource":{"url":"http://x/SearchParameter/due","code":"due","type":"date","base":["Task"],"expression":"Task.due"}},
		{"resource":{"url":"http://x/SearchParameter/part","code":"part","type":"token","base":["Task"],"expression":"Task.part.code"}},
		{"resource":{"code":"_text","type":"string","base":["DomainResource"]}}]}`,
	"StructureDefinition-Task.json": `{"name":"Task","type":"Task","derivation":"specialization","snapshot":{"element":[{"path":"Task"},
		{"path":"Task.due[x]","max":"1","type":[{"code":"Age"},{"code":"dateTime"},{"code":"Period"}]},
		{"path":"Task.part","max":"*","type":[{"code":"BackboneElement"}]},{"path":"Task.part.code","max":"1","type":[{"code":"code"}]},
		{"path":"Task.status","max":"1","type":[{"code":"code"}],"binding":{"strength":"required","valueSet":"http://x/vs|4.0.1"}},
		{"path":"Task.encounter","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Encounter"]}]},
		{"path":"Task.focus","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Resource"]}]}]}}`,
	"StructureDefinition-Flag.json": `{"name":"Flag","type":"Flag","snapshot":{"element":[{"path":"Flag"},
		{"path":"Flag.subject","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Patient"]}]},
		{"path":"Flag.encounter","max":"1","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Encounter"]}]}]}}`,
	"ValueSet-vs.json":     `{"url":"http://x/vs","compose":{"include":[{"system":"http://x/cs"}]}}`,
	"Patient-example.json": `not even JSON`,
}

func generate(files map[string]string) ([]string, error) {
	d := newDefinitions()
	for name, text := range files {
		if err := d.read(name, strings.NewReader(text)); err != nil {
			return nil, err
		}
	}
	return d.lines()
}

func TestFacts(t *testing.T) {
	got, err := generate(files)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Flag\tencounter\treference\tEncounter\tFlag.encounter\t\t\tReference\t1\t",
		"Flag\tpatient\treference\tPatient\tFlag.subject.where(resolve() is Patient)\t\t\tReference\t\t",
		"Task\tdue\tdate\t\tTask.due\t\tdue\tAge,Period,dateTime\t1\t",
		"Task\tencounter\treference\tEncounter\tTask.encounter\t\t\tReference\t\t",
		"Task\tfocus\treference\tPatient,Task\tTask.focus\t\t\tReference\t\t",
		"Task\tpart\ttoken\t\tTask.part.code\t\tpart\tcode\t\t",
		"Task\tstatus\ttoken\t\tTask.status\thttp://x/cs\tstatus\tcode\t1\t",
		"Task\tstatus-note\tcomposite\t\tTask\t\tstatus-note\t\t\tstatus=status;note=value.as(dateTime)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
}

func TestFactsRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"no parameters":            {"Bundle-searchParams.json", `{}`},
		"broken JSON":              {"Bundle-searchParams.json", `{`},
		"no branch for a base":     {"Bundle-searchParams.json", `{"entry":[{"resource":{"code":"x","type":"token","base":["Task"],"expression":"Flag.subject"}}]}`},
		"an element that is not":   {"Bundle-searchParams.json", `{"entry":[{"resource":{"code":"x","type":"token","base":["Task"],"expression":"Task.nonsense"}}]}`},
		"a type without structure": {"Bundle-searchParams.json", `{"entry":[{"resource":{"code":"x","type":"token","base":["Goal"],"expression":"Goal.status"}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := make(map[string]string)
			for k, v := range files {
				changed[k] = v
			}
			changed[change[0]] = change[1]
			if got, err := generate(changed); err == nil {
				t.Fatalf("accepted: %v", got)
			}
		})
	}
}
