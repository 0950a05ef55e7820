package service

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

// entangled is an entry of a Bundle that may refer to the other entries in every way there is,
// about patients and observations that other Bundles are about too.
func entangled(t *rapid.T, k int) string {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	const system = "http://x.example"
	id, value := pick("id", "a", "b", "c"), pick("value", "1", "2", "3")
	urn := fmt.Sprintf("urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c%02d", k)
	other := fmt.Sprintf("urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c%02d", rapid.IntRange(0, 3).Draw(t, "other"))
	old := fmt.Sprintf("old%d", rapid.IntRange(0, 3).Draw(t, "old"))
	byIdentifier := "identifier=" + system + "|" + value
	reference := pick("reference", "Patient/a", "Patient/"+id, other, other, other+"/_history/5", "Patient?"+byIdentifier, "Patient?"+byIdentifier,
		"Patient?birthdate=lt2000&"+byIdentifier, "Patient/"+old, system+"/Patient/"+old, system+"/Patient/"+old+"/_history/5")
	said := pick("narrative", "", "", `,"text":{"status":"additional","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href='`+strings.ReplaceAll(reference, "&", "&amp;")+`'>x</a></div>"}`)
	identified := `,"identifier":[{"system":"` + system + `","value":"` + value + `"}]`
	version := pick("version", "", "", `,"meta":{"versionId":"5"}`)
	patient := func(id string) string {
		return `{"resourceType":"Patient"` + id + version + identified + pick("born", "", `,"birthDate":"1990-01-01"`) +
			pick("link", "", "", `,"link":[{"other":{"reference":"`+reference+`"},"type":"seealso"}]`) + `}`
	}
	observation := func(id string) string {
		return `{"resourceType":"Observation"` + id + version + said + identified + `,"status":"final","code":{"text":"x"},"subject":{"reference":"` + reference + `"}}`
	}
	named := `,"id":"` + id + `"`
	when := pick("precondition", "", "", "", `,"ifMatch":"W/\"1\""`, `,"ifNoneMatch":"*"`)
	fresh := pick("ifNoneExist", "", `,"ifNoneExist":"`+byIdentifier+`"`)
	patch := `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"` + pick("element", "active", "deceased") + `"},{"name":"value","valueBoolean":true}]}]}`
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0, 1:
		return entryOf(urn, patient(""), "POST", "Patient", fresh)
	case 2:
		return entryOf(fmt.Sprintf("%s/Patient/old%d", system, k), patient(""), "POST", "Patient", fresh)
	case 3, 4:
		return entryOf(urn, patient(named), "PUT", "Patient/"+id, when)
	case 5, 6:
		return entryOf(urn, patient(pick("own id", "", named)), "PUT", "Patient?"+byIdentifier, when)
	case 7:
		return entryOf(pick("fullUrl", urn, fmt.Sprintf("%s/Observation/old%d", system, k)), observation(""), "POST", "Observation", fresh)
	case 8:
		return entryOf(urn, observation(named), "PUT", "Observation/"+id, when)
	case 9:
		return entryOf(urn, observation(""), "PUT", "Observation?subject:Patient.identifier="+system+"|"+value, "")
	case 10:
		return entryOf("", "", "DELETE", pick("deleted", "Patient/"+id, "Observation/"+id, "Patient?"+byIdentifier), when)
	case 11:
		return entryOf(urn, patch, "PATCH", "Patient/"+id, when)
	default:
		return entryOf(urn, patch, "PATCH", "Patient?"+byIdentifier, when)
	}
}

// way is one of several in which the same entries come to be stored.
type way struct {
	*Service
	names map[string]string // the ids that the service has made up, and what they are called here
}

