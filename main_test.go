package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestExitCodes(t *testing.T) {
	unused := "AFTERCARE_DATABASE=sqlite:" + filepath.Join(t.TempDir(), "a.db")
	for name, tc := range map[string]struct {
		args    []string
		environ []string
		code    int
		out     string // in stdout for code 0, else in stderr
	}{
		"help":                         {[]string{"--help"}, nil, 0, "demo"},
		"help of serve lists settings": {[]string{"serve", "--help"}, nil, 0, "AFTERCARE_BASE_URL"},
		"help of demo":                 {[]string{"demo", "--help"}, nil, 0, "--exit"},
		"help of load":                 {[]string{"load", "--help"}, nil, 0, "ndjson"},
		"help of load, folders":        {[]string{"load", "--help"}, nil, 0, "so load first"},
		"help of export":               {[]string{"export", "--help"}, nil, 0, "--part-size"},
		"export without a folder":      {[]string{"export"}, nil, 2, "accepts 1 arg"},
		"export to two folders":        {[]string{"export", "a", "b"}, nil, 2, "accepts 1 arg"},
		"export of parts of nothing":   {[]string{"export", "--part-size", "0", "a"}, nil, 2, "--part-size"},
		"export of no database":        {[]string{"export", "a"}, []string{"AFTERCARE_DATABASE=sqlite:none/a.db"}, 1, "AFTERCARE_DATABASE"},
		"load of a plain folder":       {[]string{"load", t.TempDir()}, []string{unused}, 1, "manifest.json"},
		"help of migrate":              {[]string{"migrate", "--help"}, nil, 0, "--config"},
		"help of reindex":              {[]string{"reindex", "--help"}, nil, 0, "--all"},
		"reindex":                      {[]string{"reindex", "--all"}, []string{unused}, 0, "indexed"},
		"reindex of no type":           {[]string{"reindex", "Nothing"}, []string{unused}, 1, "Nothing"},
		"reindex of all and one":       {[]string{"reindex", "--all", "Patient"}, nil, 2, "either"},
		"help of check":                {[]string{"check", "--help"}, nil, 0, "--live"},
		"help of version":              {[]string{"version", "--help"}, nil, 0, "version"},
		"version":                      {[]string{"version"}, nil, 0, "aftercare "},
		"version needs no settings":    {[]string{"version"}, []string{"AFTERCARE_LISTEN=x"}, 0, "aftercare "},
		"unknown command":              {[]string{"serv"}, nil, 2, `unknown command "serv"`},
		"unknown flag":                 {[]string{"serve", "--port", "1"}, nil, 2, "unknown flag"},
		"argument too many":            {[]string{"serve", "now"}, nil, 2, "aftercare:"},
		"load without files":           {[]string{"load"}, nil, 2, "at least 1"},
		"unacceptable setting":         {[]string{"serve"}, []string{"AFTERCARE_LISTEN=0.0.0.0:80"}, 2, "AFTERCARE_LISTEN"},
		"missing configuration file":   {[]string{"--config", "none.yaml"}, nil, 2, "none.yaml"},
		"migrate":                      {[]string{"migrate"}, []string{unused}, 0, "schema"},
		"PostgreSQL":                   {[]string{"migrate"}, []string{"AFTERCARE_DATABASE=postgres://u:hunter2@127.0.0.1:1/d"}, 1, "AFTERCARE_DATABASE"},
		"database that is a folder":    {[]string{"migrate"}, []string{"AFTERCARE_DATABASE=sqlite:" + t.TempDir()}, 1, "AFTERCARE_DATABASE"},
		"load of a missing file":       {[]string{"load", "none.json"}, []string{unused}, 1, "none.json"},
		"check of nobody":              {[]string{"check"}, []string{"AFTERCARE_LISTEN=" + freeAddress(t)}, 1, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tc.args, tc.environ, &stdout, &stderr)
			if code != tc.code {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, stderr.String())
			}
			text := stdout.String()
			if tc.code != 0 {
				text = stderr.String()
			}
			if !strings.Contains(text, tc.out) || strings.Contains(text, "hunter2") {
				t.Errorf("no %q in %q", tc.out, text)
			}
		})
	}
}

