package careplan

import (
	"fmt"
	"slices"
	"strings"

	"aftercare/fhir"
)

const (
	impressionType       = "ClinicalImpression"
	interpretationSystem = fhir.Canonical + "/identifier/interpretation"
)

// ReportType is the type of reports of pain.
const ReportType = "Observation"

// ReportCode is a code by which a report of pain is found.
type ReportCode struct{ System, Code string }

// ReportCodes are the codes of the reports that the rules are for, their own and those that are
// translated to them; nil where there are no rules.
func (e *Engine) ReportCodes() (codes []ReportCode) {
	ranking := e.painRanking()
	if ranking == nil {
		return nil
	}
	seen := map[coding]bool{}
	add := func(c coding) {
		if !seen[c] && anyTrigger(ranking.reports, e.terms.expand([]coding{c})) {
			seen[c] = true
			codes = append(codes, ReportCode{c.System, c.Code})
		}
	}
	for _, t := range ranking.reports {
		for _, f := range t.filters {
			for c := range f.codes {
				add(c)
			}
			if f.set != nil {
				for c := range f.set.rank {
					add(c)
				}
			}
		}
	}
	for c := range e.terms.targets {
		add(c)
	}
	slices.SortFunc(codes, func(a, b ReportCode) int { return strings.Compare(a.System+a.Code, b.System+b.Code) })
	return codes
}

func (e *Engine) painRanking() *ranking {
	for _, r := range e.pain {
		if r.ranking != nil {
			return r.ranking
		}
	}
	return nil
}

// OfReport are the references of what a derived resource was made of, where that is a report of pain.
func OfReport(n *fhir.Node) (refs []string) {
	for _, names := range [][]string{{"investigation", "item", "reference"}, {"focus", "reference"}, {"implicated", "reference"}} {
		for _, ref := range n.Each(names...) {
			if strings.HasPrefix(ref.Text, ReportType+"/") {
				refs = append(refs, ref.Text)
			}
		}
	}
	return refs
}

// Interpret is the part of Derive that concerns reports of pain alone, for anchors that are known.
// plan gives a plan that may have to follow as it is stored, by its reference: where Derive would change
// nothing of the patient but for the reports, else nil. whole is true where Derive is needed.
func (e *Engine) Interpret(c Case, anchors *Anchors, plan func(ref string) *Source) (result Result, whole bool) {
	if len(c.Unnamed) > 0 {
		return Result{}, true
	}
	d := &derivation{engine: e, records: &records{Case: c, existing: map[existingKey]Source{}, moved: map[string]bool{}}, kept: map[string]bool{}, told: map[[2]string]bool{}}
	d.records.Existing = inOrder(c.Existing)
	d.records.index()
	if guarded(func() { whole = !d.keepReports(anchors).holdStored(plan) }) != nil {
		return Result{}, true
	}
	return d.result, whole
}

// interpretReports keeps what is made of the reports of the case, and holds activities for it. Where
// the engine fails, all of it stays as it is.
func (d *derivation) interpretReports() {
	if d.incomplete {
		return
	}
	resources, notices := len(d.result.Resources), len(d.result.Notices)
	before := slices.Clone(d.result.Resources)
	if fault := guarded(func() {
		var k *keeper
		if d.records.AllReports || len(d.records.Looked) > 0 {
			k = d.keepReports(d.anchors())
		} else {
			k = &keeper{derivation: d}
		}
		d.holdActivities(k)
	}); fault != nil {
		for _, r := range d.result.Resources[resources:] {
			delete(d.kept, r.Type+" "+r.ID)
		}
		d.result.Resources, d.result.Notices = before, d.result.Notices[:notices]
		d.fault(fault)
	}
}

// keeper keeps what is made of reports.
type keeper struct {
	*derivation
	anchors *Anchors
	// holds are what has to wait, back the ClinicalImpressions, by reference, that were looked at and
	// whose holds end unless they are among these.
	holds []painHold
	back  []string
	// made are the beginnings of the identifiers of what is made.
	made map[string]bool
}

// painHold is an activity that has to wait because of an interpretation.
type painHold struct {
	planRef string
	rule    *painRule
	because string
}

