package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/config"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// What is no request is in the auditor's log as well: who had it done, and what it was.
func TestCommandsAreLogged(t *testing.T) {
	onEachEngine(t, func(t *testing.T, database string) {
		keys := t.TempDir()
		environ := []string{database, "AFTERCARE_KEYS=" + keys, "AFTERCARE_BASE_URL=http://127.0.0.1:8080/fhir"}
		_, set := keyPair(t)
		folder := filepath.Join(t.TempDir(), "export")
		p := start(t, []string{"serve"}, environ...)
		p.waitFor(t, &p.stderr, `"msg":"(ready)"`)
		p.stop()
		if code := <-p.code; code != exitOK {
			t.Fatalf("%d: %s", code, p.stderr.String())
		}
		for _, args := range []string{
			"client add engine --scope system/Patient.rs --jwks " + set,
			"client add engine --scope system/Patient.rs --jwks " + set, // refused, and changes nothing
			"client revoke engine",
			"load testdata/surgery/single-stage-femur-left.json",
			"export " + folder,
		} {
			var stdout, stderr bytes.Buffer
			run(t.Context(), strings.Fields(args), environ, &stdout, &stderr)
		}
		cfg, err := config.Load(environ, "")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		var order []string
		withStore(t, strings.TrimPrefix(database, "AFTERCARE_DATABASE="), func(db *store.Store) {
			if _, err := openLog(t.Context(), cfg, db); err != nil {
				t.Fatal(err)
			}
			if err := db.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
				return r.Logged(ctx, 0, 10_000, func(l store.Logged) error {
					record, err := audit.Read(l.Position, l.Leaf, l.Key)
					if err != nil {
						return err
					}
					if got[record.Code]++; got[record.Code] == 1 {
						order = append(order, record.Code)
					}
					if record.Agent.Client == "" || record.Agent.Client != "aftercare" && record.Agent.Subject == "" {
						t.Errorf("nobody did %+v", record)
					}
					text := fmt.Sprint(record.Details)
					for code, want := range map[string]string{audit.ClientAdded: "{client engine} {scope system/Patient.rs}", audit.ClientRevoked: "{client engine}", audit.Started: "sha256:", audit.Exported: "{versions "} {
						if record.Code == code && !strings.Contains(text, want) {
							t.Errorf("%s: %s", code, text)
						}
					}
					return nil
				})
			}); err != nil {
				t.Fatal(err)
			}
		})
		if fmt.Sprint(order[:5]) != "[import start stop client-add client-revoke]" || order[len(order)-1] != audit.Exported {
			t.Errorf("in the order %v", order)
		}
		for _, code := range []string{audit.Imported, audit.Started, audit.Stopped, audit.ClientAdded, audit.ClientRevoked, audit.Exported} {
			if got[code] != 1 {
				t.Errorf("%s: %d records", code, got[code])
			}
		}
		if got["create"]+got["update"] < 3 {
			t.Errorf("of what was loaded: %v", got)
		}
	})
}