func TestServe(t *testing.T) {
	p := start(t, []string{"serve"}, "AFTERCARE_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "new", "a.db"), "AFTERCARE_DRAIN_DELAY=2s")
	base := p.waitFor(t, &p.stderr, `"msg":"ready","base":"([^"]+)"`)
	first, _, _ := strings.Cut(p.stderr.String(), "\n")
	if !strings.Contains(first, "no token is needed") {
		t.Errorf("the first log line is %s", first)
	}
	root := strings.TrimSuffix(base, "/fhir")
	for path, want := range map[string]string{
		"/healthz": "OperationOutcome", "/readyz": "OperationOutcome", "/metrics": "go_memory_used_bytes", "/fhir/metadata": `"fhirVersion":"4.0.1"`,
	} {
		if status, body := get(t, root+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	listen := "AFTERCARE_LISTEN=" + strings.TrimPrefix(root, "http://")
	for _, args := range [][]string{{"check"}, {"check", "--live"}} {
		if code := run(t.Context(), args, []string{listen}, io.Discard, io.Discard); code != exitOK {
			t.Errorf("%v: %d", args, code)
		}
	}
	t.Run("a port that is taken is said", func(t *testing.T) {
		var stderr bytes.Buffer
		database := "AFTERCARE_DATABASE=sqlite:" + filepath.Join(t.TempDir(), "a.db")
		if code := run(t.Context(), nil, []string{listen, database}, io.Discard, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "AFTERCARE_LISTEN") {
			t.Errorf("%d: %s", code, stderr.String())
		}
	})

	// After the signal it is not ready, but goes on answering for the drain delay.
	p.stop()
	deadline := time.Now().Add(1500 * time.Millisecond)
	for {
		status, _ := get(t, root+"/readyz")
		if status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz still answers %d", status)
		}
	}
	if status, _ := get(t, base+"/metadata"); status != http.StatusOK {
		t.Errorf("while draining: %d", status)
	}
	if code := <-p.code; code != exitOK {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(root, "http://"), time.Second); err == nil {
		t.Error("somebody still listens")
	}
}

// Whoever starts with other settings takes the database over; who cannot start at all takes nothing.
func TestAStartThatFailsTakesNothingOver(t *testing.T) {
	folder := t.TempDir()
	database := "AFTERCARE_DATABASE=sqlite:" + filepath.Join(folder, "a.db")
	serving := start(t, []string{"serve"}, database)
	root := strings.TrimSuffix(serving.waitFor(t, &serving.stderr, `"msg":"ready","base":"([^"]+)"`), "/fhir")
	definitions := t.TempDir()
	broken := filepath.Join(definitions, "broken.json")
	if err := os.WriteFile(broken, []byte("[{}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want    string
		environ []string
	}{
		"keys of another log": {"the folder of keys must be that of the database", []string{"AFTERCARE_KEYS=" + t.TempDir()}},
		"no certificate":      {"AFTERCARE_TLS_CERT", []string{"AFTERCARE_TLS_CERT=" + broken, "AFTERCARE_TLS_KEY=" + broken}},
		"no clients":          {"AFTERCARE_AUTH: clients: " + broken + ": client 1", []string{"AFTERCARE_AUTH=jwt", "AFTERCARE_AUTH_CLIENTS=" + broken}},
		"no definitions":      {"definitions: ", []string{"AFTERCARE_DEFINITIONS=" + definitions}},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			other := []string{database, "AFTERCARE_LISTEN=127.0.0.1:0", "AFTERCARE_BASE_URL=http://127.0.0.1:1/fhir", "AFTERCARE_TIMEZONE=Asia/Tokyo"}
			if code := run(t.Context(), nil, append(other, c.environ...), io.Discard, &stderr); code != exitFailed || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("%d: %s", code, stderr.String())
			}
			if status, body := get(t, root+"/readyz"); status != http.StatusOK {
				t.Errorf("the service that was there answers %d %s", status, body)
			}
		})
	}
}