// keepReports makes of each report what there should be, and takes back what there should not.
func (d *derivation) keepReports(anchors *Anchors) *keeper {
	k := &keeper{derivation: d, anchors: anchors, made: map[string]bool{}}
	if anchors.closed {
		k.keepAfterDeath()
		return k
	}
	reports := slices.Clone(d.records.Reports)
	slices.SortFunc(reports, func(a, b Source) int { return strings.Compare(a.ref(), b.ref()) })
	held := map[string]bool{} // the ClinicalImpressions, by id, that stand
	var failed []string
	for _, report := range reports {
		list, err := d.engine.interpret(anchors, report)
		if err != nil {
			d.result.Faults = append(d.result.Faults, fmt.Errorf("careplan: a report of pain: %w", err))
			d.noticeOf("pain-failed", report, "")
			failed = append(failed, report.ref())
			continue
		}
		told := map[string]bool{}
		for _, i := range list {
			switch {
			case i.Refused == "":
				held[k.keep(i, report)] = true
				for _, code := range i.Remarks {
					if d.engine.terms.outcome(code).severity == "warning" && !told[code] {
						told[code] = true
						d.noticeOf(code, report, "")
					}
				}
			case i.Refused != "pain-other-observation" && !told[i.Refused]:
				told[i.Refused] = true
				d.noticeOf(i.Refused, report, "")
			}
		}
	}
	for _, s := range d.records.existingOf(impressionType) {
		if of := OfReport(s.Node); identifierIn(s.Node, interpretationSystem) != "" && !held[s.ID] && k.looked(of) && !slices.ContainsFunc(of, func(ref string) bool { return slices.Contains(failed, ref) }) {
			k.takeBack(s, reports)
		}
	}
	k.closeIssues(failed)
	return k
}

// looked reports that one of the reports is among those that are looked at.
func (k *keeper) looked(of []string) bool {
	return k.records.AllReports || slices.ContainsFunc(of, func(ref string) bool { return slices.Contains(k.records.Looked, ref) })
}

func (d *derivation) noticeOf(code string, report Source, impression string) {
	issue := d.engine.terms.issue(code)
	issue.Text = strings.ReplaceAll(issue.Text, "{impression}", impression)
	d.result.Notices = append(d.result.Notices, Notice{report.ref(), issue})
}

// keyOf begins the identifiers of what is made of a report for an anchor.
func keyOf(i Interpretation, report Source) string {
	return i.anchor.key + "#" + hashID("report", report.ref())
}

// keep makes the ClinicalImpression of an interpretation, and what follows from it. It returns its id.
func (k *keeper) keep(i Interpretation, report Source) string {
	key := keyOf(i, report)
	k.made[key] = true
	value := key + "#" + i.inputs
	if gone := k.records.deleted(impressionType, interpretationSystem, value); gone != nil { // and stays so
		k.endWith(value, "cancelled", "inactive", "pain-withdrawn")
		k.back = append(k.back, gone.ref())
		return gone.ID
	}
	was, exists := k.records.existing[existingKey{impressionType, interpretationSystem, value}]
	id := was.ID
	if !exists {
		id = k.freeID(hashID(key, i.inputs), value)
	}
	o := k.engine.impression(i, report, k.anchors)
	o.set("id", id)
	o.set("extension", append([]raw{derivedStatus(opened[impressionType])}, listIn(o, "extension")...))
	o.set("identifier", []identifier{{interpretationSystem, value}})
	o.set("date", k.records.At.Format(instantLayout))
	if exists {
		o.put("date", was.Node.Get("date"))
	} else if before := k.before(key); before != "" {
		o.set("previous", reference{Reference: impressionType + "/" + before})
	}
	o, _ = k.records.keepOrUpdate(o, was.Node, "status", impressionParts)
	if !exists || ownStatus(was.Node, "status") {
		reportedIn(o, i.reported)
	}
	o.arrange(impressionOrder)
	k.put(impressionType, id, o, i, report)
	k.noticeOf("pain-interpreted", report, impressionType+"/"+id)
	stands := o.text("status") != "entered-in-error"
	if exists {
		k.back = append(k.back, impressionType+"/"+id)
	}
	for _, rule := range i.holds {
		if stands {
			k.holds = append(k.holds, painHold{i.Plan, rule, impressionType + "/" + id})
		}
	}
	open := k.task(i, report, o, id, value, stands)
	k.flag(i, report, id, value, open)
	if stands {
		k.issues(i, report, key)
	}
	return id
}

// impressionParts are those of a ClinicalImpression that a person may change (see edits.go).
var impressionParts = []string{"finding", "summary"}

