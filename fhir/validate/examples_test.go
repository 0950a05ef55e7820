package validate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/fhir"
)

// wrongExamples are official R4 examples that break R4 themselves, with the issue.
var wrongExamples = map[string]string{
	// 32 inner items lack their required linkId.
	"Questionnaire-qs1.json": "required Questionnaire.item[0].item[0].linkId",
	// txt-2: the div is empty.
	"ActivityDefinition-blood-tubes-supply.json":        "structure ActivityDefinition.text.div",
	"ActivityDefinition-heart-valve-replacement.json":   "structure ActivityDefinition.text.div",
	"EventDefinition-example.json":                      "structure EventDefinition.text.div",
	"Questionnaire-zika-virus-exposure-assessment.json": "structure Questionnaire.text.div",
	"Observation-clinical-gender.json":                  "value Observation.performer[0].reference",                    // to an Encounter
	"MedicationRequest-medrx0301.json":                  "value MedicationRequest.dispenseRequest.performer.reference", // to a Practitioner
	"DeviceUseStatement-example.json":                   "value DeviceUseStatement.reasonReference[0].reference",       // to a Procedure
	"DeviceMetric-example.json":                         "value DeviceMetric.parent.reference",                         // to a DeviceDefinition
	"Bundle-dataelements.json":                          "invariant Bundle",                                            // bdl-7: a fullUrl stands three times
	"StructureDefinition-Definition.json":               "invariant StructureDefinition",                               // sdf-4: not abstract, no base
	"StructureDefinition-Event.json":                    "invariant StructureDefinition",
	"StructureDefinition-FiveWs.json":                   "invariant StructureDefinition",
	"StructureDefinition-Request.json":                  "invariant StructureDefinition",
	"ImplementationGuide-fhir.json":                     "required ImplementationGuide.name",
	"ig-r4.json":                                        "required ImplementationGuide.name",
	"SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": "value SearchParameter.id", // 66 characters
}

// exampleFiles are the JSON files under a folder of examples that is not part of the
// project: AFTERCARE_SHARED, or ../shared beside the repository.
func exampleFiles(t testing.TB, folder string) []string {
	t.Helper()
	root := os.Getenv("AFTERCARE_SHARED")
	if root == "" {
		root = "../../../shared"
	}
	var files []string
	_ = filepath.WalkDir(filepath.Join(root, "examples", folder), func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".json") {
			files = append(files, path)
		}
		return nil
	})
	return files
}

func TestOfficialExamples(t *testing.T) {
	for _, folder := range []string{"hl7-r4", "derived", "surgery", "ihe-balp"} {
		t.Run(folder, func(t *testing.T) {
			files := exampleFiles(t, folder)
			if len(files) == 0 {
				t.Skip("no examples here; set AFTERCARE_SHARED to a folder that has examples/" + folder)
			}
			checked := 0
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				n, err := fhir.Parse(data)
				if err != nil {
					t.Errorf("%s: %v", file, err)
					continue
				}
				checked++
				issues := validator(t).Resource(n, "")
				wrong := wrongExamples[filepath.Base(file)]
				switch {
				case wrong == "" && len(issues) > 0:
					t.Errorf("%s:\n%s\n%+v", file, flat(issues), issues[0])
				case wrong != "" && !strings.Contains(flat(issues), wrong):
					t.Errorf("%s is known to be wrong (%s), found %q", file, wrong, flat(issues))
				}
			}
			t.Logf("%d files", checked)
		})
	}
}
