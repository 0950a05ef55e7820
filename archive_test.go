package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service"
	"aftercare/service/store"
	"aftercare/service/store/postgrestest"

	"github.com/google/go-cmp/cmp"
)

// databases are the engines that a site is moved from and to: each call makes a database that
// is new and empty.
var databases = []struct {
	name string
	new  func(t testing.TB) string
}{
	{"SQLite", newSQLite},
	{"PostgreSQL", postgrestest.Database},
}

func newSQLite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "site.db") }

// command runs the program on a database.
func command(t testing.TB, database string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, []string{"AFTERCARE_DATABASE=" + database, "AFTERCARE_LOG_LEVEL=error"}, &out, &err)
	return code, out.String(), err.String()
}

// must is command for what has to succeed.
func must(t testing.TB, database string, args ...string) (stdout string) {
	t.Helper()
	code, stdout, stderr := command(t, database, args...)
	if code != exitOK {
		t.Fatalf("%v: exit code %d: %s%s", args, code, stdout, stderr)
	}
	return stdout
}

// refused is command for what has to fail and say why.
func refused(t testing.TB, why, database string, args ...string) {
	t.Helper()
	code, stdout, stderr := command(t, database, args...)
	if code != exitFailed || !strings.Contains(stderr, why) {
		t.Errorf("%v: exit code %d, no %q in: %s%s", args, code, why, stdout, stderr)
	}
}

