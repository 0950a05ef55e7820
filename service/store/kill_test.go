package store

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store/postgrestest"
)

// TestKill kills a process that writes, and looks at what it left.
func TestKill(t *testing.T) {
	if url := os.Getenv("STORE_TEST_CHILD"); url != "" {
		writeUntilKilled(t, url)
		return
	}
	t.Run("sqlite", func(t *testing.T) { killed(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db")) })
	t.Run("postgres", func(t *testing.T) { killed(t, postgrestest.Database(t)) })
}

func killed(t *testing.T, url string) {
	acknowledged := map[string]int64{}
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), "STORE_TEST_CHILD="+url)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		n := 0
		for lines.Scan() {
			var id string
			var version int64
			if _, err := fmt.Sscanf(lines.Text(), "stored %s %d", &id, &version); err != nil {
				continue
			}
			acknowledged[id] = max(acknowledged[id], version)
			if n++; n == 300 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // killed
		if n < 300 {
			t.Fatalf("round %d: the child stored %d only", round, n)
		}
	}
	s := openURL(t, url, Options{})
	for id, version := range acknowledged {
		r, err := get(t, s, "Basic", id)
		if err != nil || r.Version < version {
			t.Errorf("%s: version %d was acknowledged, got %+v, %v", id, version, r, err)
			continue
		}
		mark := clauseOf(basicCode, search.Value{System: "http://mark", Value: fmt.Sprint(id, r.Version)})
		if got := ids(t, s, "Basic", mark); got != id {
			t.Errorf("%s: its index row finds %q", id, got)
		}
	}
	checkWhole(t, s)
	var rows, resources int64
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		if _, err := r.row(ctx, "SELECT count(*) FROM index_token", nil, &rows); err != nil {
			return err
		}
		_, err := r.row(ctx, "SELECT count(*) FROM resource", nil, &resources)
		return err
	}); err != nil || rows != resources {
		t.Errorf("%d index rows for %d resources (%v)", rows, resources, err)
	}
}

var basicCode = param("Basic", "code", search.Token)

func writeUntilKilled(t *testing.T, url string) {
	s, err := Open(t.Context(), url, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d := draft(t, "Basic", `,"x":"`+strings.Repeat("y", 3000)+`"`)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100_000 {
				id := fmt.Sprintf("b%d-%d", worker, i%20)
				var r *fhir.Resource
				err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
					version := int64(1)
					if old, err := tx.Get(ctx, "Basic", id); err == nil {
						version = old.Version + 1
					} else if fhir.KindOf(err) != fhir.NotFound {
						return err
					}
					var err error
					r, err = tx.Put(ctx, d, id, time.Now(), "PUT", []search.Row{{Param: basicCode, System: "http://mark", Value: fmt.Sprint(id, version)}})
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Printf("stored %s %d\n", id, r.Version)
			}
		})
	}
	wg.Wait()
}
