package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store"

	"pgregory.net/rapid"
)

// stageAll makes every write of a service that open starts take the way of a large
// transaction.
var stageAll bool

// What holds of a transaction holds of a large one.
func TestLargeTransactionsAreAsOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("one request at a time: it has nothing more to show with the race detector")
	}
	stageAll = true
	defer func() { stageAll = false }()
	for name, test := range map[string]func(*testing.T){
		"conditional references":  TestConditionalReferenceMayMeanAnEntryOfTheSameTransaction,
		"relative references":     TestRelativeReferencesBetweenEntries,
		"references to versions":  TestReferencesToVersionsOfEntries,
		"conditions":              TestConditionsOfABundleAreKept,
		"a delete and conditions": TestADeleteMayMakeAConditionExact,
		"conditions and targets":  TestConditionsOfTransactions,
		"conditions that wait":    TestConditionalReferencesThatWaitForMany,
		"wrong types":             TestAWrongTypeIsPlaced,
		"operations see writes":   TestOperationsOfATransactionSeeWhatItWrites,
		"meta operations":         TestMetaOperationsAreAPartOfTheTransaction,
		"operations refused":      TestOperationsInBundlesAreRefused,
		"conditional update":      TestConditionalUpdate,
		"conditional delete":      TestConditionalDelete,
		"conditions and patches":  TestTransactionWithConditionsAndPatches,
		"conditions that meet":    TestTransactionRefusesConditionsThatMeet,
		"surgeries":               TestEverySampleSurgeryHasItsPlans,
		"notices":                 TestEveryProcedureTellsItsSenderWhatFollowed,
		"sending again":           TestSendingAgainChangesNothing,
		"life of a resource":      TestLifeOfAResource,
		"targets":                 TestReferencesMustExistWhereTheSiteAsksForIt,
		"preconditions":           TestPreconditions,
		"If-None-Match":           TestUpdateIfNoneMatchOnlyCreates,
		"reads":                   TestReadsInBundles,
		"patches":                 TestPatch,
		"several patches":         TestTransactionOfSeveralPatches,
	} {
		t.Run(name, test)
	}
}

// state is what a service holds: every version of everything, in an order that does not
// depend on that of commits, and what searches find.
func (s *Service) state(t testing.TB) []string {
	t.Helper()
	var out []string
	if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		page, err := r.History(ctx, store.HistoryQuery{Count: 100_000})
		for _, e := range page.Entries {
			if !s.provided[e.Resource.Ref()] {
				out = append(out, fmt.Sprintf("%s/%d %s %v %s", e.Resource.Ref(), e.Resource.Version, e.Method, e.Created, e.Resource.Body))
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"Observation?subject:Patient.identifier=http://x.example|", "Observation?code:text=x", "Patient?identifier=http://x.example|1", "Patient?_lastUpdated=gt2000", "Observation?subject=Patient/a"} {
		typ, query, _ := strings.Cut(q, "?")
		pairs, err := search.ParsePairs(query)
		if err != nil {
			t.Fatal(err)
		}
		body, err := s.Search(ctx, Anonymous, typ, append(pairs, search.Pair{Name: "_count", Value: "1000"}), false)
		n, _ := fhir.Parse(body)
		var found []string
		if n != nil {
			for _, entry := range n.Each("entry", "fullUrl") {
				found = append(found, entry.Text)
			}
		}
		slices.Sort(found)
		out = append(out, fmt.Sprint(q, found, err))
	}
	slices.Sort(out)
	return out
}

func difference(a, b []string) string {
	var out strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			fmt.Fprintf(&out, "- %s\n", line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			fmt.Fprintf(&out, "+ %s\n", line)
		}
	}
	return out.String()
}

