package service

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
)

// metaTexts are the labels of a meta, "list system|code" or "list URL", in order.
func metaTexts(meta *fhir.Node) []string {
	var out []string
	for _, name := range []string{"profile", "security", "tag"} {
		for _, n := range meta.Each(name) {
			if n.Kind == fhir.Object {
				out = append(out, name+" "+n.Str("system")+"|"+n.Str("code"))
			} else {
				out = append(out, name+" "+n.Text)
			}
		}
	}
	return out
}

func returned(t *testing.T, n *fhir.Node) *fhir.Node {
	t.Helper()
	p := n.Each("parameter")
	if n.Str("resourceType") != "Parameters" || len(p) != 1 || p[0].Str("name") != "return" {
		t.Fatalf("answer: %s", n.Raw)
	}
	return p[0].Get("valueMeta")
}

const labelled = `{"resourceType":"Basic","id":"b","meta":{"profile":["http://x.example/p1"],"source":"http://x.example/s","tag":[{"system":"http://x.example","code":"a","display":"A"}]},"code":{"text":"k"}, "extension":[{"url":"http://x.example/e","valueDecimal":1.50}]}`

func metaBody(labels string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":` + labels + `}]}`
}

func TestMetaOfAResource(t *testing.T) {
	s := open(t)
	s.keep(t, labelled)
	meta := returned(t, s.ask(t, "Basic/b/$meta", ""))
	if meta.Str("versionId") != "1" || meta.Str("source") != "http://x.example/s" || meta.Str("lastUpdated") == "" {
		t.Errorf("meta %s", meta.Raw)
	}
	s.ask(t, "Basic/b/$meta-add", metaBody(`{"tag":[{"code":"b"}]}`))
	if got := metaTexts(returned(t, s.ask(t, "Basic/b/_history/1/$meta", ""))); len(got) != 2 {
		t.Errorf("version 1 has %q", got)
	}
	if got := returned(t, s.ask(t, "Basic/b/$meta", "")).Str("versionId"); got != "2" {
		t.Errorf("version %s", got)
	}
}

