package postgrestest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Kill ends the server's first process with SIGKILL, and waits until the others have noticed and
// ended too. The data is kept for Restart.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	data := filepath.Join(s.folder, "data")
	pid, err := s.postmaster()
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Crash()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		left := runningIn(data)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %v of a server that was killed have not ended", left)
		}
	}
}

// postmaster is the process id of the server.
func (s *Server) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.folder, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// runningIn are the processes that work in a folder.
func runningIn(folder string) (pids []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is good
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == folder {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

// KillSession ends the server's process of one connection with SIGKILL, whose application_name is
// application. The server then ends all other connections, and recovers.
func (s *Server) KillSession(t testing.TB, application string) {
	t.Helper()
	pid, err := s.session(application)
	if err == nil && pid != 0 {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// session is the process id of a connection that does something, 0 if there is none.
func (s *Server) session(application string) (pid int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var c *pgx.Conn
	for { // it may be recovering from the session that was killed before
		if c, err = pgx.Connect(ctx, s.URL("postgres")); err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return 0, fmt.Errorf("find a session: %w", err)
	}
	defer c.Close(ctx)
	err = c.QueryRow(ctx, `SELECT coalesce((SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY state = 'active' DESC, random() LIMIT 1), 0)`,
		application).Scan(&pid)
	return pid, err
}
