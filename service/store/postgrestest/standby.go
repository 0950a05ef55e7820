package postgrestest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby runs a copy of the server that follows it, until the test ends. It reaches the server at
// an address, which is s.Address() or that of a proxy. From then on the server answers a commit
// when the standby has it on disk too.
func (s *Server) Standby(t testing.TB, address string) *Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "aftercare-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := giveAway(folder); err != nil {
			t.Fatal(err)
		}
	}
	copied := &Server{folder: folder, bin: s.bin, settings: s.settings}
	if copied.port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	copied.tool(t, "pg_basebackup", "-R", "-c", "fast", "--no-sync", "-D", filepath.Join(folder, "data"),
		"-d", "postgres://postgres@"+address+"?sslmode=disable")
	if err := copied.run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(copied.Stop)
	s.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
	s.Exec(t, "postgres", "SELECT pg_reload_conf()")
	s.WaitFor(t, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
	return copied
}

// Promote makes a standby the primary, and returns when it takes writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.tool(t, "pg_ctl", "promote", "-w", "-D", filepath.Join(s.folder, "data"))
}

// tool runs one of PostgreSQL's programs.
func (s *Server) tool(t testing.TB, name string, args ...string) {
	t.Helper()
	args = append([]string{filepath.Join(s.bin, name)}, args...)
	if os.Getuid() == 0 {
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	c := exec.CommandContext(t.Context(), args[0], args[1:]...)
	c.Dir = s.folder
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// WaitFor waits until a query gives true, for a minute at most.
func (s *Server) WaitFor(t testing.TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for holds := false; !holds; time.Sleep(10 * time.Millisecond) {
		if err := c.QueryRow(ctx, text).Scan(&holds); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}
