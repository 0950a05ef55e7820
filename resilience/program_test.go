package resilience

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the program, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "aftercare-resilience-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "aftercare")
	build := exec.Command("go", "build", "-o", binary, "aftercare")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	// They wait more than they compute: for a lease to end, for a server to come up.
	flag.Parse()
	if err := flag.Set("test.parallel", "5"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// base is the public FHIR base of every process, whatever its address, so that what one has
// stored means the same to the next.
const base = "http://aftercare.example/fhir"

// program is where the service runs: a process at a time, on a port of its own each time.
type program struct {
	environ []string

	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	exit    error
	address atomic.Value // of the process that runs, such as http://127.0.0.1:1234

	mu  sync.Mutex
	log []string // the last lines of all processes
}

// logged is how many lines of the log are kept for the report of a failure.
const logged = 40

// newProgram is a program that is not started. It is killed when the test ends.
func newProgram(t testing.TB, database string, environ ...string) *program {
	p := &program{environ: append([]string{
		"AFTERCARE_LISTEN=127.0.0.1:0", "AFTERCARE_BASE_URL=" + base, "AFTERCARE_DATABASE=" + database, "AFTERCARE_REQUEST_LIMIT=10s",
		"AFTERCARE_KEYS=" + filepath.Join(filepath.Dir(binary), "keys"),
	}, environ...)}
	p.address.Store("http://127.0.0.1:1") // nobody listens there
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the log ends with\n%s", p.tail())
		}
	})
	return p
}

// Lines of the log: that of the start, and those of requests.
var (
	readyLine   = regexp.MustCompile(`"msg":"ready"`)
	requestLine = regexp.MustCompile(`"msg":"request"`)
)

// launch starts a process and returns at once; ready gives the result, an error if it ended
// instead. command is what it is run by, such as prlimit, if anything.
func (p *program) launch(command ...string) (ready <-chan error, err error) {
	args := append(command, binary, "serve")
	c := exec.Command(args[0], args[1:]...)
	c.Env = p.environ
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c.Env = append(c.Env, "AFTERCARE_LISTEN=127.0.0.1:"+port)
	lines, err := c.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	p.process, p.ended = c, make(chan struct{})
	result := make(chan error, 1)
	go func(ended chan struct{}) {
		defer close(ended)
		scanner := bufio.NewScanner(lines)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			line := scanner.Text()
			if !requestLine.MatchString(line) || strings.Contains(line, `"status":500`) {
				p.keep(line)
			}
			if readyLine.MatchString(line) {
				p.address.Store("http://127.0.0.1:" + port)
				result <- nil
			}
		}
		p.exit = c.Wait()
		select {
		case result <- fmt.Errorf("it ended with %v: %s", p.exit, p.tail()):
		default:
		}
	}(p.ended)
	return result, nil
}

// start launches a process and waits until it is ready.
func (p *program) start(t testing.TB, command ...string) {
	t.Helper()
	ready, err := p.launch(command...)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ready:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("it is not ready after a minute: %s", p.tail())
	}
}

// restart launches a process until one gets ready, as whoever runs the program in earnest does: it
// ends where the database is not there yet.
func (p *program) restart(t testing.TB) {
	t.Helper()
	var last error
	for range 200 {
		ready, err := p.launch()
		if err != nil {
			t.Fatal(err)
		}
		if last = <-ready; last == nil {
			return
		}
		p.kill()
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(last)
}

// kill ends the process with SIGKILL, if one runs, and waits for its end.
func (p *program) kill() {
	if p.process == nil {
		return
	}
	_ = p.process.Process.Kill() // it may have ended by itself
	<-p.ended
	p.process = nil
}

// stop ends the process with SIGTERM, which must succeed.
func (p *program) stop(t testing.TB) {
	t.Helper()
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-p.ended
	if p.exit != nil {
		t.Errorf("it ended with %v", p.exit)
	}
	p.process = nil
}

// wait waits for a process that ends by itself, and returns its exit code.
func (p *program) wait(t testing.TB, most time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(most):
		t.Fatalf("it has not ended after %s", most)
	}
	p.process = nil
	var exit *exec.ExitError
	if errors.As(p.exit, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func (p *program) keep(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.log) == logged {
		p.log = p.log[1:]
	}
	p.log = append(p.log, line)
}

func (p *program) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

// eventually waits until is holds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("after a minute it is still not so that %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