func TestMetaAddAndDelete(t *testing.T) {
	s := open(t)
	s.keep(t, labelled)
	for i, step := range []struct {
		name, operation, labels string
		version                 int64
		want                    []string
	}{
		{"adds to each list", "meta-add", `{"profile":["http://x.example/p2"],"security":[{"system":"http://x.example/s","code":"R"}],"tag":[{"system":"http://x.example","code":"b"}]}`, 2,
			[]string{"profile http://x.example/p1", "profile http://x.example/p2", "security http://x.example/s|R", "tag http://x.example|a", "tag http://x.example|b"}},
		{"what is there is not added, whatever its display and version", "meta-add", `{"profile":["http://x.example/p2"],"tag":[{"system":"http://x.example","version":"9","code":"a","display":"another"}]}`, 2,
			[]string{"profile http://x.example/p1", "profile http://x.example/p2", "security http://x.example/s|R", "tag http://x.example|a", "tag http://x.example|b"}},
		{"another system is another tag, and twice is once", "meta-add", `{"tag":[{"code":"a"},{"code":"a"}]}`, 3,
			[]string{"profile http://x.example/p1", "profile http://x.example/p2", "security http://x.example/s|R", "tag http://x.example|a", "tag http://x.example|b", "tag |a"}},
		{"deletes by system and code", "meta-delete", `{"profile":["http://x.example/p1"],"security":[{"system":"http://x.example/s","code":"R","display":"?"}],"tag":[{"system":"http://x.example","code":"a"}]}`, 4,
			[]string{"profile http://x.example/p2", "tag http://x.example|b", "tag |a"}},
		{"what is not there is not missed", "meta-delete", `{"profile":["http://x.example/p"],"tag":[{"code":"b"}]}`, 4,
			[]string{"profile http://x.example/p2", "tag http://x.example|b", "tag |a"}},
		{"the last ones go", "meta-delete", `{"profile":["http://x.example/p2"],"tag":[{"code":"a"},{"system":"http://x.example","code":"b"}]}`, 5, nil},
	} {
		t.Run(step.name, func(t *testing.T) {
			a, err := s.Operate(ctx, Anonymous, called(t, "Basic/b/$"+step.operation, metaBody(step.labels)))
			if err != nil {
				t.Fatal(err)
			}
			n, err := fhir.Parse(a.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := metaTexts(returned(t, n)); !slices.Equal(got, step.want) || a.Resource.Version != step.version {
				t.Errorf("step %d: version %d with %q, want %d with %q", i, a.Resource.Version, got, step.version, step.want)
			}
			r, err := s.Read(ctx, Anonymous, "Basic", "b")
			if err != nil || r.Version != step.version {
				t.Fatalf("stored: version %d, %v", r.Version, err)
			}
			if !strings.HasSuffix(string(r.Body), `,"code":{"text":"k"},"extension":[{"url":"http://x.example/e","valueDecimal":1.50}]}`) || !strings.Contains(string(r.Body), `"source":"http://x.example/s"`) {
				t.Errorf("more than labels has changed: %s", r.Body)
			}
		})
	}
	q := called(t, "Basic/b/$meta-add", metaBody(`{"tag":[{"code":"z"}]}`))
	q.When.IfMatch = `W/"1"`
	if _, err := s.Operate(ctx, Anonymous, q); fhir.KindOf(err) != fhir.PreconditionFailed {
		t.Errorf("stale If-Match: %v", err)
	}
	for ref := range s.provided {
		if _, err := s.Operate(ctx, Anonymous, called(t, ref+"/$meta-add", metaBody(`{"tag":[{"code":"z"}]}`))); fhir.KindOf(err) != fhir.NotAllowed {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestMetaAddAtOnceLosesNone(t *testing.T) {
	s := open(t)
	s.keep(t, labelled)
	const writers = 24
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, err := s.Operate(ctx, Anonymous, OperationRequest{Name: "meta-add", Type: "Basic", ID: "b", Body: fmt.Appendf(nil, metaBody(`{"tag":[{"code":"t%d"}]}`), i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	meta := returned(t, s.ask(t, "Basic/b/$meta", ""))
	if got := len(meta.Each("tag")); got != writers+1 || meta.Str("versionId") != fmt.Sprint(writers+1) {
		t.Errorf("%d tags in version %s", got, meta.Str("versionId"))
	}
}

func TestMetaInUse(t *testing.T) {
	s := open(t)
	s.keep(t, labelled, strings.ReplaceAll(labelled, `"id":"b"`, `"id":"c"`),
		`{"resourceType":"Patient","id":"p","meta":{"tag":[{"system":"http://x.example","code":"of-patients"}],"security":[{"system":"http://x.example","code":"R"}]}}`,
		`{"resourceType":"Patient","id":"gone","meta":{"tag":[{"code":"gone"}]}}`)
	if _, err := s.Delete(ctx, Anonymous, "Patient", "gone", Preconditions{}); err != nil {
		t.Fatal(err)
	}
	basic := returned(t, s.ask(t, "Basic/$meta", ""))
	if got := metaTexts(basic); !slices.Equal(got, []string{"profile http://x.example/p1", "tag http://x.example|a"}) || basic.Get("versionId") != nil {
		t.Errorf("of Basic: %q", got)
	}
	if got := returned(t, s.ask(t, "Goal/$meta", "")); len(metaTexts(got)) != 0 {
		t.Errorf("of Goal: %s", got.Raw)
	}
	system := metaTexts(returned(t, s.ask(t, "$meta", "")))
	for _, want := range []string{"profile http://x.example/p1", "tag http://x.example|a", "tag http://x.example|of-patients", "security http://x.example|R"} {
		if !slices.Contains(system, want) {
			t.Errorf("%s is missing from %q", want, system)
		}
	}
	if slices.Contains(system, "tag |gone") {
		t.Error("the tag of a deleted resource")
	}
}
