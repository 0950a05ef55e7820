package conformance

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A FHIR client library from npm, which nobody here has written, completes its work against
// the running service. The folder client has the script and the library's pinned version.
func TestClientLibrary(t *testing.T) {
	node := clientScripts(t)
	onEachEngine(t, func(t *testing.T, s *server) { node(t, "client.test.js", "BASE="+s.base) })
}

// clientScripts gives what runs a script of the folder client with its libraries. Without node or
// npm the test is skipped, but fails where CI is set; make test installs them.
func clientScripts(t *testing.T) func(t *testing.T, script string, environ ...string) {
	t.Helper()
	absent := func(why string) {
		t.Helper()
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			absent(program + " is not installed; make test installs it")
		}
	}
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("client")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	command := func(environ []string, name string, args ...string) ([]byte, error) {
		c := exec.CommandContext(ctx, name, args...)
		c.Dir = folder
		c.Env = append(os.Environ(), environ...)
		return c.CombinedOutput()
	}
	if out, err := command(nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"); err != nil {
		absent("npm ci: " + err.Error() + "\n" + string(out))
	}
	return func(t *testing.T, script string, environ ...string) {
		t.Helper()
		out, err := command(environ, "node", script)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s", out)
	}
}
