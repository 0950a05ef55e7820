package resilience

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftercare/service/store/postgrestest"
)

// ownParameter is what a hospital puts into its folder of definitions.
const ownParameter = `{"resourceType":"SearchParameter","id":"body-site","url":"https://hospital.example/SearchParameter/body-site","name":"BodySite","status":"active",
	"description":"Where on the body.","code":"body-site","base":["Observation"],"type":"token","expression":"Observation.bodySite"}`

// observed is how many Observations there are.
const observed = 3000

// TestReindex adds a search parameter to a database while the service runs: the process that
// begins to index is killed, two others go on, the one with the former definitions writes no more,
// and the command beside them makes the same rows again.
func TestReindex(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { reindex(t, "sqlite:"+filepath.Join(t.TempDir(), "a.db"), 1) })
	t.Run("postgres", func(t *testing.T) { reindex(t, postgrestest.Start(t, "fsync=on").Database(t), 2) })
}

func reindex(t *testing.T, url string, replicas int) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "SearchParameter-body-site.json"), []byte(ownParameter), 0o600); err != nil {
		t.Fatal(err)
	}
	old := newProgram(t, url)
	old.start(t)
	observe(t, old.client(t), observed)

	// Killed in the middle, several times.
	db := openTables(t, url)
	progress := func() (after int64) {
		_ = db.QueryRowContext(t.Context(), `SELECT coalesce(max(after), 0) FROM reindexing`).Scan(&after) // a file may be locked for a moment
		return after
	}
	killed := newProgram(t, url, "AFTERCARE_DEFINITIONS="+folder)
	last := int64(0)
	for range 3 {
		if _, err := killed.launch(); err != nil {
			t.Fatal(err)
		}
		begun := func() bool {
			select {
			case <-killed.ended:
				t.Fatalf("it has ended: %s", killed.tail())
			default:
			}
			return progress() > last
		}
		eventually(t, "some are indexed", begun)
		killed.kill()
		if at := progress(); at < last || at == 0 {
			t.Fatalf("it had come up to %d, and is at %d", last, at)
		} else {
			last = at
		}
	}

	const query = "GET /fhir/Observation?_count=0&body-site=http://snomed.info/sct|"
	// Nobody indexes, and the old one only reads.
	c := old.client(t)
	for line, body := range map[string]string{
		"PUT /fhir/Patient/late": `{"resourceType":"Patient","id":"late"}`,
		"GET /readyz":            "",
	} {
		if a := c.send(line, body); a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "taken over") {
			t.Errorf("%s of the old process: status %d, %s", line, a.status, a.body)
		}
	}
	c.must(t, 200, "GET /fhir/Observation/o1", "")
	c.must(t, 200, "GET /fhir/Observation?date=2026-01-02&_count=1", "") // which has not changed
	c.must(t, 200, "GET /healthz", "")

	var programs []*program
	var ready []<-chan error
	for range replicas {
		p := newProgram(t, url, "AFTERCARE_DEFINITIONS="+folder)
		r, err := p.launch()
		if err != nil {
			t.Fatal(err)
		}
		programs, ready = append(programs, p), append(ready, r)
	}
	for _, r := range ready {
		if err := <-r; err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range programs {
		c := p.client(t)
		c.must(t, 200, "GET /readyz", "")
		c.must(t, 201, fmt.Sprintf("PUT /fhir/Observation/new%d", i), bodySite(fmt.Sprint("new", i), 7))
		eventually(t, "it is indexed", func() bool {
			a := c.send(query+"7", "")
			if a.status == 503 && (a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "body-site of Observation is being indexed")) {
				t.Fatalf("before it is indexed: %s", a.body)
			}
			return a.status == 200
		})
		if a := c.must(t, 200, query+"7", ""); !strings.Contains(string(a.body), fmt.Sprintf(`"total":%d,`, observed/10+i+1)) {
			t.Errorf("it finds %s", a.body)
		}
	}
	eventually(t, "nothing is left", func() bool { return progress() == 0 })

	// Beside the service, killed in the middle, and whole.
	rows := storedRows(t, db)
	command := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd, out := exec.CommandContext(t.Context(), binary, append([]string{"reindex"}, args...)...), &bytes.Buffer{}
		cmd.Env, cmd.Stdout, cmd.Stderr = programs[0].environ, out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, out
	}
	cmd, _ := command("--all")
	time.Sleep(300 * time.Millisecond)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	for _, args := range [][]string{{"--all"}, {"Observation", "Patient"}, nil} {
		if cmd, out := command(args...); cmd.Wait() != nil || !strings.Contains(out.String(), "all search parameters are indexed") {
			t.Errorf("reindex %v: %s", args, out)
		}
	}
	programs[0].client(t).must(t, 200, query+"7", "")
	for _, p := range programs {
		p.stop(t)
	}
	old.kill()
	if again := storedRows(t, db); len(again) != len(rows) {
		t.Errorf("%d resources had rows, and %d have", len(rows), len(again))
	}
	if cmd, out := command("--all"); cmd.Wait() != nil {
		t.Errorf("reindex without a service: %s", out)
	}
	checkTables(t, url, folder)
}

// bodySite is an Observation at one of ten sites.
func bodySite(id string, site int) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","code":{"text":"x"},"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"%d"}]},"effectiveDateTime":"2026-01-02"}`, id, site)
}

// observe stores Observations o0 and so on.
func observe(t *testing.T, c *client, n int) {
	t.Helper()
	for first := 0; first < n; first += 200 {
		var entries []string
		for i := first; i < min(first+200, n); i++ {
			entries = append(entries, fmt.Sprintf(`{"resource":%s,"request":{"method":"PUT","url":"Observation/o%d"}}`, bodySite(fmt.Sprint("o", i), i%10), i))
		}
		c.must(t, 200, "POST /fhir", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	}
}