// twoOf are new services, one that never stages and one that always does, in place of those
// that are done with.
func twoOf(t testing.TB, done ...*Service) (direct, staged *Service) {
	t.Helper()
	for _, s := range done {
		if s != nil {
			if err := s.store.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	direct, staged = open(t), open(t)
	direct.stageFrom, staged.stageFrom = 1_000_000, 1
	return direct, staged
}

// randomEntry is an entry of a Bundle about a few patients and observations, so that entries
// and Bundles get into each other's way.
func randomEntry(t *rapid.T, k int) string {
	id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id")
	value := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "value")
	text := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "text")
	urn := fmt.Sprintf("urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c%02d", k)
	reference := rapid.SampledFrom([]string{
		"Patient/a", "Patient/none", "Patient?identifier=http://x.example|1", "Patient?identifier=http://x.example|2",
		"urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c00", "urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f7c01",
	}).Draw(t, "reference")
	withID := func(resource string) string { return strings.Replace(resource, `",`, `","id":"`+id+`",`, 1) }
	observation := strings.Replace(about(reference), `"x"`, `"`+text+`"`, 1)
	match := rapid.SampledFrom([]string{"", `,"ifMatch":"W/\"1\""`, `,"ifNoneMatch":"*"`}).Draw(t, "precondition")
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0, 1:
		return entryOf(urn, patientWith(value), "POST", "Patient", "")
	case 2, 3:
		return entryOf(urn, patientWith(value), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|`+value+`"`)
	case 4:
		return entryOf(urn, withID(patientWith(value)), "PUT", "Patient/"+id, match)
	case 5:
		return entryOf(urn, patientWith(value), "PUT", "Patient?identifier=http://x.example|"+value, "")
	case 6, 7:
		return entryOf(urn, observation, "POST", "Observation", "")
	case 8:
		return entryOf(urn, withID(observation), "PUT", "Observation/"+id, match)
	case 9:
		return entryOf("", "", "DELETE", rapid.SampledFrom([]string{"Patient/", "Observation/"}).Draw(t, "type")+id, "")
	case 10:
		patch := `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"active"},{"name":"value","valueBoolean":true}]}]}`
		return entryOf("", patch, "PATCH", "Patient/"+id, "")
	default:
		return entryOf("", "", "GET", rapid.SampledFrom([]string{"Patient/" + id, "Patient?identifier=http://x.example|" + value, "Observation?subject=Patient/a"}).Draw(t, "url"), "")
	}
}

// Whatever Bundles come, staged they are answered and stored as they are directly.
func TestLargeTransactionsAreStoredAsOthers(t *testing.T) {
	var direct, staged *Service
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		exist := rapid.Bool().Draw(rt, "targets must exist")
		if checks%5 == 0 { // now and then with nothing stored
			direct, staged = twoOf(t, direct, staged)
		}
		checks++
		direct.mustExist, staged.mustExist = exist, exist
		for range rapid.IntRange(1, 4).Draw(rt, "bundles") {
			var entries []string
			for k := range rapid.IntRange(1, 6).Draw(rt, "entries") {
				entries = append(entries, randomEntry(rt, k))
			}
			body := bundleOf("transaction", entries...)
			want, wantErr := direct.Process(ctx, Anonymous, body, "representation")
			got, err := staged.Process(ctx, Anonymous, body, "representation")
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || fhir.KindOf(err) != fhir.KindOf(wantErr) || string(got) != string(want) {
				rt.Fatalf("%s\nstaged: %s, %v\ndirect: %s, %v", body, got, err, want, wantErr)
			}
			if d := difference(direct.state(t), staged.state(t)); d != "" {
				rt.Fatalf("%s\nstaged is not as direct:\n%s", body, d)
			}
		}
	})
}