// freeID is an id that none of the types made of an interpretation has, but for what is of the
// interpretation with this identifier.
func (k *keeper) freeID(wanted, value string) string {
	for {
		free := wanted
		for _, kind := range []string{impressionType, "Task", "Flag"} {
			if s := k.records.existingAt(kind, free); s == nil || identifierIn(s.Node, interpretationSystem) != value {
				free = k.records.newID(kind, free)
			}
		}
		if free == wanted {
			return free
		}
		wanted = free
	}
}

// before is the id of the ClinicalImpression of the same report and anchor that stands until now,
// "" for none.
func (k *keeper) before(key string) (id string) {
	latest := ""
	for _, s := range k.records.existingOf(impressionType) {
		if strings.HasPrefix(identifierIn(s.Node, interpretationSystem), key+"#") && s.Node.Str("status") != "entered-in-error" && s.Node.Str("date") >= latest {
			id, latest = s.ID, s.Node.Str("date")
		}
	}
	return id
}

func (k *keeper) put(kind, id string, o object, i Interpretation, report Source) {
	k.emit(kind, id, o, append([]Source{report}, k.basisOf(i.anchor)...), i.Rules)
}

// basisOf are the records that all rests on that is about an anchor.
func (k *keeper) basisOf(a *anchor) []Source {
	basis := slices.Clone(a.records)
	if k.anchors.patient != nil {
		basis = append(basis, *k.anchors.patient)
	}
	return basis
}

// takeBack marks a ClinicalImpression as an error, and ends what followed from it. One whose status a
// person has set stays, as that person's.
func (k *keeper) takeBack(s Source, reports []Source) {
	value := identifierIn(s.Node, interpretationSystem)
	reason, task, flag := "pain-withdrawn", "cancelled", "inactive"
	switch {
	case k.made[value[:max(0, strings.LastIndexByte(value, '#'))]]:
		reason = "pain-superseded"
	case k.anchors.without == "pain-surgery-in-error":
		task, flag = "entered-in-error", "entered-in-error"
	}
	k.back = append(k.back, s.ref())
	o, given := members(s.Node), false
	if ownStatus(s.Node, "status") {
		o, given = withStatus(s.Node, "status", "entered-in-error", true)
	}
	k.end(s, o, given, reason, reports)
	k.endWith(value, task, flag, reason)
}

// endWith ends the Task and the Flag of an interpretation.
func (k *keeper) endWith(value, task, flag, reason string) {
	if was, ok := k.records.existing[existingKey{"Task", interpretationSystem, value}]; ok {
		o, given := withStatus(was.Node, "status", task, true)
		k.end(was, o, given, reason, nil)
	}
	if was, ok := k.records.existing[existingKey{"Flag", interpretationSystem, value}]; ok {
		k.endFlag(was, flag)
	}
}

// end writes what ends, with the reason if it was given its status now.
func (k *keeper) end(s Source, o object, given bool, reason string, basis []Source) {
	if given {
		o.set("statusReason", k.engine.because(reason))
		o.arrange(orders[s.Type])
	}
	k.emit(s.Type, s.ID, o, basis, nil)
}

// keepAfterDeath ends what asks for something to be done, for a patient who has died. The
// ClinicalImpressions stay, but for those whose report has been withdrawn.
func (k *keeper) keepAfterDeath() {
	reported := map[string]bool{}
	for _, report := range k.records.Reports {
		k.noticeOf("pain-patient-deceased", report, "")
		if ranking := k.engine.painRanking(); ranking != nil {
			_, refused := k.engine.painReport(report, ranking)
			reported[report.ref()] = refused == ""
		}
	}
	for _, s := range k.records.existingOf(impressionType) {
		value, of := identifierIn(s.Node, interpretationSystem), OfReport(s.Node)
		switch {
		case value != "" && k.looked(of) && !slices.ContainsFunc(of, func(ref string) bool { return reported[ref] }):
			k.takeBack(s, k.records.Reports)
			continue
		case value != "":
			k.endWith(value, "cancelled", "inactive", "patient-deceased")
		}
		k.back = append(k.back, s.ref())
	}
}

// because is a statusReason by an outcome.
func (e *Engine) because(code string) object {
	out := e.terms.outcome(code)
	why := object{}
	why.set("extension", []outcomeMark{{outcomeExtension, out.code}})
	why.set("coding", []coding{{outcomeSystem, out.code, out.display}})
	why.set("text", out.text)
	return why
}