// withService runs a function with a service on a database.
func withService(t testing.TB, database string, do func(s *service.Service)) {
	t.Helper()
	cfg, err := config.Load([]string{"AFTERCARE_DATABASE=" + database}, "")
	if err != nil {
		t.Fatal(err)
	}
	s, db, err := open(t.Context(), cfg, cfg.BaseURLAt(nil), true, store.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do(s)
}

// withStore runs a function with the store of a database.
func withStore(t testing.TB, database string, do func(db *store.Store)) {
	t.Helper()
	db, err := store.Open(t.Context(), database, store.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do(db)
}

func size(t testing.TB, database string) (e store.Extent) {
	t.Helper()
	withStore(t, database, func(db *store.Store) {
		var err error
		if e, err = extent(t.Context(), db, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
	})
	return e
}

func update(t testing.TB, s *service.Service, typ, id, members string) {
	t.Helper()
	body := fmt.Sprintf(`{"resourceType":%q,"id":%q%s}`, typ, id, members)
	if _, err := s.Update(t.Context(), service.Anonymous, typ, id, []byte(body), service.Preconditions{}); err != nil {
		t.Fatal(err)
	}
}

// newSite makes a database with everything that a site can have: operations and the plans
// derived from them, versions, deletions, what was made again, odd texts, large resources.
func newSite(t testing.TB, database string) {
	t.Helper()
	withService(t, database, func(s *service.Service) {
		l := &loader{service: s, report: t.Output()}
		files, err := filepath.Glob("testdata/surgery/*.json")
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, file := range files {
			if err := l.file(t.Context(), file); err != nil {
				t.Fatal(err)
			}
		}
		if l.refused > 0 || l.created == 0 {
			t.Fatalf("loaded %s", l.tally)
		}
		if _, err := s.Create(t.Context(), service.Anonymous, "Patient", []byte(`{"resourceType":"Patient","gender":"other"}`), ""); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			update(t, s, "Patient", "changed", fmt.Sprintf(`,"multipleBirthInteger":%d`, i))
		}
		for range 2 {
			update(t, s, "Patient", "reborn", `,"active":true`)
			if _, err := s.Delete(t.Context(), service.Anonymous, "Patient", "reborn", service.Preconditions{}); err != nil {
				t.Fatal(err)
			}
		}
		update(t, s, "Patient", "reborn", `,"active":false`)
		update(t, s, "Patient", "gone.1-", "")
		if _, err := s.Delete(t.Context(), service.Anonymous, "Patient", "gone.1-", service.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		update(t, s, "Patient", "odd", `,"name":[{"family":"<&>\u2028\u00e9\\/\"\/ 🦿 e\u0301 \ud83e\uddbf"}],"extension":[{"url":"urn:x","valueDecimal":1.50e0}]`)
		update(t, s, "Observation", "large", `,"status":"final","code":{"text":"x"},"note":[{"text":"`+strings.Repeat("long é ", 1<<17)+`"},{"text":"`+strings.Repeat("é", 1<<19)+`"}]`)
		update(t, s, "Patient", "last", "")
	})
}

// cursors differ between databases, for each signs with a key of its own.
var cursors = regexp.MustCompile(`_cursor=[^"&]*`)

// answers is what a service says of its whole database.
func answers(t testing.TB, database string) map[string]string {
	t.Helper()
	out := map[string]string{}
	withService(t, database, func(s *service.Service) {
		follow := func(name string, ask func(pairs []search.Pair) ([]byte, error), pairs []search.Pair) {
			for page := 0; pairs != nil; page++ {
				body, err := ask(pairs)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				out[fmt.Sprint(name, " page ", page)] = cursors.ReplaceAllString(string(body), "")
				n, err := fhir.Parse(body)
				if err != nil {
					t.Fatal(err)
				}
				pairs = nil
				for _, link := range n.Each("link") {
					if link.Str("relation") == "next" {
						_, query, _ := strings.Cut(link.Str("url"), "?")
						if pairs, err = search.ParsePairs(query); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		follow("history", func(pairs []search.Pair) ([]byte, error) {
			return s.History(t.Context(), service.Anonymous, "", "", pairs)
		}, []search.Pair{{Name: "_count", Value: "37"}})
		for _, typ := range fhir.StoredTypes() {
			for _, query := range []string{"_count=11", "_lastUpdated=gt2026-01-01&_count=50"} {
				pairs, err := search.ParsePairs(query)
				if err != nil {
					t.Fatal(err)
				}
				follow(typ.Name+"?"+query, func(pairs []search.Pair) ([]byte, error) {
					return s.Search(t.Context(), service.Anonymous, typ.Name, pairs, false)
				}, pairs)
			}
		}
		for _, query := range []string{
			"CarePlan?patient.identifier=https://fhir.nhs.uk/Id/nhs-number|9990001170", "Task?status=requested", "Observation?status=final",
			"Patient?family=<>é", "Procedure?date=ge2026-01-01", "Provenance?target:missing=false", "Task?patient:missing=false",
		} {
			typ, query, _ := strings.Cut(query, "?")
			pairs, err := search.ParsePairs(query)
			if err != nil {
				t.Fatal(err)
			}
			follow(typ+"?"+query, func(pairs []search.Pair) ([]byte, error) {
				return s.Search(t.Context(), service.Anonymous, typ, pairs, false)
			}, pairs)
		}
		for _, id := range []string{"changed", "reborn", "gone.1-", "odd"} {
			for version := range 7 {
				r, err := s.VRead(t.Context(), service.Anonymous, "Patient", id, fmt.Sprint(version))
				out[fmt.Sprint(id, version)] = fmt.Sprintf("%v %+v", err, r)
			}
			r, err := s.Read(t.Context(), service.Anonymous, "Patient", id)
			out[id] = fmt.Sprintf("%v %+v", err, r)
		}
	})
	return out
}

func TestMovedSiteAnswersTheSame(t *testing.T) {
	for _, from := range databases {
		for _, to := range databases {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				source, target, folder := from.new(t), to.new(t), filepath.Join(t.TempDir(), "a", "out")
				newSite(t, source)
				said := must(t, source, "export", "--part-size", "1", folder)
				all := size(t, source)
				if want := fmt.Sprintf("%d versions of %d resources, %d of them new, in 3 files", all.Versions, all.Resources, all.Versions); !strings.Contains(said, want) {
					t.Errorf("no %q in %s", want, said)
				}
				said = must(t, target, "load", folder)
				if !strings.Contains(said, "verified") || strings.Count(said, fmt.Sprintf("%d versions, sha256 ", all.Versions)) != 2 {
					t.Errorf("load says %s", said)
				}
				if diff := cmp.Diff(answers(t, source), answers(t, target)); diff != "" {
					t.Errorf("-source +target:\n%s", diff)
				}
				moved := size(t, target)
				if moved.Last = all.Last; moved != all {
					t.Errorf("the target has %+v after its start, the source %+v", moved, all)
				}

				again := filepath.Join(t.TempDir(), "again")
				must(t, target, "export", again)
				if diff := cmp.Diff(archiveBytes(t, folder), archiveBytes(t, again)); diff != "" {
					t.Errorf("exported again it is another: %s", diff)
				}
				if said := must(t, target, "load", folder); !strings.Contains(said, "verified") {
					t.Errorf("loaded again: %s", said)
				}
				if now := size(t, target); now.Versions != all.Versions {
					t.Errorf("loaded again it has %d versions of %d", now.Versions, all.Versions)
				}
			})
		}
	}
}

// archiveBytes is the content of all parts.
func archiveBytes(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "part-*.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, file := range files {
		b.WriteString(read(t, file))
	}
	return b.String()
}

func TestLinesAreThoseOfTheHistory(t *testing.T) {
	source, folder := newSQLite(t), t.TempDir()
	newSite(t, source)
	must(t, source, "export", folder)
	var want []string
	withService(t, source, func(s *service.Service) {
		body, err := s.History(t.Context(), service.Anonymous, "", "", []search.Pair{{Name: "_count", Value: "1000"}})
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range n.Each("entry") {
			want = append(want, string(e.Raw))
		}
	})
	slices.Reverse(want)
	got := strings.Split(strings.TrimSuffix(archiveBytes(t, folder), "\n"), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-history +lines:\n%s", diff)
	}
}

func TestArchiveIsForItsOwnerAlone(t *testing.T) {
	source, folder := newSQLite(t), filepath.Join(t.TempDir(), "out")
	newSite(t, source)
	must(t, source, "export", folder)
	if err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestExportAgainAddsWhatIsNew(t *testing.T) {
	for _, db := range databases {
		t.Run(db.name, func(t *testing.T) {
			source, target, folder := db.new(t), db.new(t), t.TempDir()
			newSite(t, source)
			must(t, source, "export", folder)
			first := archiveBytes(t, folder)
			if said := must(t, source, "export", folder); !strings.Contains(said, " 0 of them new") || archiveBytes(t, folder) != first {
				t.Errorf("a second export without changes: %s", said)
			}
			must(t, target, "load", folder)
			withService(t, source, func(s *service.Service) {
				update(t, s, "Patient", "changed", `,"active":true`)
				update(t, s, "Patient", "late", "")
			})
			if said := must(t, source, "export", folder); !strings.Contains(said, " 2 of them new") || !strings.HasPrefix(archiveBytes(t, folder), first) {
				t.Errorf("an export after two changes: %s", said)
			}
			must(t, target, "load", folder)
			if diff := cmp.Diff(answers(t, source), answers(t, target)); diff != "" {
				t.Errorf("-source +target:\n%s", diff)
			}
			t.Run("a site that went on has all of it and more", func(t *testing.T) {
				withService(t, target, func(s *service.Service) { update(t, s, "Patient", "here", "") })
				if said := must(t, target, "load", folder); !strings.Contains(said, "and 1 versions that came later") || !strings.Contains(said, "verified") {
					t.Errorf("load says %s", said)
				}
			})
			t.Run("but what went on elsewhere does not fit any more", func(t *testing.T) {
				withService(t, source, func(s *service.Service) { update(t, s, "Patient", "there", "") })
				must(t, source, "export", folder)
				before := size(t, target)
				refused(t, "not the beginning of the export", target, "load", folder)
				if now := size(t, target); now != before {
					t.Errorf("it went from %+v to %+v", before, now)
				}
			})
		})
	}
}

func TestExportBesideARunningService(t *testing.T) {
	for _, db := range databases {
		t.Run(db.name, func(t *testing.T) {
			source, folder := db.new(t), t.TempDir()
			newSite(t, source)
			withService(t, source, func(s *service.Service) {
				stop, ended := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(ended)
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
							body := fmt.Appendf(nil, `{"resourceType":"Patient","id":"w%d"}`, i%7)
							if i%2 == 0 {
								body = fmt.Appendf(nil, `{"resourceType":"Patient","id":"w%d","active":true}`, i%7)
							}
							if _, err := s.Update(t.Context(), service.Anonymous, "Patient", fmt.Sprint("w", i%7), body, service.Preconditions{}); err != nil {
								t.Error(err)
								return
							}
						}
					}
				}()
				for range 5 {
					must(t, source, "export", folder)
				}
				close(stop)
				<-ended
			})
			said := must(t, source, "export", folder)
			if want := fmt.Sprintf("%d versions of", size(t, source).Versions); !strings.Contains(said, want) {
				t.Errorf("no %q in %s", want, said)
			}
			target := db.new(t)
			must(t, target, "load", folder)
			whole := t.TempDir()
			must(t, source, "export", whole)
			if archiveBytes(t, whole) != archiveBytes(t, folder) {
				t.Error("the export in steps is not that in one go")
			}
		})
	}
}

func TestExportRefuses(t *testing.T) {
	source := newSQLite(t)
	withService(t, source, func(*service.Service) {})
	folder := t.TempDir()
	must(t, source, "export", folder)

	t.Run("a folder with something else", func(t *testing.T) {
		folder := t.TempDir()
		write(t, filepath.Join(folder, "letter.txt"), "hello")
		refused(t, "letter.txt", source, "export", folder)
		if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
			t.Errorf("it holds %v, %v", left, err)
		}
	})
	t.Run("a folder with parts that no manifest names", func(t *testing.T) {
		folder := t.TempDir()
		write(t, filepath.Join(folder, "part-000001.ndjson"), "hello")
		refused(t, "part-000001.ndjson", source, "export", folder)
	})
	t.Run("a manifest of something else", func(t *testing.T) {
		folder := t.TempDir()
		write(t, filepath.Join(folder, manifestName), `{"name":"web page"}`)
		refused(t, "not the manifest of an export", source, "export", folder)
	})
	t.Run("a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		write(t, path, "hello")
		refused(t, path, source, "export", path)
	})
	t.Run("a database that is not there, and does not make it", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none.db")
		folder := filepath.Join(t.TempDir(), "out")
		refused(t, "AFTERCARE_DATABASE", "sqlite:"+path, "export", folder)
		for _, path := range []string{path, folder} {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s was made", path)
			}
		}
	})
	t.Run("an empty database", func(t *testing.T) {
		database := newSQLite(t)
		must(t, database, "migrate")
		refused(t, "the database is empty", database, "export", filepath.Join(t.TempDir(), "out"))
	})
	t.Run("to add to the export of another database", func(t *testing.T) {
		other := newSQLite(t)
		withService(t, other, func(s *service.Service) { update(t, s, "Patient", "a", "") })
		refused(t, "another database", other, "export", folder)
	})
	t.Run("to add to an export with another base", func(t *testing.T) {
		var stderr bytes.Buffer
		environ := []string{"AFTERCARE_DATABASE=" + source, "AFTERCARE_BASE_URL=https://fhir.example/r4", "AFTERCARE_LOG_LEVEL=error"}
		if code := run(t.Context(), []string{"export", folder}, environ, io.Discard, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "https://fhir.example/r4") {
			t.Errorf("%d: %s", code, stderr.String())
		}
	})
	t.Run("to add to a damaged export", func(t *testing.T) {
		folder := t.TempDir()
		must(t, source, "export", folder)
		flip(t, filepath.Join(folder, "part-000001.ndjson"), 1000)
		refused(t, "part-000001.ndjson was changed", source, "export", folder)
	})
	t.Run("to write beside another export", func(t *testing.T) {
		folder := t.TempDir()
		x, err := openArchive(t.Context(), folder, "http://h/fhir")
		if err != nil {
			t.Fatal(err)
		}
		x.partSize, x.progress = 1<<20, newProgress(io.Discard, "", 0, 1)
		if err := x.add(1, []byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		other, err := openArchive(t.Context(), folder, "http://h/fhir") // removes the unfinished part of x
		if err != nil {
			t.Fatal(err)
		}
		if err := x.finish(); err == nil {
			t.Error("the first goes on without its part")
		}
		other.partSize, other.progress = x.partSize, x.progress
		if err := other.add(1, []byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		if err := other.finish(); err != nil {
			t.Fatal(err)
		}
		if err := x.save(true); err == nil {
			t.Error("the first replaces the manifest of the second")
		}
	})
}

func TestExportRemovesWhatWasLeftUnfinished(t *testing.T) {
	source, folder := newSQLite(t), t.TempDir()
	withService(t, source, func(*service.Service) {})
	write(t, filepath.Join(folder, "manifest.json.1"+unfinished), "{") // killed before it had begun
	must(t, source, "export", folder)
	whole := archiveBytes(t, folder)
	withService(t, source, func(s *service.Service) { update(t, s, "Patient", "a", "") })
	for _, name := range []string{"part-000002.ndjson.77" + unfinished, "part-000002.ndjson", "manifest.json.1" + unfinished} {
		write(t, filepath.Join(folder, name), `{"half`)
	}
	must(t, source, "export", folder)
	if got := archiveBytes(t, folder); !strings.HasPrefix(got, whole) || strings.Contains(got, `{"half`) || strings.Count(got[len(whole):], "\n") != 1 {
		t.Errorf("after the first export come %q", got[len(whole):])
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 3 {
		t.Errorf("it holds %v, %v", left, err)
	}
}

// reseal changes the manifest of an archive so that it is again in itself right.
func reseal(t testing.TB, folder string, change func(m *manifest)) {
	t.Helper()
	m, err := readManifest(folder)
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	text, err := m.seal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, manifestName), string(text))
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(t testing.TB, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	write(t, path, string(b))
}

func TestLoadRefusesADamagedArchive(t *testing.T) {
	source, whole := newSQLite(t), filepath.Join(t.TempDir(), "whole")
	newSite(t, source)
	must(t, source, "export", "--part-size", "1", whole)
	// rewrite changes the second part, and makes all hashes right again.
	rewrite := func(t *testing.T, folder, old, new string) {
		path := filepath.Join(folder, "part-000001.ndjson")
		content := read(t, path)
		changed := strings.Replace(content, old, new, 1)
		if changed == content {
			t.Fatalf("there is no %s", old)
		}
		write(t, path, changed)
		reseal(t, folder, func(m *manifest) {
			m.Parts[0].Bytes, m.Parts[0].SHA256 = int64(len(changed)), sum([]byte(changed))
			m.SHA256 = sum([]byte(archiveBytes(t, folder)))
		})
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, folder string)
		why    string
		writes bool // found only while it is read
	}{
		"a flipped byte":  {func(t *testing.T, f string) { flip(t, filepath.Join(f, "part-000002.ndjson"), 5000) }, "part-000002.ndjson was changed", false},
		"a missing part":  {func(t *testing.T, f string) { os.Remove(filepath.Join(f, "part-000002.ndjson")) }, "part-000002.ndjson is missing", false},
		"a part cut off":  {func(t *testing.T, f string) { os.Truncate(filepath.Join(f, "part-000002.ndjson"), 9000) }, "part-000002.ndjson is cut short", false},
		"an empty part":   {func(t *testing.T, f string) { os.Truncate(filepath.Join(f, "part-000001.ndjson"), 0) }, "part-000001.ndjson is cut short", false},
		"a line too many": {func(t *testing.T, f string) { appendTo(t, filepath.Join(f, "part-000003.ndjson"), "{}\n") }, "part-000003.ndjson was changed", false},
		"swapped parts": {func(t *testing.T, f string) {
			a, b := filepath.Join(f, "part-000001.ndjson"), filepath.Join(f, "part-000003.ndjson")
			first, third := read(t, a), read(t, b)
			write(t, a, third)
			write(t, b, first)
		}, "part-000001.ndjson ", false},
		"an edited manifest": {func(t *testing.T, f string) {
			path := filepath.Join(f, manifestName)
			write(t, path, strings.Replace(read(t, path), "127.0.0.1", "127.0.0.2", 1))
		}, "manifest.json was changed", false},
		"an unknown member in the manifest": {func(t *testing.T, f string) {
			path := filepath.Join(f, manifestName)
			write(t, path, strings.Replace(read(t, path), `"complete"`, `"encrypted": true, "complete"`, 1))
		}, "manifest.json was changed", false},
		"a manifest cut off":       {func(t *testing.T, f string) { os.Truncate(filepath.Join(f, manifestName), 300) }, "manifest.json is not the manifest", false},
		"no manifest":              {func(t *testing.T, f string) { os.Remove(filepath.Join(f, manifestName)) }, "without manifest.json", false},
		"a later format":           {func(t *testing.T, f string) { reseal(t, f, func(m *manifest) { m.FormatVersion++ }) }, "format version 2", false},
		"an interrupted export":    {func(t *testing.T, f string) { reseal(t, f, func(m *manifest) { m.Complete = false }) }, "interrupted", false},
		"wrong totals":             {func(t *testing.T, f string) { reseal(t, f, func(m *manifest) { m.Versions++ }) }, "manifest.json: its totals", false},
		"parts in another order":   {func(t *testing.T, f string) { reseal(t, f, func(m *manifest) { slices.Reverse(m.Parts) }) }, "manifest.json: its totals", false},
		"a part that is forgotten": {func(t *testing.T, f string) { reseal(t, f, func(m *manifest) { m.Parts = m.Parts[:1] }) }, "manifest.json: its totals", false},
		"a part elsewhere": {func(t *testing.T, f string) {
			reseal(t, f, func(m *manifest) { m.Parts[0].File = "../part-000001.ndjson" })
		}, "manifest.json names", false},
		"another version in a line": {func(t *testing.T, f string) { rewrite(t, f, `W/\"1\"`, `W/\"2\"`) }, "part-000001.ndjson: line 1: ", true},
		"a line with more in it":    {func(t *testing.T, f string) { rewrite(t, f, `{"fullUrl"`, `{"id":"x","fullUrl"`) }, "part-000001.ndjson: line 1: ", true},
		"another base": {func(t *testing.T, f string) {
			rewrite(t, f, `"fullUrl":"http://127.0.0.1`, `"fullUrl":"http://127.0.0.9`)
		}, "part-000001.ndjson: line 1: ", true},
		"another type":            {func(t *testing.T, f string) { rewrite(t, f, `"resourceType":"`, `"resourceType":"X`) }, "part-000001.ndjson: line 1: ", true},
		"a status that is not so": {func(t *testing.T, f string) { rewrite(t, f, `"201 Created"`, `"200 OK"`) }, "does not hold what the export holds", true},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(folder, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			c.damage(t, folder)
			path := filepath.Join(t.TempDir(), "new.db")
			refused(t, c.why, "sqlite:"+path, "load", folder)
			if _, err := os.Stat(path); (err == nil) != c.writes {
				t.Errorf("the database: %v", err)
			}
		})
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, read(t, path)+text)
}

