package patch_test

import (
	"fmt"

	"aftercare/fhir/patch"
)

func ExampleJSON() {
	task := `{"resourceType":"Task","id":"t1","status":"requested","note":[{"text":"staples"}]}`
	out, err := patch.JSON([]byte(task), []byte(`[
		{"op": "test",    "path": "/status", "value": "requested"},
		{"op": "replace", "path": "/status", "value": "completed"},
		{"op": "add",     "path": "/note/-", "value": {"text": "all removed"}}
	]`))
	fmt.Println(string(out), err)
	// Output: {"resourceType":"Task","id":"t1","status":"completed","note":[{"text":"staples"},{"text": "all removed"}]} <nil>
}
