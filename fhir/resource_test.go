package fhir

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 3, 2, 11, 45, 0, 123456789, time.UTC)

func TestStampKeepsContent(t *testing.T) {
	n, err := Parse([]byte(`{ "meta":{"versionId":"9","profile":["http://p"],"_versionId":{"id":"k"}}, "status" : "final",
	  "resourceType":"Observation","id":"old","valueQuantity":{"value":6.50},"_status":{"extension":[{"url":"http://x"}]} }`))
	if err != nil {
		t.Fatal(err)
	}
	got := string(NewDraft(n).Stamp("new", 3, epoch).Body)
	want := `{"resourceType":"Observation","id":"new","meta":{"versionId":"3","lastUpdated":"2026-03-02T11:45:00.123456Z","profile":["http://p"],"_versionId":{"id":"k"}},` +
		`"status":"final","valueQuantity":{"value":6.50},"_status":{"extension":[{"url":"http://x"}]}}`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseMoment(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"2026":                      "2026-01-01T00:00:00Z 2027-01-01T00:00:00Z",
		"2026-03":                   "2026-03-01T00:00:00Z 2026-03-31T23:00:00Z",
		"2026-03-29":                "2026-03-29T00:00:00Z 2026-03-29T23:00:00Z",
		"2026-07-02T08:30:00+01:00": "2026-07-02T07:30:00Z 2026-07-02T07:30:01Z",
		"2026-07-02T08:30:00.5Z":    "2026-07-02T08:30:00.5Z 2026-07-02T08:30:00.6Z",
		"2024-02-29":                "2024-02-29T00:00:00Z 2024-03-01T00:00:00Z",
		"2026-07-02T08:30":          "2026-07-02T07:30:00Z 2026-07-02T07:31:00Z",
	} {
		m, err := ParseMoment(in, london)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := m.Low.UTC().Format(time.RFC3339Nano) + " " + m.High.UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "26", "2026-13", "2026-02-30", "2025-02-29", "2026-1-1", "2026-01-01T24:00:00Z", "2026-01-01T10:00:00+15:00", "0000", "2026-01-01Z"} {
		if _, err := ParseMoment(in, london); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}

func TestParseReference(t *testing.T) {
	const base = "http://127.0.0.1:8080/fhir"
	for in, want := range map[string]Reference{
		"Patient/1":                      {Type: "Patient", ID: "1"},
		base + "/Patient/1":              {Type: "Patient", ID: "1"},
		"Patient/1/_history/2":           {Type: "Patient", ID: "1", Version: "2"},
		"http://other.example/Patient/1": {URL: "http://other.example/Patient/1"},
		"urn:uuid:1":                     {URL: "urn:uuid:1"},
		"#anchor":                        {URL: "#anchor"},
		"Patient/a b":                    {URL: "Patient/a b"},
		"Patient?identifier=x":           {URL: "Patient?identifier=x"},
	} {
		if got := ParseReference(in, base); got != want {
			t.Errorf("%s is %+v, want %+v", in, got, want)
		}
	}
}

// A draft has the bytes of json.Compact, whatever stands in strings and between tokens.
func TestDraftsAreCompact(t *testing.T) {
	space := rapid.SampledFrom([]string{"", " ", "\n", "\t \r\n"})
	text := rapid.SampledFrom([]string{`""`, `"a b"`, `"\""`, `"\\"`, `"\\\" \u0020 \n"`, `"é\t{ [ : ,"`, `" "`, "1.50", "-2e3", "true", "null"})
	rapid.Check(t, func(t *rapid.T) {
		var value func(depth int) string
		value = func(depth int) string {
			kind := 0
			if depth < 3 {
				kind = rapid.IntRange(0, 2).Draw(t, "kind")
			}
			gap := func() string { return space.Draw(t, "space") }
			switch kind {
			case 1:
				return "[" + gap() + value(depth+1) + gap() + "," + gap() + value(depth+1) + gap() + "]"
			case 2:
				return "{" + gap() + `"a \"b"` + gap() + ":" + gap() + value(depth+1) + gap() + "}"
			}
			return text.Draw(t, "text")
		}
		written := value(0)
		n, err := Parse([]byte(`{"resourceType":"Basic","a b":` + written + `}`))
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(written)); err != nil {
			t.Fatal(err)
		}
		if got, want := string(NewDraft(n).tail), `,"a b":`+want.String(); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "A-z.09": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a_b": false, "é": false, "a\n": false, "a/b": false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("%q: %t", id, got)
		}
	}
}