func TestLoadRefusesADatabaseWithSomethingElse(t *testing.T) {
	source, folder := newSQLite(t), t.TempDir()
	newSite(t, source)
	must(t, source, "export", folder)
	for name, fill := range map[string]func(s *service.Service){
		"the definitions of a service": func(*service.Service) {},
		"another patient":              func(s *service.Service) { update(t, s, "Patient", "other", "") },
	} {
		for _, db := range databases {
			t.Run(name+" on "+db.name, func(t *testing.T) {
				target := db.new(t)
				withService(t, target, fill)
				before := size(t, target)
				refused(t, fmt.Sprintf("the database holds %d versions of %d resources", before.Versions, before.Resources), target, "load", folder)
				if now := size(t, target); now != before {
					t.Errorf("it went from %+v to %+v", before, now)
				}
			})
		}
	}
	t.Run("files beside the folder", func(t *testing.T) {
		refused(t, "load it alone", newSQLite(t), "load", "testdata/surgery/single-stage-femur-left.json", folder)
	})
}

// What else writes meanwhile is noticed before anything is mixed.
func TestLoadNoticesAnotherWriter(t *testing.T) {
	source, folder := newSQLite(t), t.TempDir()
	withService(t, source, func(*service.Service) {})
	must(t, source, "export", folder)
	withStore(t, newSQLite(t), func(db *store.Store) {
		m, err := readManifest(folder)
		if err != nil {
			t.Fatal(err)
		}
		registry, err := service.Registry(nil)
		if err != nil {
			t.Fatal(err)
		}
		r := &restorer{db: db, manifest: m, lines: &archiveLines{folder: folder, parts: m.Parts}, registry: registry, cfg: config.Config{Zone: time.UTC}}
		defer r.lines.close()
		if _, err := r.skip(t.Context()); err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse([]byte(`{"resourceType":"Patient"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Put(ctx, fhir.NewDraft(n), "a", time.Now(), "PUT", nil)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.all(t.Context()); err == nil || !strings.Contains(err.Error(), "something else writes") {
			t.Errorf("the error is %v", err)
		}
		if e, err := extent(t.Context(), db, math.MaxInt64); err != nil || e.Versions != 1 {
			t.Errorf("it holds %+v, %v", e, err)
		}
	})
}

// newLargeSite makes a database that takes a while to export and to load.
func newLargeSite(t testing.TB, database string) {
	t.Helper()
	withStore(t, database, func(db *store.Store) {
		text := strings.Repeat("0123456789abcdef", 12<<10)
		for i := range 40 {
			if err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				for j := range 10 {
					n, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","language":"%s"}`, text))
					if err != nil {
						return err
					}
					if _, err := tx.Put(ctx, fhir.NewDraft(n), fmt.Sprint("p", i, "-", j%7), time.Now(), "PUT", nil); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// interrupt runs the program as a process, waits until it is in the middle, and sends it a
// signal. It returns what it said.
func interrupt(t *testing.T, signal syscall.Signal, inTheMiddle func() bool, database string, args ...string) string {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0], args...)
	var stderr syncBuffer
	process.Stderr = &stderr
	process.Env = []string{asProgram + "=1", "AFTERCARE_DATABASE=" + database, "AFTERCARE_LOG_LEVEL=error"}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !inTheMiddle(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("it did not begin")
			break
		}
	}
	if err := process.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	err := process.Wait()
	if status := process.ProcessState.Sys().(syscall.WaitStatus); signal == syscall.SIGKILL && status.Signal() != syscall.SIGKILL || signal == syscall.SIGINT && status.ExitStatus() != exitFailed {
		t.Errorf("it ended with %v: %s", err, stderr.String())
	}
	return stderr.String()
}