// The same of surgeries, with all that is derived from them, in one Bundle or several, and in
// any order, some of them twice.
func TestLargeTransactionsOfSurgeries(t *testing.T) {
	samples := surgeries(t)
	var names []string
	for name := range samples {
		names = append(names, name)
	}
	slices.Sort(names)
	var direct, staged *Service
	checks, stored := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks%5 == 0 {
			direct, staged = twoOf(t, direct, staged)
		}
		checks++
		for range rapid.IntRange(1, 3).Draw(rt, "bundles") {
			chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID[string]).Draw(rt, "surgeries")
			var entries []string
			for _, name := range chosen {
				for _, e := range entriesOf(t, string(samples[name])) {
					if !slices.Contains(entries, e) { // the hospital is in all of them
						entries = append(entries, e)
					}
				}
			}
			entries = rapid.Permutation(entries).Draw(rt, "entries")
			body := bundleOf("transaction", entries...)
			want, wantErr := direct.Process(ctx, Anonymous, body, "")
			got, err := staged.Process(ctx, Anonymous, body, "")
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || string(got) != string(want) {
				rt.Fatalf("%v\nstaged: %s, %v\ndirect: %s, %v", chosen, got, err, want, wantErr)
			}
			if d := difference(direct.state(t), staged.state(t)); d != "" {
				rt.Fatalf("%v\nstaged is not as direct:\n%s", chosen, d)
			}
			if err == nil {
				stored++
			}
		}
	})
	if stored == 0 {
		t.Error("no Bundle was stored")
	}
}