func TestDemo(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"demo", "--exit"}, []string{"AFTERCARE_LISTEN=" + busy.Addr().String()}, &stdout, &stderr)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, want := range []string{"Grace Adeyemi", "left femur", "2026-03-23", "2026-03-30", "curl -s 'http://127.0.0.1:"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	if !strings.Contains(stderr.String(), "is taken") {
		t.Errorf("the taken port is not said: %s", stderr.String())
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLoad(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	environ := []string{"AFTERCARE_DATABASE=sqlite:" + filepath.Join(folder, "a.db"), "AFTERCARE_LOG_LEVEL=error"}
	load := func(files ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"load"}, files...), environ, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	expect := func(t *testing.T, wantCode int, wantOut string, wantErr []string, files ...string) {
		t.Helper()
		code, stdout, stderr := load(files...)
		if code != wantCode || !strings.Contains(stdout, wantOut) {
			t.Errorf("%d: %s%s", code, stdout, stderr)
		}
		for _, want := range wantErr {
			if !strings.Contains(stderr, want) {
				t.Errorf("no %q in %s", want, stderr)
			}
		}
	}

	surgery := "testdata/surgery/single-stage-femur-left.json"
	t.Run("a Bundle is loaded", func(t *testing.T) {
		expect(t, 0, "1 files: 6 created, 0 updated or known before, 0 refused", []string{"1/1 " + surgery}, surgery)
	})
	t.Run("a second time it changes nothing", func(t *testing.T) {
		expect(t, 0, "0 created, 6 updated or known before, 0 refused", nil, surgery)
	})
	t.Run("ndjson is loaded by id and by identifier", func(t *testing.T) {
		lines := `{"resourceType":"Patient","id":"p1","gender":"female"}` + "\r\n\n" +
			`{"resourceType":"Patient","identifier":[{"value":"no system"},{"system":"urn:a","value":"a|b,c$d\\e"}]}` + "\n" +
			`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"pain"},"subject":{"reference":"Patient/p1"}}`
		path := file("a.ndjson", lines)
		expect(t, 0, "3 created, 0 updated or known before, 0 refused", nil, path)
		expect(t, 0, "0 created, 3 updated or known before, 0 refused", nil, path)
	})
	t.Run("more lines than a chunk holds", func(t *testing.T) {
		var b strings.Builder
		for i := range 2*chunkSize + 1 {
			fmt.Fprintf(&b, `{"resourceType":"Patient","id":"many-%d"}`+"\n", i)
		}
		expect(t, 0, fmt.Sprintf("%d created", 2*chunkSize+1), nil, file("many.ndjson", b.String()))
	})
	t.Run("a bad line does not keep out its neighbours", func(t *testing.T) {
		lines := `{"resourceType":"Patient","id":"n1"}` + "\n" + `{"resourceType":"Patient","id":"n2","gender":"unheard of"}` + "\n" +
			`{"resourceType":` + "\n" + `{"resourceType":"Patient"}` + "\n" + `{"resourceType":"Spaceship","id":"s"}` + "\n" + `7` + "\n" +
			`{"resourceType":"Patient","id":"n3"}` + "\n"
		expect(t, 1, "2 created, 0 updated or known before, 5 refused",
			[]string{"line 2: ", "Patient.gender", "line 3: ", "line 4: the Patient has neither an id", "line 5: ", "line 6: ", "5 refused"}, file("bad.ndjson", lines))
	})
	t.Run("one resource", func(t *testing.T) {
		expect(t, 0, "1 created", nil, file("one.json", `{"resourceType":"Patient","id":"one"}`))
	})
	t.Run("a refused file does not keep out the next", func(t *testing.T) {
		expect(t, 1, "2 files: 1 created, 0 updated or known before, 1 refused", []string{"searchset.json", "transaction or batch"},
			file("searchset.json", `{"resourceType":"Bundle","type":"searchset"}`), file("two.json", `{"resourceType":"Patient","id":"two"}`))
	})
	t.Run("a file that is not JSON is refused", func(t *testing.T) {
		expect(t, 1, "1 refused", []string{"text.json: line 1"}, file("text.json", "hello"))
	})
}

// started is a run of the program in the background.
type started struct {
	stop           context.CancelFunc
	stdout, stderr syncBuffer
	code           chan int
}

// start runs the program on a free port until stop is called or the test ends.
func start(t *testing.T, args []string, environ ...string) *started {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &started{stop: stop, code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.code <- run(ctx, args, append([]string{"AFTERCARE_LISTEN=127.0.0.1:0"}, environ...), &p.stdout, &p.stderr)
	}()
	t.Cleanup(func() { stop(); <-ended })
	return p
}

// waitFor waits until the pattern is in the output and returns its first group.
func (p *started) waitFor(t *testing.T, out *syncBuffer, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if m := re.FindStringSubmatch(out.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case code := <-p.code:
			t.Fatalf("it ended with %d: %s", code, p.stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("no %s in %s%s", pattern, p.stdout.String(), p.stderr.String())
	return ""
}

// syncBuffer is written by the program while the test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true // no idle connection is left for the drain to wait for
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
