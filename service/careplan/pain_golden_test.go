package careplan

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// painProbe is a report, and the records that it is held against.
type painProbe struct {
	name   string
	record Case
	report Source
}

// painProbes are the cases, and for every combination of site or trigger with operations a report on
// each end of every window and beside it.
func painProbes(t testing.TB) (all []painProbe) {
	for _, c := range painCases(t) {
		record, report := c.records(t)
		all = append(all, painProbe{c.ID, record, report})
	}
	part := func(code string) Source {
		return surgeryOn(t, code, code, "2026-03-02", "completed", `"partOf":[{"reference":"Procedure/first"}]`)
	}
	with := func(parts ...string) Case {
		c := single(t, "2026-03-02")
		for _, p := range parts {
			c.Inputs = append(c.Inputs, part(p))
		}
		return c
	}
	stages := Case{At: at, Subject: "Patient/p", Inputs: []Source{
		surgeryOn(t, "first", "stage-1", "2026-03-02", "completed", leftFemur),
		surgeryOn(t, "second", "stage-2", "2026-08-03", "completed", leftFemur+`,"partOf":[{"reference":"Procedure/first"}]`), part("traction-neurectomy"), part("tmr"),
	}}
	removed := with("tmr")
	removed.Inputs = append(removed.Inputs, surgeryOn(t, "out", "removal", "2026-06-02", "completed", leftFemur))
	records := []Case{with(), with("tmr"), with("traction-neurectomy", "tmr"), with("ho-removal"), stages, removed}
	names := []string{"plain", "tmr", "both", "ho-removal", "stages", "removed"}
	what := [][2]string{{"", ""}, {"muscle", ""}, {"muscle", "exercise"}, {"muscle-insertion", ""}, {"muscle-insertion", "twist"}, {"", "exercise"}, {"residual-bone", ""}, {"residual-bone", "exercise"},
		{"", "pull"}, {"", "compress"}, {"stoma", ""}, {"stump-nerve", ""}, {"phantom", ""}, {"phantom", "twist"}, {"spur-site", ""}}
	days := []string{"2026-03-01", "2026-03-02", "2026-04-27", "2026-04-28", "2026-05-01", "2026-05-02", "2026-06-01", "2026-06-02", "2026-06-03", "2026-08-03", "2026-09-02", "2026-09-03", "2026-11-02", "2026-11-03", "2027-02-03", "2027-02-04"}
	for i, record := range records {
		for _, w := range what {
			for j, day := range days {
				if i > 0 && names[i] != "removed" && w[1] != "" && w[0] != "phantom" { // facts of nerves and spurs do not change these
					continue
				}
				var sites, triggers []string
				if w[0] != "" {
					sites = []string{w[0]}
				}
				if w[1] != "" {
					triggers = []string{w[1]}
				}
				extra := ""
				if j%5 == 3 {
					extra = `,"onset":"2025"`
				}
				all = append(all, painProbe{fmt.Sprintf("%s %s %s %s", names[i], day, w[0], w[1]), record, report(t, `"effectiveDateTime":"`+day+`"`, 6+j%2, sites, triggers, extra)})
			}
		}
	}
	return append(all, painProbe{"no pain", with(), report(t, `"effectiveDateTime":"2026-04-01"`, 0, nil, nil, "")})
}

// line is all that an interpretation says, in codes.
func (i Interpretation) line() string {
	var b strings.Builder
	for _, f := range i.Findings {
		fmt.Fprintf(&b, " %s:%d%v", f.Cause, f.Score, f.Parts)
		if f.Shown {
			b.WriteString("!")
		}
		for _, s := range f.Statements {
			b.WriteString("," + s.Code)
		}
	}
	b.WriteString(" |")
	for _, s := range i.Conclusions {
		b.WriteString(" " + s.Code)
	}
	return strings.TrimSpace(fmt.Sprintf("%s | %s | %s |%s", i.Refused, strings.Join(i.Remarks, " "), strings.Join(i.Issues, " "), b.String()))
}

func lines(list []Interpretation, err error) string {
	if err != nil {
		return "error"
	}
	var out []string
	for _, i := range list {
		out = append(out, i.line())
	}
	return strings.Join(out, " && ")
}

// derived runs the engine on each probe once, with the answers that it has now.
func derivedProbes(t testing.TB, e *Engine, probes []painProbe) (runs []*derivation) {
	known := map[string]*derivation{}
	for _, p := range probes {
		var key strings.Builder
		for _, s := range p.record.Inputs {
			key.Write(s.Node.Raw)
		}
		d := known[key.String()]
		if d == nil {
			var err error
			if d, err = e.run(p.record); err != nil {
				t.Fatal(err)
			}
			known[key.String()] = d
		}
		runs = append(runs, d)
	}
	return runs
}

