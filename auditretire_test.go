package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Records that are retired are in a file, which is verified, and not in the database any more; the log
// is verified as before.
func TestRecordsAreRetired(t *testing.T) {
	command, _ := audited(t)
	folder := t.TempDir()
	_, set := keyPair(t)
	try := func(args string, code int, want string) {
		t.Helper()
		got, out, errs := command(args)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%s: %d %s%s", args, got, out, errs)
		}
	}
	in := func(name string) string { return filepath.Join(folder, name) }
	now := func() string { return time.Now().UTC().Format(time.RFC3339Nano) }
	try("client add engine --scope system/Patient.rs --jwks "+set, 0, "registered")
	try("client revoke engine", 0, "revoked")
	first := now()
	try("audit retire", 2, "--before")
	try("audit retire --before tomorrow --out x --reason age", 2, "--before")
	try("audit retire --before 2999-01-01 --out x --reason age", 2, "yet to come")
	try("audit retire --before "+first+" --reason age", 2, "--out")
	try("audit retire --before "+first+" --out "+in("none"), 2, "--reason")
	try("audit retire --before 2000-01-01 --out "+in("none")+" --reason age", 1, "no record")
	if _, err := os.Stat(in("none")); err == nil {
		t.Error("a file without records is left")
	}
	try("audit retire --before "+first+" --out "+in("one")+" --reason age", 0, "records 1 to 2 were retired")
	try("audit verify", 0, "2 were erased as the log says")
	try("audit verify --file "+in("one"), 0, "2 were opened, 0 were erased")
	try("audit retire --before "+first+" --out "+in("two")+" --reason age", 1, "no record")
	try("audit retire --before "+now()+" --out "+in("one")+" --reason age", 1, "exists")
	try("audit retire --before "+now()+" --out "+in("two")+" --reason age", 0, "records 3 to ")
	try("audit verify", 0, "as it was written")
	try("audit verify --file "+in("two"), 0, "0 were erased")
	content, err := os.ReadFile(in("two"))
	if err != nil || strings.Contains(string(content), `"position":2,`) || !strings.Contains(string(content), `"position":3,`) {
		t.Errorf("%s %v", content, err)
	}
	// What was retired cannot be read there any more, and what was not can be.
	try("audit prove 1 --json", 0, `"position":1`)
	_, proof, _ := command("audit prove 1 --json")
	if strings.Contains(proof, `"key"`) || strings.Contains(proof, "AuditEvent\"") {
		t.Errorf("it can be read: %s", proof)
	}
}

// The file is checked with the keys that the service has, wherever they are.
func TestTheFileOfARetirementIsCheckedInFull(t *testing.T) {
	folder := t.TempDir()
	environ := []string{"AFTERCARE_DATABASE=sqlite:" + filepath.Join(folder, "a.db"), "AFTERCARE_LOG_LEVEL=error"}
	_, set := keyPair(t)
	command := func(args string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), environ, &stdout, &stderr); code != 0 || strings.Contains(stdout.String(), "not checked") {
			t.Errorf("%s: %d %s%s", args, code, stdout.String(), stderr.String())
		}
	}
	command("client add engine --scope system/Patient.rs --jwks " + set)
	command("audit retire --before " + time.Now().UTC().Format(time.RFC3339Nano) + " --out " + filepath.Join(folder, "one") + " --reason age")
}
