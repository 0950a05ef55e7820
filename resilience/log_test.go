package resilience

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/service/audit"
)

// received are the answers that callers have got whole, by the id of the request.
type received struct {
	mu       sync.Mutex
	statuses map[string]int
}

func newReceived() *received { return &received{statuses: map[string]int{}} }

// note keeps an answer of the FHIR base. One that says that the service cannot answer now may be for
// want of the log, and a Bundle is in the log by its entries.
func (r *received) note(line string, a answer) {
	id := a.header.Get("X-Request-Id")
	if a.status == 0 || a.status == http.StatusBadGateway || a.status == http.StatusServiceUnavailable || !strings.Contains(line, " /fhir") || id == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses[id] = a.status
	if method, path, _ := strings.Cut(line, " "); method == http.MethodPost && strings.Trim(path, "/") == "fhir" && a.status == http.StatusOK {
		r.statuses[id] = 0
	}
}

// absent are the answers that the log does not have, and the versions that callers wrote which no record
// names.
func (r *received) absent(records []*audit.Record, versions []string) (faults []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	statuses, shown := map[string][]int{}, map[string]bool{}
	for _, record := range records {
		statuses[record.RequestID] = append(statuses[record.RequestID], record.Status)
		for _, v := range record.Shown {
			shown[fmt.Sprintf("%s/%s/%d", v.Type, v.ID, v.Version)] = true
		}
	}
	for id, status := range r.statuses {
		if got := statuses[id]; len(got) == 0 || status != 0 && (len(got) != 1 || got[0] != status) {
			faults = append(faults, fmt.Sprintf("request %s was answered with %d, and is in the log with %v", id, status, got))
		}
	}
	for _, v := range versions {
		if !shown[v] {
			faults = append(faults, v+" was stored, and nothing in the log says so")
		}
	}
	slices.Sort(faults)
	return faults
}

// byCallers are the types of which nothing is derived.
var byCallers = []string{"Patient", "Basic", "Observation", "Procedure", "Practitioner", "Organization"}

// checkLog holds the auditor's log against what was answered and what is stored. Nobody writes to the
// database.
func (r *received) checkLog(t testing.TB, url string) {
	t.Helper()
	db := openTables(t, url)
	rows, err := db.QueryContext(t.Context(), `SELECT pos, leaf, key FROM log ORDER BY pos`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var records []*audit.Record
	for rows.Next() {
		var position int64
		var leaf, key []byte
		if err := rows.Scan(&position, &leaf, &key); err != nil {
			t.Fatal(err)
		}
		record, err := audit.Read(position, leaf, key)
		if err != nil {
			t.Fatalf("record %d: %v", position, err)
		}
		if records = append(records, record); position != int64(len(records)) {
			t.Fatalf("record %d is at position %d", len(records), position)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var versions []string
	for _, typ := range byCallers {
		versions = append(versions, versionsOf(t, url, typ)...)
	}
	faults := r.absent(records, versions)
	for _, fault := range faults[:min(len(faults), 10)] {
		t.Error(fault)
	}
	if len(r.statuses) == 0 || len(versions) == 0 {
		t.Errorf("%d answers and %d versions to look for", len(r.statuses), len(versions))
	}
	t.Logf("%d answers and %d versions are in the log of %d records, but for %d", len(r.statuses), len(versions), len(records), len(faults))
}

// versionsOf are the stored versions of a type, as Type/id/version. Those of the definitions are not
// among them.
func versionsOf(t testing.TB, url, typ string) (all []string) {
	t.Helper()
	db := openTables(t, url)
	rows, err := db.QueryContext(t.Context(), `SELECT r.id, v.version FROM version v JOIN resource r ON r.rid = v.rid JOIN symbol s ON s.id = v.type WHERE s.text = $1`, []byte(typ))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		var version int64
		if err := rows.Scan(&id, &version); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s/%s/%d", typ, id, version))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// The check can fail.
func TestWhatIsAbsentFromTheLogIsSeen(t *testing.T) {
	records := []*audit.Record{
		{RequestID: "1", Status: 201, Shown: []audit.Version{{Type: "Basic", ID: "a", Version: 1}}},
		{RequestID: "2", Status: 404},
		{RequestID: "3", Status: 200}, {RequestID: "3", Status: 201},
	}
	for name, c := range map[string]struct {
		statuses map[string]int
		versions []string
		faults   int
	}{
		"all is there":          {map[string]int{"1": 201, "2": 404, "3": 0}, []string{"Basic/a/1"}, 0},
		"a request is not":      {map[string]int{"4": 200}, nil, 1},
		"a Bundle is not":       {map[string]int{"4": 0}, nil, 1},
		"the status is another": {map[string]int{"2": 200}, nil, 1},
		"it is there twice":     {map[string]int{"3": 200}, nil, 1},
		"a version is not":      {nil, []string{"Basic/a/2"}, 1},
	} {
		r := newReceived()
		r.statuses = c.statuses
		if got := r.absent(records, c.versions); len(got) != c.faults {
			t.Errorf("%s: %v", name, got)
		}
	}
}
