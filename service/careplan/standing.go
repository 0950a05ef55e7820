package careplan

import (
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// standing says how the stored activity is, where that is not how the rules alone would have it.
func (x *explanation) standing(p *plan, s *step, truth path.Truth) string {
	text := x.stands(p, s, truth)
	if p.gone.all["Task/"+s.id] {
		text = strings.TrimSpace(text + " Somebody has deleted its Task, so there is none.")
	}
	return text
}

func (x *explanation) stands(p *plan, s *step, truth path.Truth) string {
	activities := x.stored.Each("activity")
	i := slices.IndexFunc(activities, func(a *fhir.Node) bool { return a.Str("id") == s.id })
	switch {
	case i >= 0:
	case truth == path.False:
		return ""
	case p.gone.all[activityKind+"/"+s.id]:
		return "Somebody has taken it out of the plan, so it stays out."
	default:
		return "The stored version does not have it."
	}
	a, detail := activities[i], activities[i].Get("detail")
	status := detail.Str("status")
	var by, is string // what the rules give, and what is stored
	if truth != path.False {
		d := object{}
		p.scheduled(&d, s)
		if now, was := when(d.node()), when(detail); now != was {
			by, is = now, was
		}
	}
	var edited []string
	if before := p.activityBefore(a); before != "" {
		edited = editedParts(detail, before, detailParts)
	}
	switch {
	case closedByEngine(detail):
		return "It is " + status + ": " + strings.Join(displays(detail), "; ") + "."
	case status != "not-started" && status == followedStatus(detail):
		text := "It is " + status + ": " + strings.Join(displays(detail), "; ")
		if day := doneOn(a); !day.IsZero() {
			text += ", on " + formatDate(day)
		}
		return text + "."
	case status != "not-started":
		text := "It is " + status + ": somebody has begun or ended it, so it stays as it is."
		if is != "" {
			text += " By the rules it would be " + by + "; it stays " + is + "."
		}
		return text
	case len(edited) > 0:
		text := "Somebody has changed its " + strings.Join(edited, ", ") + ", and that stays."
		if is != "" && slices.Contains(edited, "scheduled") {
			text += " By the rules it would be " + by + "; it stays " + is + "."
		}
		return text
	case is != "":
		return "The stored version says " + is + "."
	}
	return ""
}

func displays(detail *fhir.Node) (list []string) {
	for _, c := range detail.Each("statusReason", "coding", "display") {
		list = append(list, c.Text)
	}
	return list
}
