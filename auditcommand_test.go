package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aftercare/service/audit"
)

// audited runs commands on a database of its own, each of which the log has a record of.
func audited(t *testing.T) (command func(args string) (int, string, string), keys string) {
	t.Helper()
	keys = filepath.Join(t.TempDir(), "keys")
	environ := []string{"AFTERCARE_DATABASE=sqlite:" + filepath.Join(t.TempDir(), "a.db"), "AFTERCARE_BASE_URL=https://a.example/fhir", "AFTERCARE_KEYS=" + keys, "AFTERCARE_LOG_LEVEL=error"}
	return func(args string) (int, string, string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(args), environ, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}, keys
}

// The log is exported, verified in the database and offline, and each record is proven.
func TestAuditCommands(t *testing.T) {
	command, keys := audited(t)
	folder := t.TempDir()
	_, set := keyPair(t)
	whole, part, kept := filepath.Join(folder, "whole.ndjson"), filepath.Join(folder, "part.ndjson"), filepath.Join(folder, "kept.txt")
	public := filepath.Join(keys, "audit-key.pub")
	for _, step := range []struct {
		args string
		code int
		want string
	}{
		{"audit", 2, "give verify"},
		{"audit verify", 1, "the key of the checkpoints is not known"},
		{"audit keys " + keys, 0, "has the keys of the log a.example/fhir\na.example/fhir+"},
		{"audit keys " + keys, 0, "a.example/fhir+"},
		{"audit verify", 1, "no record in this database"},
		{"client add engine --scope system/Patient.rs --jwks " + set, 0, "registered"},
		{"audit export --out " + whole, 0, ""},
		{"audit export --out " + whole, 1, "exists"},
		{"audit verify", 0, "as it was written: 3 records, 2 of them in the tree"},
		{"audit verify --file " + whole, 0, "as it was written: 2 records"},
		{"audit verify --file " + whole + " --key " + public, 0, "as it was written"},
		{"audit verify --file " + whole + " --key other+00000000+AAAA", 1, "no verifier key"},
		{"audit verify --file " + public, 1, "no exported log"},
		{"audit verify --file none", 1, "none"},
		{"audit export --from 2000-01-01 --out " + part, 0, ""},
		{"audit verify --file " + part, 0, "4 records (from 2000-01-01), each of them in the log"},
		{"audit export --from yesterday", 2, "--from"},
		{"audit export --patient a_b", 2, "no id"},
		{"audit export --to 2000-01-01", 0, `"end":0`},
		{"audit export --agent nobody", 0, `"end":0`},
		{"audit export --patient p1", 0, `"end":1`}, // its own record
		{"audit prove 1", 0, "record 1 of a.example/fhir"},
		{"audit prove 1 --json", 0, `"filter":"record 1"`},
		{"audit prove x", 2, "no id"},
		{"audit erase --patient p1", 2, "--reason"},
		{"audit erase --reason asked", 2, "--patient"},
		{"audit erase --patient p2 --reason asked", 1, "No record"},
		{"audit erase --patient p1 --reason asked", 0, "1 records were erased; 0 of them"},
		{"audit verify", 0, "1 were erased as the log says"},
		{"audit prove 1000", 1, "no AuditEvent"},
	} {
		code, out, errs := command(step.args)
		if code != step.code || !strings.Contains(out+errs, step.want) {
			t.Errorf("%s: %d %s%s", step.args, code, out, errs)
		}
	}
	_, proof, _ := command("audit prove 2 --json")
	if err := os.WriteFile(filepath.Join(folder, "proof"), []byte(proof), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := command("audit verify --file " + filepath.Join(folder, "proof")); code != 0 || !strings.Contains(out, "1 records (record 2)") {
		t.Error(out, errs)
	}
	// A checkpoint of an export shows later that the log has only grown.
	var header audit.Line
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(bytes.SplitN(content, []byte("\n"), 2)[0], &header); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte(header.Header.Checkpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := command("audit verify --checkpoint " + kept); code != 0 || strings.Contains(out, "not checked") {
		t.Error(out, errs)
	}
	if code, _, errs := command("audit verify --checkpoint " + public); code != 1 || !strings.Contains(errs, "no checkpoint") {
		t.Error(errs)
	}
}

// Whatever is changed in an exported log is found.
func TestAnExportThatWasChangedIsRefused(t *testing.T) {
	command, _ := audited(t)
	for range 5 {
		command("audit export --patient p1")
	}
	folder := t.TempDir()
	changed := filepath.Join(folder, "changed")
	for filter, all := range map[string]bool{"": true, " --patient p1": false} {
		code, text, errs := command("audit export" + filter)
		if code != 0 {
			t.Fatal(errs)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
		verify := func(name string, lines ...string) {
			t.Helper()
			if err := os.WriteFile(changed, []byte(strings.Join(lines, "")), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, out, errs := command("audit verify --file " + changed); (code == 0) != (name == "as it is") {
				t.Errorf("%s%s: %d %s%s", name, filter, code, out, errs)
			}
		}
		without := func(i int) []string { return append(append([]string{}, lines[:i]...), lines[i+1:]...) }
		verify("as it is", lines...)
		verify("nothing")
		for i := range lines {
			if strings.HasPrefix(lines[i], `{"checkpoint"`) { // the more of them, the better; none has to be there
				continue
			}
			if all || i == 0 || i == len(lines)-1 {
				verify("without a line", without(i)...)
			}
			verify("a line twice", append(append([]string{}, lines[:i+1]...), lines[i:]...)...)
			for _, member := range []string{"leaf", "key", "recorded", "position", "proof", "end"} {
				place := regexp.MustCompile(`"` + member + `":\[?"?[^",]*`).FindStringIndex(lines[i])
				if place == nil || i == 0 {
					continue
				}
				at := place[1] - 8
				if member == "position" || member == "end" {
					at = place[1] - 1
					if lines[i][at] == '}' || lines[i][at] == '\n' {
						at = len(strings.TrimRight(lines[i], "}\n")) - 1
					}
				}
				other := "1"
				if lines[i][at] == '1' {
					other = "2"
				}
				line := lines[i][:at] + other + lines[i][at+1:]
				if line == lines[i] {
					t.Fatal("nothing was changed")
				}
				verify("another "+member, append(append(append([]string{}, lines[:i]...), line), lines[i+1:]...)...)
			}
		}
	}
}
