package validate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
)

// A resource may have as many contained resources, and references to them, as fit into a
// body. Asking each for its id at every reference took minutes.
func TestManyContainedResources(t *testing.T) {
	v, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const many = 50_000
	var contained, extension strings.Builder
	for i := range many {
		fmt.Fprintf(&contained, `,{"resourceType":"Patient","id":"c%d"}`, i)
		fmt.Fprintf(&extension, `,{"url":"http://x.example","valueReference":{"reference":"#c%d"}}`, i)
	}
	n, err := fhir.Parse([]byte(`{"resourceType":"Basic","code":{"text":"x"},"contained":[` + contained.String()[1:] +
		`],"extension":[` + extension.String()[1:] + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if issues := v.Resource(n, ""); len(issues) > 0 {
		t.Errorf("valid, but %v", issues[0])
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