// run processes entries in an order, and gives what was answered to each.
func (w *way) run(t *testing.T, entries []string, order []int, bundle string) (answers []string, err error) {
	t.Helper()
	sorted := make([]string, len(entries))
	for k, i := range order {
		sorted[k] = entries[i]
	}
	out, err := w.Process(ctx, Anonymous, bundleOf("transaction", sorted...), "representation")
	if err != nil {
		return nil, err
	}
	var r struct{ Entry []json.RawMessage }
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	answers = make([]string, len(entries))
	for k, i := range order {
		answers[i] = string(r.Entry[k])
		n, err := fhir.Parse(r.Entry[k])
		if err != nil {
			t.Fatal(err)
		}
		if at := fhir.ParseReference(n.Str("response", "location"), base); strings.HasPrefix(at.ID, "id-") && w.names[at.ID] == "" {
			w.names[at.ID] = fmt.Sprintf("entry-%d-of-%s", i, bundle)
		}
	}
	return w.rename(answers), nil
}

// holds is the state of the service, without the order of what searches find.
func (w *way) holds(t *testing.T) []string {
	t.Helper()
	lines := w.rename(w.state(t))
	for i, line := range lines {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '[' || r == ']' })
		slices.Sort(words)
		lines[i] = strings.Join(words, " ")
	}
	return lines
}

func (w *way) rename(lines []string) []string {
	var pairs []string
	for id, name := range w.names {
		for _, end := range []string{`"`, "/", "'", " ", "]"} {
			pairs = append(pairs, "/"+id+end, "/"+name+end)
		}
		pairs = append(pairs, `"`+id+`"`, `"`+name+`"`)
	}
	change := strings.NewReplacer(pairs...)
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = change.Replace(line)
	}
	return out
}

// What a transaction means depends neither on the order of its entries nor on its size: staged,
// as large ones are, and in another order, it is refused or stored and answered in the same way.
func TestNeitherOrderNorSizeMakesADifference(t *testing.T) {
	if testing.Short() {
		t.Skip("one request at a time: it has nothing more to show with the race detector")
	}
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what entries mean is decided above the engines, and TestLargeTransactionsAreStoredAsOthers runs on both")
	}
	direct, staged, shuffled := &way{}, &way{}, &way{}
	checks, stored, refused := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks%10 == 0 {
			direct.Service, staged.Service = twoOf(t, direct.Service, staged.Service, shuffled.Service)
			shuffled.Service = open(t)
			shuffled.stageFrom = direct.stageFrom
			direct.names, staged.names, shuffled.names = map[string]string{}, map[string]string{}, map[string]string{}
		}
		checks++
		var sent []string
		for b := range rapid.IntRange(1, 3).Draw(rt, "bundles") {
			bundle := fmt.Sprintf("%d-%d", checks, b)
			entries := make([]string, rapid.IntRange(1, 5).Draw(rt, "entries"))
			straight := make([]int, len(entries))
			for k := range entries {
				entries[k], straight[k] = entangled(rt, k), k
			}
			sent = append(sent, strings.Join(entries, "\n"))
			order := rapid.Permutation(straight).Draw(rt, "order")
			want, wantErr := direct.run(t, entries, straight, bundle)
			got, err := staged.run(t, entries, straight, bundle)
			if fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) || fhir.KindOf(err) != fhir.KindOf(wantErr) {
				rt.Fatalf("%s\nstaged: %s, %v\ndirect: %s, %v", entries, got, err, want, wantErr)
			}
			got, err = shuffled.run(t, entries, order, bundle)
			if fmt.Sprint(got) != fmt.Sprint(want) || (err == nil) != (wantErr == nil) {
				rt.Fatalf("%s\nin the order %v: %s, %v\ndirect: %s, %v", entries, order, got, err, want, wantErr)
			}
			if wantErr == nil {
				stored++
			} else {
				refused++
			}
		}
		want := direct.holds(t)
		for _, w := range []*way{staged, shuffled} {
			if d := difference(want, w.holds(t)); d != "" {
				rt.Fatalf("%s\nwhat is stored differs:\n%s", sent, d)
			}
		}
	})
	if stored == 0 || refused == 0 {
		t.Errorf("%d were stored and %d refused: the Bundles are not mixed", stored, refused)
	}
}
