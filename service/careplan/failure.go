package careplan

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
)

// failure says why a protocol cannot be applied: the action, the expression where there is
// one, and the reason. It quotes nothing of the records.
type failure struct{ action, expression, reason string }

func (f failure) String() string {
	if f.expression == "" {
		return fmt.Sprintf("%s: %s", f.action, f.reason)
	}
	return fmt.Sprintf("%s: %s: %s", f.action, f.expression, f.reason)
}

// Issue is a kind of resource by which derivations tell what holds of a patient.
type Issue struct{ Type, System, Code, Status string }

// Unapplied is the issue that stands while a protocol cannot be applied to a patient's records.
func Unapplied() Issue { return Issue{"DetectedIssue", outcomeSystem, "protocol-failed", "final"} }

// fail notes why the protocol cannot be applied; the first reason counts.
func (p *plan) fail(action, expression, reason string) {
	if p.failed == nil {
		p.failed = &failure{action, expression, reason}
	}
}

// attempt derives the plan whole or not at all. Where the protocol cannot be applied, the plan
// and what belongs to it stay as they are, and the outcome protocol-failed says why.
func (p *plan) attempt() {
	d := p.d
	d.plans = append(d.plans, p)
	resources, notices, detected, kept := len(d.result.Resources), len(d.result.Notices), len(d.detected), maps.Clone(d.kept)
	if fault := guarded(p.derive); fault != nil {
		d.fault(fault)
		p.fail(p.pathway.canonical, "", d.engine.terms.outcome("fault").display)
	}
	if p.failed == nil {
		return
	}
	d.result.Resources, d.kept = d.result.Resources[:resources], kept
	for i := range d.detected[detected:] {
		d.detected[detected+i].outcome.flag = "" // it is about what the plan would be
	}
	ref := d.keepAsIs(p.key)
	about := slices.DeleteFunc(d.result.Notices[notices:], func(n Notice) bool { return n.Issue.Severity == "information" }) // what the plan would be
	d.result.Notices = d.result.Notices[:notices+len(about)]
	for _, op := range p.operations {
		op.planRef = ref
	}
	d.tellCause("protocol-failed", p.key, p.failed.String(), p.operations...)
}

// keepAsIs leaves everything that exists of a plan, by its key, as it is. It returns the
// reference of the plan, "" where there is none.
func (d *derivation) keepAsIs(key string) (ref string) {
	for _, s := range d.records.Existing {
		for _, o := range d.engine.Outputs() {
			if o.Type != s.Type || o.OfReport {
				continue
			}
			value := identifierIn(s.Node, o.IdentifierSystem)
			if value == key || strings.HasPrefix(value, key+"#") {
				d.emit(s.Type, s.ID, members(s.Node), nil, nil)
				if value == key {
					ref = s.ref()
				}
			}
		}
	}
	return ref
}

// guarded runs work and returns what went wrong with the engine itself, nil if nothing did.
func guarded(work func()) (fault error) {
	defer func() {
		if r := recover(); r != nil { // the value may quote a record, its type and the stack do not
			fault = fmt.Errorf("careplan: %T\n%s", r, debug.Stack())
		}
	}()
	work()
	return nil
}

// fault notes a failure of the engine itself. What holds of the patient is then not known in
// full, so no issue is taken for settled.
func (d *derivation) fault(err error) {
	d.result.Faults = append(d.result.Faults, err)
	d.incomplete = true
}

// keepEverything is the result where the engine failed outside of a single plan: all stays as
// it is.
func (d *derivation) keepEverything() {
	d.result.Resources, d.result.Notices, d.detected = nil, nil, nil
	d.kept, d.told = map[string]bool{}, map[[2]string]bool{}
	for _, s := range d.records.Existing {
		if s.Type != "DetectedIssue" {
			d.emit(s.Type, s.ID, members(s.Node), nil, nil)
		}
	}
	var concerned []*procedure
	for _, p := range d.records.procedures {
		if d.engine.known(p.codes) {
			concerned = append(concerned, p)
		}
	}
	d.tellCause("protocol-failed", d.records.Subject, d.engine.terms.outcome("fault").display, concerned...)
}
