package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aftercare/config"
)

// The README's examples are run as a reader would run them: pasted into a shell, beside
// the demonstration.
func TestREADMEExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("curl is missing")
		}
		t.Skip("curl is not installed; make test installs it")
	}
	_, examples, found := strings.Cut(read(t, "README.md"), "\n## Examples\n")
	if !found {
		t.Fatal("the README has no section Examples")
	}
	examples, _, _ = strings.Cut(examples, "\n## ")

	p := start(t, []string{"demo"})
	base := p.waitFor(t, &p.stdout, `curl -s '(http://[^']+/fhir)/metadata'`)
	blocks := fenced.FindAllStringSubmatch(examples, -1)
	if len(blocks) < 4 || len(blocks)%2 != 0 {
		t.Fatalf("%d fenced blocks; each command needs what its answer contains", len(blocks))
	}
	for i := 0; i < len(blocks); i += 2 {
		command, answer := blocks[i], blocks[i+1]
		if command[1] != "sh" || answer[1] != "text" {
			t.Fatalf("blocks %d and %d are %s and %s, not sh and text", i, i+1, command[1], answer[1])
		}
		const shown = "http://127.0.0.1:8080/fhir"
		script := strings.ReplaceAll(command[2], shown, base)
		script = strings.ReplaceAll(script, strings.TrimSuffix(shown, "/fhir"), strings.TrimSuffix(base, "/fhir"))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		out, err := exec.CommandContext(ctx, "sh", "-euc", script).CombinedOutput()
		cancel()
		if err != nil {
			t.Errorf("%s\n%v: %s", command[2], err, out)
			continue
		}
		for line := range strings.Lines(answer[2]) {
			if line = strings.TrimSpace(line); !strings.Contains(string(out), line) {
				t.Errorf("%sanswers without %s:\n%s", command[2], line, out)
			}
		}
	}
}

var fenced = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// What the demonstration suggests works as it is printed.
func TestDemoSuggestions(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed; make test installs it")
	}
	p := start(t, []string{"demo"})
	p.waitFor(t, &p.stdout, "Serving until Ctrl-C")
	lines := regexp.MustCompile(`(?m)^  (curl .*)$`).FindAllStringSubmatch(p.stdout.String(), -1)
	if len(lines) < 5 {
		t.Fatalf("%d suggestions", len(lines))
	}
	for _, line := range lines {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", line[1]+" --fail").CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"resourceType":`) || strings.Contains(string(out), `"total":0`) ||
			strings.Contains(string(out), `"Bundle"`) && !strings.Contains(string(out), `"entry"`) {
			t.Errorf("%s: %v: %.300s", line[1], err, out)
		}
	}
}

// The README's table of settings is the one that the program knows.
func TestREADMEListsTheSettings(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| `(AFTERCARE_[A-Z_]+)` \\| (?:`([^`]*)`)? ?\\|").FindAllStringSubmatch(read(t, "README.md"), -1)
	var got, want []string
	for _, row := range rows {
		got = append(got, row[1]+"="+row[2])
	}
	for _, s := range config.Settings() {
		want = append(want, s.Name+"="+s.Default)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the README lists\n%s\nthe program knows\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Links in the documents lead to files that are there.
func TestDocumentsLinkToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d links, %v", found, err)
	}
}

// The Makefile's tasks and the commands of the README's table exist.
func TestREADMECommandsExist(t *testing.T) {
	readme := read(t, "README.md")
	makefile := read(t, "Makefile")
	for _, m := range regexp.MustCompile("make ([a-z]+)").FindAllStringSubmatch(readme, -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("there is no make %s", m[1])
		}
	}
	known := map[string]bool{}
	for _, c := range new(program).commands().Commands() {
		known[c.Name()] = true
	}
	listed := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `aftercare ([a-z]+)").FindAllStringSubmatch(readme, -1) {
		listed++
		if !known[m[1]] {
			t.Errorf("there is no command %s", m[1])
		}
	}
	if listed != len(known) {
		t.Errorf("the README lists %d commands of %d", listed, len(known))
	}
}

// The clinical safety document names each policy and only policies that there are, and its
// evidence is tests that there are.
func TestClinicalSafetyIsTrue(t *testing.T) {
	text := read(t, "docs/clinical-safety.md")
	var policies struct{ Concept []struct{ Code string } }
	if err := json.Unmarshal([]byte(read(t, "definitions/CodeSystem-policy.json")), &policies); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(text, -1) {
		listed[m[1]] = true
	}
	for _, c := range policies.Concept {
		if !listed[c.Code] {
			t.Errorf("policy %s is not listed", c.Code)
		}
		delete(listed, c.Code)
	}
	for code := range listed {
		t.Errorf("%s is listed as a policy and is none", code)
	}
	tests := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, path), -1) {
				tests[m[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(text, -1)
	if len(named) < 50 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("%s is no test", m[1])
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