func TestInterruptedExportAndLoadGoOn(t *testing.T) {
	source, whole := newSQLite(t), t.TempDir()
	newLargeSite(t, source)
	must(t, source, "export", whole)
	all := size(t, source)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run("export, "+signal.String(), func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "out")
			said := interrupt(t, signal, func() bool {
				_, err := os.Stat(filepath.Join(folder, "part-000003.ndjson"))
				return err == nil
			}, source, "export", "--part-size", "1", folder)
			if signal == syscall.SIGINT && !strings.Contains(said, "the same command goes on from there") {
				t.Errorf("it says %s", said)
			}
			kept := archiveBytes(t, folder)
			refused(t, "interrupted", newSQLite(t), "load", folder)
			must(t, source, "export", "--part-size", "1", folder)
			if got := archiveBytes(t, folder); got != archiveBytes(t, whole) || len(kept) == len(got) {
				t.Error("the export in two goes is not that in one")
			}
		})
		for _, db := range databases {
			t.Run("load into "+db.name+", "+signal.String(), func(t *testing.T) {
				target := db.new(t)
				withStore(t, target, func(watch *store.Store) {
					said := interrupt(t, signal, func() bool {
						e, err := extent(t.Context(), watch, math.MaxInt64)
						return err != nil || e.Versions > 0
					}, target, "load", whole)
					if signal == syscall.SIGINT && !strings.Contains(said, "the same command goes on from there") {
						t.Errorf("it says %s", said)
					}
				})
				if part := size(t, target); part.Versions == 0 || part.Versions == all.Versions {
					t.Errorf("it was not interrupted: %+v", part)
				}
				must(t, target, "load", whole)
				again := t.TempDir()
				must(t, target, "export", again)
				if archiveBytes(t, again) != archiveBytes(t, whole) {
					t.Error("what was loaded in two goes is not what was exported")
				}
			})
		}
	}
}