// What others write between the staging and the transaction has its effect, as if the
// Bundle had come after it.
func TestALargeTransactionIsOvertaken(t *testing.T) {
	create := entryOf(urnOne, patientWith("1"), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|1"`)
	observation := entryOf(urnTwo, about(urnOne), "POST", "Observation", "")
	anchored := string(surgeries(t)["single-stage-femur-left"])
	stages := entriesOf(t, string(surgeries(t)["two-stage-femur-right"]))
	operation := entryOf("", `{"resourceType":"Procedure","status":"completed","subject":{"reference":"Patient/a"},"performedDateTime":"2026-03-02",
		"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"single-stage"}]},
		"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"}]},{"coding":[{"system":"http://snomed.info/sct","code":"7771000"}]}]}`, "POST", "Procedure", "")
	dead := strings.Replace(patientWith("1"), `"Patient",`, `"Patient","deceasedBoolean":true,`, 1)
	// Another operation at the same site of the same patient.
	another := entriesOf(t, strings.ReplaceAll(string(surgeries(t)["stage-1-only-femur-left"]), "9990006172", "9990001170"))
	for name, c := range map[string]struct {
		before, meanwhile []string // Bundles' entries
		bundle            []string
		exist             bool
	}{
		"the resource is created meanwhile": {nil, []string{entryOf("", patientWith("1"), "POST", "Patient", "")}, []string{create, observation}, false},
		"two are created meanwhile":         {nil, []string{entryOf("", patientWith("1"), "POST", "Patient", ""), entryOf("", patientWith("1"), "POST", "Patient", "")}, []string{create, observation}, false},
		"another is created meanwhile":      {nil, []string{entryOf("", patientWith("2"), "POST", "Patient", "")}, []string{create, observation}, false},
		"an update meets the condition":     {[]string{entryOf("", put("Patient", "a", patientWith("2")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{create, observation}, false},
		"the match is changed":              {[]string{entryOf("", patientWith("1"), "POST", "Patient", "")}, []string{entryOf("", `{"resourceType":"Patient","active":true,"identifier":[{"system":"http://x.example","value":"1"}]}`, "PUT", "Patient?identifier=1", "")}, []string{create, observation}, false},
		"the match is deleted":              {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", "", "DELETE", "Patient/a", "")}, []string{create, observation}, false},
		"the match no longer meets it":      {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("3")), "PUT", "Patient/a", "")}, []string{create, observation}, false},
		"the id is taken":                   {nil, []string{entryOf("", put("Patient", "a", patientWith("5")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", ""), entryOf("", about("Patient/a"), "POST", "Observation", "")}, false},
		"the id was taken and is free":      {nil, []string{entryOf("", put("Patient", "a", patientWith("5")), "PUT", "Patient/a", ""), entryOf("", "", "GET", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("5")), "PUT", "Patient/a", "")}, false},
		"what was the same is not":          {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("2")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, false},
		"the target of a reference is gone": {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", "", "DELETE", "Patient/a", "")}, []string{entryOf("", about("Patient/a"), "POST", "Observation", "")}, true},
		"the target comes just in time":     {nil, []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", about("Patient/a"), "POST", "Observation", "")}, true},
		"a conditional reference moves":     {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("2")), "PUT", "Patient/a", ""), entryOf("", put("Patient", "b", patientWith("1")), "PUT", "Patient/b", "")}, []string{entryOf("", about("Patient?identifier=1"), "POST", "Observation", "")}, false},
		"a conditional reference is met":    {nil, []string{entryOf("", patientWith("1"), "POST", "Patient", "")}, []string{entryOf("", about("Patient?identifier=1"), "POST", "Observation", ""), entryOf("", patientWith("2"), "POST", "Patient", "")}, false},
		"what is patched is changed":        {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", patientWith("2")), "PUT", "Patient/a", "")}, []string{entryOf("", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"active"},{"name":"value","valueBoolean":true}]}]}`, "PATCH", "Patient/a", "")}, false},
		"what a patient needs comes first":  {nil, entriesOf(t, anchored), []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, false},
		"the same surgery comes meanwhile":  {nil, entriesOf(t, anchored), entriesOf(t, anchored), false},
		"another surgery comes meanwhile":   {without(entriesOf(t, anchored), "Procedure"), another, entriesOf(t, anchored), false},
		"a surgery of a new patient comes meanwhile": {nil, []string{operation},
			[]string{entryOf("", put("Patient", "a", dead), "PUT", "Patient/a", "")}, false},
		"the patient of a surgery is dead": {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", dead), "PUT", "Patient/a", "")},
			[]string{operation}, false},
		"the patient that a surgery finds is dead": {[]string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")}, []string{entryOf("", put("Patient", "a", dead), "PUT", "Patient/a", "")},
			[]string{create, strings.Replace(operation, "Patient/a", urnOne, 1)}, false},
		"the first stage comes meanwhile": {nil, without(stages, "two1-s2"), stages, false},
		"the patient comes meanwhile":     {nil, without(without(stages, "two1-s1"), "two1-s2"), stages, false},
	} {
		for _, last := range []bool{false, true} {
			t.Run(fmt.Sprint(name, map[bool]string{true: ", at the last moment"}[last]), func(t *testing.T) {
				change := func(o *Options) {
					if c.exist {
						o.References = "exist"
					}
				}
				direct, staged := open(t, change), open(t, change)
				direct.stageFrom, staged.stageFrom = 1_000_000, 1_000_000
				prepare := func(s *Service, entries []string) {
					if len(entries) > 0 {
						s.process(t, bundleOf("transaction", entries...))
					}
				}
				prepare(direct, c.before)
				prepare(staged, c.before)
				prepare(direct, c.meanwhile)
				body := bundleOf("transaction", c.bundle...)
				want, wantErr := direct.Process(ctx, Anonymous, body, "")
				staged.stageFrom = 1
				once := false
				staged.staged = func(confirmed bool) {
					if !once && confirmed == last {
						once = true
						staged.stageFrom = 1_000_000
						prepare(staged, c.meanwhile)
						staged.stageFrom = 1
					}
				}
				got, err := staged.Process(ctx, Anonymous, body, "")
				if !once {
					t.Fatal("nothing was staged")
				}
				if fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Errorf("error %v, want %v", err, wantErr)
				}
				// The Bundle's ids were made before those of what came meanwhile, or after.
				if a, b := shape(got), shape(want); a != b {
					t.Errorf("answer\n%s\nwant\n%s", a, b)
				}
				if a, b := staged.subjects(t), direct.subjects(t); madeHere.ReplaceAllString(fmt.Sprint(a), "new") != madeHere.ReplaceAllString(fmt.Sprint(b), "new") {
					t.Errorf("subjects %s, want %s", a, b)
				}
				if a, b := staged.plans(t), direct.plans(t); a != b {
					t.Errorf("plans %s, want %s", a, b)
				}
				if a, b := staged.census(t), direct.census(t); fmt.Sprint(a) != fmt.Sprint(b) {
					t.Errorf("stored %v, want %v", a, b)
				}
				staged.staged = nil
				nothingStaged(t, staged)
			})
		}
	}
}

// madeHere is an id of the service's own.
var madeHere = regexp.MustCompile(`id-\d+`)

// put is the resource with an id.
func put(typ, id, resource string) string {
	return strings.Replace(resource, `"resourceType":"`+typ+`"`, `"resourceType":"`+typ+`","id":"`+id+`"`, 1)
}

// plans are the care plans without what depends on ids: how many activities they have, from
// how many procedures.
func (s *Service) plans(t testing.TB) string {
	t.Helper()
	var out []string
	for _, body := range s.find(t, "CarePlan", "") {
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(n.Str("meta", "versionId"), " ", n.Str("status"), len(n.Each("activity")), len(n.Each("supportingInfo"))))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// without are the entries that do not hold a text.
func without(entries []string, text string) []string {
	return slices.DeleteFunc(slices.Clone(entries), func(e string) bool { return strings.Contains(e, text) })
}

// entriesOf are the entries of a Bundle.
func entriesOf(t testing.TB, bundle string) []string {
	t.Helper()
	n, err := fhir.Parse([]byte(bundle))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range n.Each("entry") {
		out = append(out, string(e.Raw))
	}
	return out
}

// shape is a response without ids: the status and version of each entry.
func shape(body []byte) string {
	n, err := fhir.Parse(body)
	if err != nil {
		return string(body)
	}
	var out []string
	for _, e := range n.Each("entry") {
		out = append(out, e.Str("response", "status")+" "+e.Str("response", "etag"))
	}
	return strings.Join(out, "\n")
}

// nothingStaged checks that the next large transaction can be staged at once.
func nothingStaged(t *testing.T, s *Service) {
	t.Helper()
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	g, err := s.store.Stage(within)
	if err != nil {
		t.Fatalf("something is still staged: %v", err)
	}
	if err := g.Drop(ctx); err != nil {
		t.Error(err)
	}
}

// A transaction that is overtaken again and again is run in one go at last.
func TestALargeTransactionIsOvertakenEachTime(t *testing.T) {
	s := open(t)
	s.stageFrom = 2
	times := 0
	s.staged = func(confirmed bool) {
		if confirmed {
			return
		}
		times++
		if _, err := s.Update(ctx, Anonymous, "Patient", "a", fmt.Appendf(nil, `{"resourceType":"Patient","id":"a","name":[{"text":"%d"}]}`, times), Preconditions{}); err != nil {
			t.Error(err)
		}
	}
	r := s.process(t, bundleOf("transaction", entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", ""), entryOf("", about("Patient/a"), "POST", "Observation", "")))
	if times != 2 || r.Entry[0].Response.Etag != `W/"3"` { // the second attempt finds it there: an update
		t.Errorf("%d times, %+v", times, r.Entry[0].Response)
	}
	times = 0
	create := entryOf("", patientWith("7"), "PUT", "Patient?identifier=http://x.example|7", "")
	s.staged = func(confirmed bool) {
		if confirmed {
			return
		}
		times++
		id := fmt.Sprint("m", times)
		if _, err := s.Update(ctx, Anonymous, "Patient", id, fmt.Appendf(nil, `{"resourceType":"Patient","id":"%s","identifier":[{"system":"http://x.example","value":"7"}]}`, id), Preconditions{}); err != nil {
			t.Error(err)
		}
		if times > 1 {
			if _, err := s.Delete(ctx, Anonymous, "Patient", fmt.Sprint("m", times-1), Preconditions{}); err != nil {
				t.Error(err)
			}
		}
	}
	r = s.process(t, bundleOf("transaction", create, entryOf(urnOne, about("Patient?identifier=http://x.example|7"), "POST", "Observation", ""), entryOf("", patientWith("2"), "POST", "Patient", "")))
	if times != 2 || r.Entry[0].Response.Status != "200 OK" {
		t.Errorf("%d times, %+v", times, r.Entry[0].Response)
	}
	nothingStaged(t, s)
}

func TestALargeTransactionIsGivenUp(t *testing.T) {
	s := open(t)
	s.stageFrom = 2
	body := bundleOf("transaction", entryOf("", patientWith("1"), "POST", "Patient", ""), entryOf("", patientWith("2"), "POST", "Patient", ""))
	before := s.state(t)
	within, cancel := context.WithCancel(ctx)
	s.staged = func(bool) { cancel() }
	_, err := s.Process(within, Anonymous, body, "")
	if fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("the error is %v", err)
	}
	if d := difference(before, s.state(t)); d != "" {
		t.Errorf("it left\n%s", d)
	}
	s.staged = func(bool) { panic(errors.New("stop")) }
	func() {
		defer func() { _ = recover() }()
		_, _ = s.Process(ctx, Anonymous, body, "")
		t.Error("it went on")
	}()
	s.staged = nil
	nothingStaged(t, s)
	if d := difference(before, s.state(t)); d != "" {
		t.Errorf("it left\n%s", d)
	}
}

// Readers see nothing of a large transaction or all of it; several at once, with the same
// conditions, make each resource once.
func TestLargeTransactionsAtOnce(t *testing.T) {
	s := open(t, func(o *Options) { o.NewID = newID; o.Logger = slog.New(slog.DiscardHandler) })
	const shared, own, bundles = 60, 240, 3
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
					count := func(typ, query string) int64 {
						q, err := s.condition(typ, query)
						if err != nil {
							t.Error(err)
							return 0
						}
						q.Count, q.Total = 0, true
						page, err := r.Search(ctx, q, nil)
						if err != nil {
							t.Error(err)
						}
						return page.Total
					}
					all := count("Observation", "status=final")
					if all%own != 0 {
						t.Errorf("%d observations", all)
					}
					if chained := count("Observation", "subject:Patient.identifier=http://x.example|s0"); chained != all {
						t.Errorf("%d of %d by a chain", chained, all)
					}
					past, err := r.History(ctx, store.HistoryQuery{Type: "Observation", Total: true})
					if past.Total != all {
						t.Errorf("%d of %d in the history", past.Total, all)
					}
					if patients := count("Patient", "identifier=http://x.example|s0,http://x.example|s2"); patients != 0 && patients != 2 {
						t.Errorf("%d patients", patients)
					}
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range bundles {
		writers.Go(func() {
			var entries []string
			for i := range shared {
				value := fmt.Sprint("s", i)
				urn := fmt.Sprintf("urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f%04d", i)
				entries = append(entries, entryOf(urn, patientWith(value), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|`+value+`"`))
			}
			for range own {
				entries = append(entries, entryOf("", about("urn:uuid:0a1d8b2e-5b0f-4c62-9a45-2e6f3f1f0000"), "POST", "Observation", ""))
			}
			if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", entries...), ""); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 20 { // and small ones beside them
		writers.Go(func() {
			if _, err := s.Create(ctx, Anonymous, "Patient", []byte(patientWith("s1")), "identifier=http://x.example|s1"); err != nil {
				t.Error(i, err)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if got := s.census(t); got["Patient"] != shared || got["Observation"] != bundles*own {
		t.Errorf("stored %v", got)
	}
}
