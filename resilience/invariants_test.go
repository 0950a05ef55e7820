package resilience

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aftercare/fhir"
)

// check holds what the service gives over HTTP against the ledger. All who write have stopped.
func (l *ledger) check(t testing.TB, c *client) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		t.Error(f)
	}
	found := l.checkVersions(t, c)
	s := survey(t, c)
	l.checkMarks(t, c, s)
	l.checkPatches(t, s)
	checkPairs(t, c, s)
	checkPlans(t, s)
	t.Logf("%d versions acknowledged, %d found; %d writes refused, %d without an answer", len(l.versions), found, l.refusals, l.lost)
}

// checkVersions reads every version that was acknowledged, and the current one of its resource,
// and returns how many are as they were acknowledged.
func (l *ledger) checkVersions(t testing.TB, c *client) int {
	t.Helper()
	newest := map[string]int{}
	for v := range l.versions {
		newest[v.ref] = max(newest[v.ref], v.number)
	}
	var found atomic.Int64
	atOnce(slices.Collect(maps.Keys(l.versions)), func(v version) {
		f := l.versions[v]
		a := c.send(fmt.Sprintf("GET /fhir/%s/_history/%d", v.ref, v.number), "")
		switch {
		case f.deleted && a.status == 410, !f.deleted && a.status == 200 && (f.body == nil || bytes.Equal(f.body, a.body)):
			found.Add(1)
		default:
			t.Errorf("%s version %d was acknowledged: status %d", v.ref, v.number, a.status)
		}
	})
	atOnce(slices.Collect(maps.Keys(newest)), func(ref string) {
		a := c.send("GET /fhir/"+ref, "")
		gone := a.status == 410 && strings.Contains(ref, "-deleted-") // it has no version in its answer
		if !gone && (a.status != 200 || a.version() < newest[ref]) {
			t.Errorf("%s: status %d, version %d; version %d was acknowledged", ref, a.status, a.version(), newest[ref])
		}
	})
	return int(found.Load())
}

// atOnce calls do for every item, several at a time.
func atOnce[T any](items []T, do func(T)) {
	var next atomic.Int64
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(items); i = next.Add(1) - 1 {
				do(items[i])
			}
		})
	}
	done.Wait()
}

// found is what the searches for all resources give.
type found struct {
	marks    map[string][]string // the resources by mark
	operated []string            // patients who were operated on
	plans    map[string]int      // by subject
	pairs    []string            // ids of the first ones
}

// survey reads everything by searches.
func survey(t testing.TB, c *client) found {
	t.Helper()
	s := found{marks: map[string][]string{}, plans: map[string]int{}}
	for _, typ := range []string{"Patient", "Observation", "Basic"} {
		c.pages(t, "/fhir/"+typ+"?_count=500", func(n *fhir.Node) {
			ref := typ + "/" + n.Str("id")
			for _, value := range n.Each("identifier", "value") {
				s.marks[value.Text] = append(s.marks[value.Text], ref)
				if typ == "Patient" && strings.Contains(value.Text, "-operation-") {
					s.operated = append(s.operated, ref)
				}
			}
			if strings.Contains(ref, "-one-") {
				s.pairs = append(s.pairs, n.Str("id"))
			}
		})
	}
	c.pages(t, "/fhir/CarePlan?_count=500", func(n *fhir.Node) {
		for _, subject := range n.Each("subject", "reference") {
			s.plans[subject.Text]++
		}
	})
	return s
}

// pages calls each for every resource of a search or a history.
func (c *client) pages(t testing.TB, path string, each func(n *fhir.Node)) {
	t.Helper()
	for path != "" {
		a := c.must(t, 200, "GET "+path, "")
		n, err := fhir.Parse(a.body)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range n.Each("entry", "resource") {
			each(resource)
		}
		path = ""
		for _, link := range n.Each("link") {
			if link.Str("relation") == "next" {
				path = "/fhir" + strings.TrimPrefix(link.Str("url"), base)
			}
		}
	}
}

// checkMarks counts the resources that each write has made.
func (l *ledger) checkMarks(t testing.TB, c *client, s found) {
	t.Helper()
	for mark, p := range l.marks {
		refs := s.marks[mark]
		switch n := len(refs); {
		case p.outcome == stored && n != p.want:
			t.Errorf("%s: %d resources, %d were acknowledged", mark, n, p.want)
		case p.outcome == refused && n != 0:
			t.Errorf("%s: %d resources of a write that was refused", mark, n)
		case n != 0 && n != p.want:
			t.Errorf("%s: %d resources of %d: half a write", mark, n, p.want)
		case p.ref != "" && n == 1 && refs[0] != p.ref:
			t.Errorf("%s: it is %s, and was acknowledged as %s", mark, refs[0], p.ref)
		}
	}
	atOnce(slices.Collect(maps.Keys(l.marks)), func(mark string) {
		if p := l.marks[mark]; p.ref != "" {
			a := c.send("GET /fhir/Patient?identifier="+system+"|"+mark, "")
			if ids := a.all("entry.resource.id"); a.status != 200 || len(ids) != 1 || "Patient/"+ids[0] != p.ref {
				t.Errorf("%s: the search finds %v, status %d; want %s", mark, ids, a.status, p.ref)
			}
		}
	})
}

// checkPatches finds each patch that was acknowledged once, in what has all of them.
func (l *ledger) checkPatches(t testing.TB, s found) {
	t.Helper()
	for mark, o := range l.added {
		switch n := len(s.marks[mark]); {
		case o == stored && n != 1, o == refused && n != 0, n > 1:
			t.Errorf("%s: the patch (outcome %d) is there %d times", mark, o, n)
		}
	}
}

// checkPairs compares the histories of resources that were always written together.
func checkPairs(t testing.TB, c *client, s found) {
	t.Helper()
	history := func(id string) (marks []string) {
		c.pages(t, "/fhir/Basic/"+id+"/_history?_count=500", func(n *fhir.Node) {
			marks = append(marks, n.Str("meta", "versionId")+n.Each("identifier", "value")[0].Text)
		})
		return marks
	}
	for _, one := range s.pairs {
		if a, b := history(one), history(strings.Replace(one, "-one-", "-two-", 1)); !slices.Equal(a, b) || len(a) == 0 {
			t.Errorf("%s: the two of a pair were not always written together: %d and %d versions", one, len(a), len(b))
		}
	}
}

// checkPlans finds one plan for each patient who was operated on, and none for another.
func checkPlans(t testing.TB, s found) {
	t.Helper()
	for _, p := range s.operated {
		if n := s.plans[p]; n != 1 {
			t.Errorf("%s was operated on and has %d plans", p, n)
		}
	}
	if len(s.plans) != len(s.operated) {
		t.Errorf("%d patients have a plan, %d were operated on", len(s.plans), len(s.operated))
	}
}