// FuzzParseVersion checks that a line is either refused or kept as it is.
func FuzzParseVersion(f *testing.F) {
	const base = "https://h.example/fhir"
	body := `{"resourceType":"Patient","id":"a","meta":{"versionId":"3","lastUpdated":"2026-03-02T11:45:00.123456Z"},"active":true}`
	at := time.Date(2026, 3, 2, 11, 45, 0, 123456000, time.UTC)
	for _, e := range []store.HistoryEntry{
		{Method: "PUT", Resource: &fhir.Resource{Type: "Patient", ID: "a", Version: 3, LastUpdated: at, Body: []byte(body)}},
		{Method: "POST", Created: true, Resource: &fhir.Resource{Type: "Patient", ID: "a", Version: 3, LastUpdated: at, Body: []byte(body)}},
		{Method: "DELETE", Resource: &fhir.Resource{Type: "Patient", ID: "a", Version: 3, LastUpdated: at, Deleted: true}},
	} {
		line, err := appendVersion(nil, base, e)
		if err != nil {
			f.Fatal(err)
		}
		got, _, err := parseVersion(line[:len(line)-1], base)
		if diff := cmp.Diff(e, got); err != nil || diff != "" {
			f.Fatalf("%v, -written +parsed: %s", err, diff)
		}
		f.Add(string(line[:len(line)-1]))
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, n, err := parseVersion([]byte(line), base)
		if err != nil {
			return
		}
		again, err := appendVersion(nil, base, e)
		if err != nil || string(again) != line+"\n" || !json.Valid(again) {
			t.Errorf("%q is kept as %q, %v", line, again, err)
		}
		if (n == nil) != e.Resource.Deleted || n != nil && n.Str("id") != e.Resource.ID {
			t.Errorf("%q is %+v", line, e)
		}
	})
}
