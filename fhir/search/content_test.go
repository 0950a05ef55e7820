package search

import (
	"testing"
	"time"
)

func TestTextsOfAResource(t *testing.T) {
	r := registry(t)
	for name, c := range map[string]struct{ resource, narrative, content string }{
		"nothing but what the server sets": {`{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"2026-03-02T09:00:00Z"}}`, "", ""},
		"texts at any depth": {`{"resourceType":"Patient","meta":{"source":"http://s"},"name":[{"family":"Öberg","given":["Ann"]}],"active":true,"multipleBirthInteger":2,"birthDate":"1990-01-02"}`,
			"", "http://s oberg ann 1990-01-02"},
		"a narrative without its tags": {`{"resourceType":"Basic","text":{"status":"generated","div":"<div title='no'>Pain<br/>in &lt;7&gt; <!-- a > b --> days<p>Rest</p></div>"}}`,
			"pain in <7> days rest", "generated pain in <7> days rest"},
		"a tag that does not end": {`{"resourceType":"Basic","text":{"div":"<div>a <b"}}`, "a", "a"},
		"contained resources":     {`{"resourceType":"Basic","contained":[{"resourceType":"Patient","id":"c","gender":"other"}]}`, "", "c other"},
		"no URIs of extensions and codes": {`{"resourceType":"Patient","extension":[{"url":"http://e","valueUri":"http://v"}],"identifier":[{"system":"urn:oid:1","value":"urn:x"}],"telecom":[{"system":"phone","value":"1"}],` +
			`"contact":[{"modifierExtension":[{"url":"http://m","extension":[{"url":"part","valueCode":"c"}]}]}]}`, "", "http://v urn:x phone 1 c"},
		"the URL of a definition": {`{"resourceType":"ValueSet","url":"http://u"}`, "", "http://u"},
		"no base64":               {`{"resourceType":"Binary","contentType":"text/plain","data":"aGVsbG8="}`, "", "text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := r.Extract(node(t, c.resource), time.UTC, base)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, row := range rows {
				if row.Param.Kind == Text {
					got[row.Param.Code] = row.Value
				}
			}
			if got[textCode] != c.narrative || got[contentCode] != c.content {
				t.Errorf("%q", got)
			}
		})
	}
}