const painGolden = "../../testdata/pain-answers.txt"

// What is said of every probe is recorded. Read the difference after -update.
func TestPainAnswersAsRecorded(t *testing.T) {
	probes := painProbes(t)
	runs := derivedProbes(t, builtIn(t), probes)
	var b strings.Builder
	for i, p := range probes {
		fmt.Fprintf(&b, "%s: %s\n", p.name, lines(runs[i].interpretPain(p.report)))
	}
	if *update {
		if err := os.WriteFile(painGolden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(painGolden)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(wanted)) {
		if i >= len(got) || i >= len(wanted) || got[i] != wanted[i] {
			t.Fatalf("line %d differs", i+1)
		}
	}
}

// mutants are the rules with one thing changed: a number of an expression or of an offset, a
// condition denied or taken away, or an operation put in the place of another.
func mutants(text string) (names, texts []string) {
	add := func(name string, from, to int, with string) {
		names = append(names, fmt.Sprintf("%s at %d", name, from))
		texts = append(texts, text[:from]+with+text[to:])
	}
	for at := 0; ; {
		i := strings.Index(text[at:], `"expression": "`)
		if i < 0 {
			break
		}
		from := at + i + len(`"expression": "`)
		to := from + strings.Index(text[from:], "\"\n")
		at = to
		before := text[max(0, from-400):from]
		if strings.LastIndex(before, `"kind": "applicability"`) > strings.LastIndex(before, `"path":`) {
			add("denied", from, to, "("+text[from:to]+").not()")
			add("always", from, to, "true")
		}
		for k := from; k < to; k++ {
			before, after := text[k-1], text[k+1]
			if text[k] >= '0' && text[k] <= '9' && !isWord(before) && !isWord(after) {
				add("number", k, k+1, string('0'+(text[k]-'0'+1)%10))
			}
		}
	}
	for at := 0; ; {
		i := strings.Index(text[at:], `"value": `)
		if i < 0 {
			return names, texts
		}
		from := at + i + len(`"value": `)
		at = from
		add("offset", from, from+1, string(text[from]+1))
	}
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}

// Every change of one rule changes what is said of some probe; TestPainAnswersAsRecorded and
// TestPainCases hold what that is.
func TestEveryMutantOfThePainRulesIsCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	e := builtIn(t)
	probes := painProbes(t)
	runs := derivedProbes(t, e, probes)
	want := make([]string, len(probes))
	for i, p := range probes {
		want[i] = lines(runs[i].interpretPain(p.report))
	}
	caught, refused := 0, 0
	activities := map[string]*activity{}
	for url := range e.activities {
		activities[url] = &activity{}
	}
	for at, name := range []string{"pain-interpretation", "pain-red-flags"} {
		data, err := os.ReadFile("../../definitions/PlanDefinition-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		place := slices.IndexFunc(e.pain, func(r *painRules) bool { return strings.Contains(r.canonical, name+"|") })
		if place != at {
			t.Fatalf("%s is at %d", name, place)
		}
		names, texts := mutants(string(data))
		order := make([]int, len(probes)) // a probe that has caught one is asked first
		for i := range order {
			order[i] = i
		}
		for m, text := range texts {
			n, err := fhir.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", names[m], err)
			}
			c := &compiler{terms: e.terms, activities: activities, inputs: map[string]bool{}, systems: map[string]bool{}}
			rules := c.painRules(n)
			if len(c.errs) > 0 {
				refused++
				continue
			}
			changed := *e
			changed.pain = slices.Clone(e.pain)
			changed.pain[place] = rules
			alive := true
			for k, i := range order {
				run := *runs[i]
				run.engine = &changed
				if lines(run.interpretPain(probes[i].report)) != want[i] {
					alive = false
					copy(order[1:k+1], order[:k])
					order[0] = i
					break
				}
			}
			if alive {
				t.Errorf("%s: not caught: %s in line %d", name, names[m], 1+strings.Count(string(data[:atOf(names[m])]), "\n"))
				continue
			}
			caught++
		}
	}
	if refused > caught/10 {
		t.Errorf("%d of the mutants are refused by the compiler, so that nothing is tried", refused)
	}
	t.Logf("%d mutants caught, %d refused by the compiler", caught, refused)
}

func atOf(name string) (at int) {
	fmt.Sscanf(name[strings.LastIndex(name, " ")+1:], "%d", &at)
	return at
}
