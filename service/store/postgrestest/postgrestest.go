// Package postgrestest runs throw-away PostgreSQL servers for tests. A server ends with the
// process that has started it, however that ends, and leaves nothing behind.
package postgrestest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// errMissing says that PostgreSQL is not installed.
var errMissing = errors.New("PostgreSQL 14 or later is not installed (see scripts/test-needs)")

// Server is a running server. It listens on a port of this machine and in its own folder.
type Server struct {
	folder, bin string
	port        int
	settings    []string

	life    *os.File // while it is open, the server runs
	process *exec.Cmd
}

var shared = struct {
	once   sync.Once
	server *Server
	err    error
	said   sync.Once
}{}

// Database makes what is an empty database to a store, and drops it when the test ends: a schema
// of its own, which costs a hundredth of a database, on a server that all tests of the process
// share. It returns its URL. The server does not sync to disk; it could lose data if the
// machine stopped, and in no other case.
//
// Without PostgreSQL the test is skipped, or fails where the environment has CI set.
func Database(t testing.TB) string {
	t.Helper()
	common(t)
	name := schema(t)
	t.Cleanup(func() {
		shared.server.Exec(t, "postgres", "SET client_min_messages = warning; DROP SCHEMA "+name+" CASCADE")
	})
	return inSchema(name)
}

// common starts the server that all tests share.
func common(t testing.TB) {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = start("fsync=off", "full_page_writes=off") })
	need(t, shared.err)
}

func schema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", names.Add(1))
	shared.server.Exec(t, "postgres", "CREATE SCHEMA "+name)
	return name
}

func inSchema(name string) string {
	return shared.server.URL("postgres") + "&search_path=" + name
}

// Start runs a server of its own until the test ends, with settings such as "fsync=on".
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := start(settings...)
	need(t, err)
	t.Cleanup(s.Stop)
	return s
}

func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errMissing) && os.Getenv("CI") == "":
		shared.said.Do(func() { fmt.Fprintln(os.Stderr, "postgrestest:", err, "- its tests are skipped") })
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

// script runs a server as long as its standard input is open, and removes the folder at the end.
const script = `
trap '' INT TERM HUP
bin=$1 folder=$2 port=$3
shift 3
if [ ! -e "$folder/data" ]; then
	"$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1 || exit 1
fi
"$bin/postgres" -D "$folder/data" -k "$folder" -p "$port" -c listen_addresses=127.0.0.1 "$@" >>"$folder/log" 2>&1 </dev/null &
read -r how
kill -QUIT $! 2>/dev/null
wait $!
[ "$how" = keep ] || rm -rf "$folder"
`

func start(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "aftercare-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, bin: bin, settings: settings}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		if err := giveAway(folder); err != nil {
			return nil, err
		}
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.run()
}

// binaries is the folder of the newest PostgreSQL.
func binaries() (string, error) {
	best, folder := 13, ""
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is good
	for _, path := range found {
		dir := filepath.Dir(path)
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && n > best {
			best, folder = n, dir
		}
	}
	if folder != "" {
		return folder, nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errMissing
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

func giveAway(folder string) error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	return os.Chown(folder, uid, -1)
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// run starts the server and waits until it answers.
func (s *Server) run() error {
	args := []string{"sh", "-c", script, "postgrestest", s.bin, s.folder, strconv.Itoa(s.port)}
	for _, setting := range append([]string{"max_connections=300", "shared_buffers=64MB", "timezone=Asia/Kathmandu"}, s.settings...) {
		args = append(args, "-c", setting)
	}
	if os.Getuid() == 0 {
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	reads, writes, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reads.Close()
	c := exec.CommandContext(context.Background(), args[0], args[1:]...) // it ends when life closes
	c.Dir = s.folder
	c.Stdin = reads
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // keys pressed in a terminal are not for it
	if err := c.Start(); err != nil {
		return errors.Join(err, writes.Close())
	}
	s.life, s.process = writes, c

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		admin, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return admin.Close(ctx)
		}
		if ended, _ := syscall.Wait4(c.Process.Pid, nil, syscall.WNOHANG, nil); ended != 0 || ctx.Err() != nil {
			text := s.log()
			s.Stop()
			return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// URL is that of a database of the server, over a socket in its folder.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%d", database, s.folder, s.port)
}

// Address is where the server listens, host:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Stop ends the server at once, as a crash does, and removes its data.
func (s *Server) Stop() {
	s.end("")
	_ = os.RemoveAll(s.folder) // where it has crashed before and was not started again
}

// Crash ends the server at once and keeps its data for Restart.
func (s *Server) Crash() { s.end("keep\n") }

func (s *Server) end(how string) {
	_, _ = s.life.WriteString(how) // it may have ended already
	_ = s.life.Close()
	_ = s.process.Wait() // it says how a shell has ended, which says nothing
}

// Restart starts the server again after Crash, with the same data and address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

var names atomic.Int64

// Database makes an empty database and drops it when the test ends. It returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", names.Add(1))
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	t.Cleanup(func() { s.Exec(t, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return s.URL(name)
}

// Exec runs a statement in a database as the superuser.
func (s *Server) Exec(t testing.TB, database, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := c.Exec(ctx, text); err != nil {
		t.Errorf("%s: %v", strings.SplitN(text, "\n", 2)[0], err)
	}
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

// RunTwice runs all tests of a package, and once more with database, which makes a database for a
// test, changed to one on PostgreSQL that fill has been run on, or to Database if fill is nil. It
// returns the exit code. What is fuzzed is so on the first engine alone, and so is all with -short.
func RunTwice(m *testing.M, database *func(testing.TB) string, fill func(url string) error) int {
	flag.Parse()
	code := m.Run()
	if code == 0 && !testing.Short() && flag.Lookup("test.fuzz").Value.String() == "" && flag.Lookup("test.list").Value.String() == "" {
		fmt.Println("once more, on PostgreSQL")
		*database = Database
		if fill != nil {
			*database = Filled(fill)
		}
		code = m.Run()
	}
	return code
}
