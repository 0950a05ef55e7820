package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aftercare/service/store/postgrestest"
)

// asProgram makes the test binary behave as the program itself, so that signals can be
// sent to a process of its own.
const asProgram = "TEST_BINARY_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Unsetenv(asProgram)
		main()
	}
	os.Exit(m.Run())
}

// launch runs the program as a process and waits until it is ready.
func launch(t *testing.T, environ ...string) (process *exec.Cmd, base string) {
	t.Helper()
	process, p := spawn(t, "serve", environ...)
	return process, p.base(t)
}

// spawn runs a command of the program as a process.
func spawn(t *testing.T, command string, environ ...string) (*exec.Cmd, *started) {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0], command)
	p := &started{code: make(chan int)}
	process.Stderr = &p.stderr
	process.Env = append([]string{asProgram + "=1", "AFTERCARE_LISTEN=127.0.0.1:0"}, environ...)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	return process, p
}

// base waits until the process is ready.
func (p *started) base(t *testing.T) string {
	t.Helper()
	return p.waitFor(t, &p.stderr, `"msg":"ready","base":"([^"]+)"`)
}

func TestSignals(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String()+" ends it well", func(t *testing.T) {
			process, _ := launch(t, "AFTERCARE_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "a.db"))
			if err := process.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := process.Wait(); err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a second signal ends it at once", func(t *testing.T) {
		process, base := launch(t, "AFTERCARE_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "a.db"), "AFTERCARE_DRAIN_DELAY=1m")
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ready := strings.TrimSuffix(base, "/fhir") + "/readyz"
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if status, _ := get(t, ready); status == http.StatusServiceUnavailable {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the first signal had no effect")
			}
		}
		began := time.Now()
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := process.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// What was acknowledged is there after the process was killed.
func TestKilledProcessLosesNothing(t *testing.T) {
	onEachEngine(t, killedProcessLosesNothing)
}

// onEachEngine runs a test with the setting that names an empty database of each engine.
func onEachEngine(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "AFTERCARE_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "a.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, "AFTERCARE_DATABASE="+postgrestest.Database(t)) })
}

func TestMigrateAgainChangesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, database string) {
		for range 2 {
			var stderr bytes.Buffer
			if code := run(t.Context(), []string{"migrate"}, []string{database}, io.Discard, &stderr); code != exitOK {
				t.Errorf("%d: %s", code, stderr.String())
			}
		}
	})
}

// Processes that are started together on an empty database make its tables once, and put the
// definitions in once. A SQLite file has one service at a time.
func TestStartedTogether(t *testing.T) {
	onEachEngine(t, func(t *testing.T, database string) {
		services := 4
		if strings.HasPrefix(database, "AFTERCARE_DATABASE=sqlite:") {
			services = 1
		}
		const same = "AFTERCARE_BASE_URL=http://aftercare.example/fhir" // which replicas have
		type one struct {
			process *exec.Cmd
			*started
			address string
		}
		var serving, migrating []one
		for i := range 8 {
			if i < services {
				address := freeAddress(t)
				process, p := spawn(t, "serve", database, same, "AFTERCARE_LISTEN="+address)
				serving = append(serving, one{process, p, address})
			} else {
				process, p := spawn(t, "migrate", database)
				migrating = append(migrating, one{process, p, ""})
			}
		}
		for _, m := range migrating {
			if err := m.process.Wait(); err != nil {
				t.Errorf("migrate: %v: %s", err, m.stderr.String())
			}
		}
		for _, s := range serving {
			s.base(t)
			base := "http://" + s.address + "/fhir"
			if status, body := get(t, base+"/PlanDefinition/osseointegration-aftercare/_history"); status != http.StatusOK || !strings.Contains(body, `"total":1,`) {
				t.Errorf("the history of a definition: %d %.200s", status, body)
			}
			_, resources := get(t, base+"/PlanDefinition?_count=0")
			_, versions := get(t, base+"/PlanDefinition/_history?_count=0")
			if total(resources) != total(versions) || total(resources) < 2 {
				t.Errorf("%d PlanDefinitions have %d versions", total(resources), total(versions))
			}
		}
		for _, s := range serving {
			if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := s.process.Wait(); err != nil {
				t.Errorf("serve: %v: %s", err, s.stderr.String())
			}
		}
	})
}

// total is that of a Bundle, 0 if it has none.
func total(bundle string) int {
	_, rest, _ := strings.Cut(bundle, `"total":`)
	n, _ := strconv.Atoi(rest[:max(strings.IndexAny(rest, ",}"), 0)])
	return n
}

func TestMigrateBesideAService(t *testing.T) {
	onEachEngine(t, func(t *testing.T, database string) {
		process, base := launch(t, database)
		for range 2 {
			m, p := spawn(t, "migrate", database)
			if err := m.Wait(); err != nil {
				t.Errorf("%v: %s", err, p.stderr.String())
			}
			if status, body := get(t, strings.TrimSuffix(base, "/fhir")+"/readyz"); status != http.StatusOK {
				t.Errorf("%d %s", status, body)
			}
		}
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func killedProcessLosesNothing(t *testing.T, database string) {
	process, base := launch(t, database)
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/Patient/kept",
		strings.NewReader(`{"resourceType":"Patient","id":"kept","gender":"female"}`))
	if err != nil {
		t.Fatal(err)
	}
	put.Header.Set("Content-Type", "application/fhir+json")
	response, err := http.DefaultClient.Do(put)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("PUT: %d", response.StatusCode)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := process.Wait(); err == nil {
		t.Fatal("it was not killed")
	}

	again, base := launch(t, database)
	if status, body := get(t, base+"/Patient/kept"); status != http.StatusOK || !strings.Contains(body, `"gender":"female"`) {
		t.Errorf("%d %s", status, body)
	}
	if err := again.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := again.Wait(); err != nil {
		t.Error(err)
	}
}
